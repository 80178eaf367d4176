"""An account in the vendor's structs, whose texts have fixed sizes.

What does not fit is refused here, by the account's own name for it: the vendor's wrapper would raise a TypeError about
``char [17]``, and on the vendor's thread (where logins are sent) nobody would ever see it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from gateway.errors import FeedgateError
from gateway.model import Account

Struct = TypeVar("Struct")

LOGIN: Final = ("BrokerID", "UserID", "Password")
AUTHENTICATION: Final = ("BrokerID", "UserID", "AppID", "AuthCode")
_SAID: Final = {
    "BrokerID": "broker_id",
    "UserID": "user_id",
    "AppID": "app_id",
    "Password": "password",
    "AuthCode": "auth_code",
}
_SECRETS: Final = ("Password", "AuthCode")


def fill(struct: Struct, account: Account, names: Iterable[str], error: type[FeedgateError]) -> Struct:
    """Set these members of a vendor struct; an ``error`` names what is too long, its length and never its text."""
    for name in names:
        said = _SAID[name]
        text: str = account.secrets.get(said, "") if name in _SECRETS else getattr(account, said)
        try:
            setattr(struct, name, text)
        except (TypeError, ValueError):
            size = len(text.encode("gb18030", "replace"))
            raise error(
                f"the {said} of account {account.name} does not fit into the vendor's {name}"
                f" ({size} bytes): correct it, or what it refers to"
            ) from None
    return struct
