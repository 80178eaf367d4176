"""Vendor records for tests: written field by field, and from rows of recordings."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gateway_ctp.layout import DEPTH, FIELDS, TEXTS

DBL_MAX = sys.float_info.max

TYPICAL: dict[str, object] = {
    "TradingDay": "20251121", "ActionDay": "20251121", "UpdateTime": "10:00:01", "UpdateMillisec": 500,
    "InstrumentID": "rb2601", "LastPrice": 3123.0, "PreSettlementPrice": 3110.0, "PreClosePrice": 3112.0,
    "PreOpenInterest": 1.49e6, "OpenPrice": 3100.0, "HighestPrice": 3130.0, "LowestPrice": 3090.0,
    "Volume": 123456, "Turnover": 3.85e9, "OpenInterest": 1.5e6, "ClosePrice": DBL_MAX,
    "SettlementPrice": DBL_MAX, "UpperLimitPrice": 3400.0, "LowerLimitPrice": 2800.0, "AveragePrice": 31185.3,
    "BidPrice1": 3122.0, "BidVolume1": 12, "AskPrice1": 3123.0, "AskVolume1": 34,
    **{f"{side}Price{n}": DBL_MAX for side in ("Bid", "Ask") for n in range(2, 6)},
}  # fmt: skip


def record(**changes: object) -> bytes:
    """A typical day tick of rb2601 with some fields changed."""
    return pack(TYPICAL | changes)


def pack(fields: Mapping[str, object]) -> bytes:
    """The 584 bytes; fields that are not named are zero, as in the vendor's memory."""
    values: list[object] = []
    for name in FIELDS:
        value = fields.get(name)
        if name in TEXTS:
            values.append(value if isinstance(value, bytes) else str(value or "").encode("gb18030"))
        elif name in DEPTH.integers:
            values.append(int(value or 0))  # type: ignore[call-overload]  # csv cells are text
        else:
            values.append(float(value or 0.0))  # type: ignore[arg-type]  # csv cells are text
    return DEPTH.struct.pack(*values)


def row_fields(row: Mapping[str, str], *, absent: float = DBL_MAX) -> dict[str, object]:
    """A row of a recording with CTP's column names as the vendor's values. ``N/A`` and missing prices are DBL_MAX."""
    fields: dict[str, object] = {}
    for name in FIELDS:
        text = row.get(name)
        if name in TEXTS:
            fields[name] = text or ""
        elif name in DEPTH.integers:
            fields[name] = int(text or 0)
        else:
            fields[name] = absent if text in (None, "N/A") else float(text)
    return fields
