"""Keeps secrets out of everything that is written down: audit, logs, messages, metrics."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, SecretBytes, SecretStr

MASK: Final = "***"
_WORD: Final = 4
"""Shorter secrets are masked as whole words only, or every text would be holes."""
_DEEPEST: Final = 12
_NAMES: Final = re.compile(r"passw(or)?d|secret|token|auth_?code|api_?key|credential", re.IGNORECASE)


class Masker:
    """Knows secret texts and masks them wherever they turn up, also URL-quoted, JSON-escaped or in base64.

    Has no repr of what it knows. Cheap to ask; may be used from several threads.
    """

    __slots__ = ("_known", "_pattern")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Learn more secrets; empty ones are passed over. What was masked before stays as it is."""
        known = self._known | {secret for secret in secrets if secret.strip()}
        if known == self._known:
            return
        forms = {form for secret in known for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = known
        self._pattern = re.compile("|".join(map(_expression, longest_first)))

    def text(self, text: str) -> str:
        """The text with every secret replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def value(self, value: object) -> Any:
        """A JSON value made from any value: secrets masked, also as keys; members named like a secret masked whole."""
        return self._value(value, 0)

    def mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """As :meth:`value`, for a table."""
        return {self.text(str(key)): self._member(str(key), inside, 0) for key, inside in value.items()}

    def _value(self, value: object, depth: int) -> Any:  # noqa: C901, PLR0911 - one return for each sort of value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, SecretStr | SecretBytes):
            return MASK
        if isinstance(value, Enum):
            return self._value(value.value, depth)
        if isinstance(value, int | float):
            shown = self.text(repr(value))
            finite = isinstance(value, int) or value - value == 0
            return value if shown == repr(value) and finite else shown
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray):
            return self.text(value.decode("utf-8", "replace"))
        if depth >= _DEEPEST:
            return "..."
        if isinstance(value, BaseModel):
            value = {name: getattr(value, name) for name in type(value).model_fields}
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._member(str(key), inside, depth) for key, inside in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(inside, depth + 1) for inside in value]
        return self.text(str(value) if isinstance(value, PurePath | BaseException) else repr(value))

    def _member(self, name: str, value: object, depth: int) -> Any:
        if _NAMES.search(name) and not isinstance(value, bool | None) and value != "":
            return MASK
        return self._value(value, depth + 1)

    def __repr__(self) -> str:
        return f"Masker({len(self._known)} secrets)"


def _forms(secret: str) -> Iterable[str]:
    """The ways in which a secret is written inside other texts."""
    yield from (secret, secret.strip())
    if len(secret) < _WORD:
        return
    yield from (quote(secret, safe=""), quote(secret), quote_plus(secret))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    raw = secret.encode("utf-8", "surrogatepass")
    yield repr(raw)[2:-1]
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _expression(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= _WORD else rf"(?<!\w){escaped}(?!\w)"
