"""Reads the ``options`` table of a feed or catalogue, collecting findings instead of stopping at the first.

Values come from TOML (typed) or from environment variables (text); both are understood. Every finding names the
option, the value and the fix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.errors import SettingsError

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class OptionReader:
    """One pass over a mapping. After the last read, :attr:`findings` is complete."""

    def __init__(self, values: Mapping[str, Any], *, known: Iterable[str], where: str = "option") -> None:
        self._values = values
        self._where = where
        names = sorted(known)
        self.findings: list[str] = [
            f"{where} {name!r} is unknown; use one of {', '.join(names)}" for name in values if name not in names
        ]

    def refuse(self, name: str, fix: str) -> None:
        """Add a finding about an option's value."""
        self.findings.append(f"{self._where} {name} = {self._values.get(name)!r}: {fix}")

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A finite number within bounds."""
        value = self._values.get(name, default)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or not low <= value <= high
        ):
            self.refuse(name, f"write a number from {low:g} to {high:g}")
            return default
        return float(value)

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._values.get(name, default)
        if isinstance(value, str) and value.strip().removeprefix("-").isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(name, f"write a whole number from {low} to {high}")
            return default
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._values.get(name, default)
        if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
            value = value.lower() in _TRUE
        if not isinstance(value, bool):
            self.refuse(name, "write true or false")
            return default
        return value

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            self.refuse(name, "write a text")
            return default
        return value

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts; a comma separated text will do."""
        value = self._values.get(name, default)
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            self.refuse(name, "write a list of texts")
            return default
        return tuple(value)

    def tables(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """A list of tables."""
        value = self._values.get(name, ())
        if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
            self.refuse(name, 'write a list of tables, for example [{kind = "drop", ratio = 0.01}]')
            return ()
        return tuple(value)

    def finish(self) -> None:
        """Raises SettingsError when anything was found."""
        if self.findings:
            raise SettingsError(self.findings)
