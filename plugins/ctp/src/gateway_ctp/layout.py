"""The vendor's depth struct as bytes (CThostFtdcDepthMarketDataField of CTP 6.7 and of openctp-tts, 584 bytes).

The offsets are a measured fact of one library version, so they are verified against the loaded module before they
are used: attributes are set on a field object and looked for in its memory. When that fails, records are made from
the attributes instead: some ten times slower, same bytes for the parser.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_LEVEL_FIELDS = tuple(
    name for n in range(1, 6) for name in (f"BidPrice{n}", f"BidVolume{n}", f"AskPrice{n}", f"AskVolume{n}")
)
FIELDS: Final = (
    "TradingDay",
    "reserve1",
    "ExchangeID",
    "reserve2",
    "LastPrice",
    "PreSettlementPrice",
    "PreClosePrice",
    "PreOpenInterest",
    "OpenPrice",
    "HighestPrice",
    "LowestPrice",
    "Volume",
    "Turnover",
    "OpenInterest",
    "ClosePrice",
    "SettlementPrice",
    "UpperLimitPrice",
    "LowerLimitPrice",
    "PreDelta",
    "CurrDelta",
    "UpdateTime",
    "UpdateMillisec",
    *_LEVEL_FIELDS,
    "AveragePrice",
    "ActionDay",
    "InstrumentID",
    "ExchangeInstID",
    "BandingUpperPrice",
    "BandingLowerPrice",
)
"""Attribute names in memory order; one per element of :data:`FULL`."""

FULL: Final = struct.Struct("<9s31s9s31s7di4x8d9s3xi" + "di4xdi4x" * 5 + "d9s81s81s5xdd")
SIZE: Final = FULL.size
at_address: Final[Any] = (ctypes.c_char * SIZE).from_address
"""The record at an address, not copied; ``raw`` is the copy."""

_TEXT_SIZES: Final = {
    "TradingDay": 9,
    "reserve1": 31,
    "ExchangeID": 9,
    "reserve2": 31,
    "UpdateTime": 9,
    "ActionDay": 9,
    "InstrumentID": 81,
    "ExchangeInstID": 81,
}
_INTEGERS: Final = frozenset({"Volume", "UpdateMillisec", *(n for n in _LEVEL_FIELDS if "Volume" in n)})
_UNUSED: Final = frozenset({"reserve1", "reserve2", "PreDelta", "CurrDelta", "BandingUpperPrice", "BandingLowerPrice"})
"""Never read by the parser: a library that lacks or moves them alone is still fine to copy."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a field object becomes a record for the parser."""

    exact: bool
    """Whether the memory can be copied as it is."""
    difference: str = ""
    """What does not match, when it does not."""

    def reader(self) -> Callable[[Any], bytes]:
        """``field object -> record of SIZE bytes``. The record is a copy; the vendor's memory may go away."""
        return copy_struct if self.exact else pack_attributes


def verify(module: Any) -> Layout:
    """Compare the loaded module's struct with :data:`FULL`. Costs well under a millisecond."""
    field = module.CThostFtdcDepthMarketDataField()
    expected: dict[str, str | int | float | bytes] = {}
    for number, name in enumerate(FIELDS, start=1):
        value = _probe(name, number)
        try:
            setattr(field, name, value)
        except (AttributeError, TypeError) as error:
            if name in _UNUSED:
                continue
            return Layout(exact=False, difference=f"{name}: {error}")
        expected[name] = value.encode("ascii") if isinstance(value, str) else value
    found = dict(zip(FIELDS, FULL.unpack(copy_struct(field)), strict=True))
    for name, wanted in expected.items():
        if name not in _UNUSED and _text(found[name]) != wanted:
            return Layout(exact=False, difference=f"{name} is not where it is expected")
    return Layout(exact=True)


def copy_struct(field: Any) -> bytes:
    """Copy the memory behind a SWIG object: about 0.3 µs, half of what ``ctypes.string_at`` takes."""
    return at_address(int(field.this)).raw  # type: ignore[no-any-return]  # ctypes has no type for a sized array


def pack_attributes(field: Any) -> bytes:
    """The record written from the attributes, for a library whose struct differs. Ten microseconds or more."""
    values: list[bytes | int | float] = []
    for name in FIELDS:
        value = getattr(field, name, None)
        if name in _TEXT_SIZES:
            # the terminating zero belongs to the field, as in C
            values.append(str(value or "").encode("gb18030", "replace")[: _TEXT_SIZES[name] - 1])
        elif name in _INTEGERS:
            values.append(int(value or 0))
        else:
            values.append(float(value) if value is not None else 0.0)
    return FULL.pack(*values)


def _probe(name: str, number: int) -> str | int | float:
    if name in _TEXT_SIZES:
        return f"p{number}"
    return 1000 + number if name in _INTEGERS else 1000.5 + number


def _text(value: object) -> object:
    return value.partition(b"\0")[0] if isinstance(value, bytes) else value
