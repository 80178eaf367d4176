"""What makes a contract an option, read from the counter's columns and from the exchanges' spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_LARGEST: Final = 1e150
_TYPES: Final = {"1": "call", "2": "put"}
_TRADING_CODE: Final = re.compile(r"\d{6}[CP]\d{4}(?P<mark>[MA-Z])\d{5}")
"""``510050C1904M02500``: underlying, call or put, year and month, mark, strike in thousandths. Both exchanges."""
_UNADJUSTED: Final = "M"


def adjustments_of(trading_code: str) -> int | None:
    """How often a dividend or split changed the option's terms: M is never, A once, B twice …; None: not told.

    The mark is the twelfth character of the exchange's trading code (合约交易代码), where an unadjusted one has an M
    and an adjusted one the letter of its adjustment.
    """
    found = _TRADING_CODE.fullmatch(trading_code)
    if found is None:
        return None
    return adjustments_of_mark(found["mark"])


def adjustments_of_mark(mark: str) -> int:
    """What a single mark means, as in :func:`adjustments_of`."""
    if mark == _UNADJUSTED:
        return 0
    number = ord(mark) - ord("A") + 1
    return number if mark < _UNADJUSTED else number - 1  # the letter M is taken


def option_terms(row: Mapping[str, object]) -> dict[str, Any]:
    """The option's fields of a :class:`gateway.model.Contract`, from a row of the trader front."""
    strike = float(str(row.get("StrikePrice") or 0))
    trading_code = str(row.get("InstrumentCode") or "")
    terms: dict[str, Any] = {
        "underlying": str(row.get("UnderlyingInstrID") or ""),
        "strike": strike if 0 < strike < _LARGEST else None,
        "option_type": _TYPES.get(str(row.get("OptionsType") or ""), ""),
    }
    if trading_code:
        terms |= {"trading_code": trading_code, "adjustments": adjustments_of(trading_code)}
    return terms


def whole(value: object) -> int | None:
    """``"20260115"`` as a number; None for anything that is no plain number."""
    text = str(value)
    return int(text) if text.isdigit() else None
