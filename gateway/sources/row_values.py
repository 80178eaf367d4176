"""Cells of a contract list as values. A cell that does not fit is a ValueError that names its column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

_NOTHING: Final = frozenset({"", "null", "NULL", "None", "N/A"})
_DEAREST: Final = 1e9
"""No price is that large."""

Row = Mapping[str, Any]


def text(row: Row, name: str) -> str:
    """The cell without blanks around it; empty for what means nothing."""
    value = row.get(name)
    cell = "" if value is None else str(value).strip()
    return "" if cell in _NOTHING else cell


def needed(row: Row, name: str) -> str:
    """A cell that must not be empty."""
    cell = text(row, name)
    if not cell:
        raise ValueError(f"column {name} is empty")
    return cell


def number_of(cell: str) -> float:
    """The number, or a number that fits nowhere."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def whole(row: Row, name: str) -> int | None:
    """A whole number above 0."""
    cell = text(row, name)
    if not cell:
        return None
    value = number_of(cell)
    if not value.is_integer() or value <= 0:
        raise ValueError(f"{name} {cell!r} is not a whole number above 0")
    return int(value)


def price(row: Row, name: str) -> float | None:
    """A price above 0."""
    cell = text(row, name)
    if not cell:
        return None
    value = number_of(cell)
    if not 0 < value < _DEAREST:
        raise ValueError(f"{name} {cell!r} is not a price above 0")
    return value


def date(row: Row, name: str) -> int | None:
    """``2026-12-23`` or ``20261223`` as a number."""
    cell = text(row, name)
    if not cell:
        return None
    digits = cell[:10].replace("-", "")
    if len(digits) != 8 or not digits.isdecimal() or not ("0101" <= digits[4:] <= "1231"):  # noqa: PLR2004 - YYYYMMDD
        raise ValueError(f"{name} {cell!r} is not a date YYYYMMDD")
    return int(digits)


def count(row: Row, name: str) -> int:
    """A whole number, 0 included."""
    cell = text(row, name)
    value = number_of(cell)
    if not value.is_integer() or value < 0:
        raise ValueError(f"{name} {cell!r} is not a whole number")
    return int(value)


def one_of(row: Row, name: str, words: Sequence[str]) -> str:
    """One of the words, or empty."""
    cell = text(row, name)
    if cell and cell not in words:
        raise ValueError(f"{name} {cell!r} is not one of {', '.join(words)}")
    return cell
