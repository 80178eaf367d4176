"""Values that no repr shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


class HiddenValues(Mapping[str, str]):
    """A read-only table of secrets: its repr has the names only, so that no log, assert or traceback has more."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> str:
        if key not in self._values:
            raise KeyError(key)
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"HiddenValues({', '.join(sorted(self._values)) or 'nothing'})"


@dataclass(frozen=True, slots=True)
class Secret:
    """One version of what Vault has under a path."""

    values: HiddenValues
    version: int
    created: str
    """As Vault writes it, RFC 3339 in UTC."""
