"""Findings about an account and its options, before anything is started. No finding contains a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.errors import FeedgateError
from gateway.model import Account
from gateway.thost import locales
from gateway.thost.family import Family
from gateway.thost.fronts import parse_fronts

OPTIONS: Final = frozenset({"native_module", "flow_dir", "locale_dir", "exchanges"})

_LONGEST: Final = {"broker id": 10, "user id": 15, "password": 40}
"""The vendor's fields, without the terminating zero; longer texts raise inside the login callback."""


def check(family: Family, account: Account, options: Mapping[str, Any]) -> Sequence[str]:
    """What keeps this account from working, each with its fix. Touches no network."""
    found: list[str] = []
    for attempt in (lambda: parse_fronts(account.md_address), lambda: family.library_name(options)):
        try:
            attempt()
        except FeedgateError as error:
            found.append(str(error))
    values = {
        "broker id": account.broker_id,
        "user id": account.user_id,
        "password": account.secrets.get("password", ""),
    }
    name = str(options.get("native_module", family.default_library))
    for what, value in values.items():
        if not value and (what != "broker id" or name not in family.brokerless):
            found.append(f"account {account.name} has no {what}: set it")
        if len(value.encode()) > _LONGEST[what]:
            found.append(f"the {what} of account {account.name} is longer than {family.label}'s {_LONGEST[what]} bytes")
    library = family.libraries.get(name)
    if library is not None and not library.is_installed:
        found.append(f"{name} is not installed: pip install {library.distribution}")
    exchanges = options.get("exchanges", {})
    if not isinstance(exchanges, Mapping) or not all(isinstance(v, str) and v.isupper() for v in exchanges.values()):
        found.append(f"the option exchanges is a table of codes or product letters: {family.exchanges_example}")
    if library is None or library.needs_locale:
        found.extend(locales.findings(options))
    return found
