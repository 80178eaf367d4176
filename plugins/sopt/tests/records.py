"""SOPT's records for tests, written field by field."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gateway_sopt.layout import DEPTH, FIELDS, TEXTS

DBL_MAX = sys.float_info.max

TYPICAL: dict[str, object] = {
    "TradingDay": "20261123", "ActionDay": "20261123", "UpdateTime": "10:00:01", "UpdateMillisec": 370,
    "InstrumentID": "10004567", "ExchangeID": "SSE", "ExchangeInstID": "510050C2612M02500",
    "LastPrice": 0.0812, "PreSettlementPrice": 0.0799, "PreClosePrice": 0.0801, "PreOpenInterest": 51_000.0,
    "OpenPrice": 0.08, "HighestPrice": 0.083, "LowestPrice": 0.079, "Volume": 123_456, "Turnover": 9.9e7,
    "OpenInterest": 52_000.0, "ClosePrice": DBL_MAX, "SettlementPrice": DBL_MAX, "UpperLimitPrice": 0.33,
    "LowerLimitPrice": 0.0001, "AveragePrice": 0.0808, "CircuitRefPrice": 0.08, "SendingTime": "10:00:01.370",
    "BigVolume": 123_456,
    **{f"BidPrice{n}": 0.0812 - n / 10_000 for n in range(1, 6)}, **{f"BidVolume{n}": n for n in range(1, 6)},
    **{f"AskPrice{n}": 0.0812 + n / 10_000 for n in range(1, 6)}, **{f"AskVolume{n}": 10 + n for n in range(1, 6)},
}  # fmt: skip


def record(**changes: object) -> bytes:
    """A typical tick of an option on the 50 ETF with some fields changed."""
    return pack(TYPICAL | changes)


def pack(fields: Mapping[str, object]) -> bytes:
    """The 440 bytes; fields that are not named are zero, as in the vendor's memory."""
    values: list[object] = []
    for name in FIELDS:
        value = fields.get(name)
        if name in TEXTS:
            values.append(value if isinstance(value, bytes) else str(value or "").encode("gb18030"))
        elif name in DEPTH.integers:
            values.append(int(value or 0))  # type: ignore[call-overload]  # numbers only
        else:
            values.append(float(value or 0.0))  # type: ignore[arg-type]  # numbers only
    return DEPTH.struct.pack(*values)
