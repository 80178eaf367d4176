"""Who has which token. Tokens are kept as digests; the plain ones are not kept here."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from runbook.model import Role
from runbook.settings import ApiToken

LONGEST: Final = 512
"""Characters of a token that are looked at; a longer one is none."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a token."""

    name: str
    role: Role
    digest: bytes = field(repr=False)
    """SHA-256 of the token."""


class TokenKeeper:
    """The tokens of the settings."""

    def __init__(self, tokens: Iterable[ApiToken]) -> None:
        self._holders = tuple(Holder(one.name, one.role, _digest(one.token.get_secret_value())) for one in tokens)
        self._by_name = {holder.name: holder for holder in self._holders}

    def __bool__(self) -> bool:
        return bool(self._holders)

    def __len__(self) -> int:
        return len(self._holders)

    def find(self, token: str) -> Holder | None:
        """Whose token this is. Compares with all, in a time that does not depend on where or whether one matches."""
        digest = _digest(token[: LONGEST + 1])
        found: Holder | None = None
        for holder in self._holders:
            if hmac.compare_digest(holder.digest, digest):
                found = holder
        return found if len(token) <= LONGEST else None

    def named(self, name: str) -> Holder | None:
        """Somebody by name."""
        return self._by_name.get(name)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
