"""SOPT's depth struct (CThostFtdcDepthMarketDataField of SOPT 3.7.3): 440 bytes, measured.

The numbers lie as in CTP's; InstrumentID is shorter and in front, and three fields are its own.
"""

from __future__ import annotations

from typing import Final

from gateway.thost.layout import LEVELS, Depth

FIELDS: Final = (
    "TradingDay",
    "InstrumentID",
    "ExchangeID",
    "ExchangeInstID",
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
    *LEVELS,
    "AveragePrice",
    "ActionDay",
    "CircuitRefPrice",
    "SendingTime",
    "BigVolume",
)
TEXTS: Final = {
    "TradingDay": 9,
    "InstrumentID": 31,
    "ExchangeID": 9,
    "ExchangeInstID": 31,
    "UpdateTime": 9,
    "ActionDay": 9,
    "SendingTime": 13,
}

DEPTH: Final = Depth(
    FIELDS,
    "<9s31s9s31s7di4x8d9s3xi" + "di4xdi4x" * 5 + "d9s7xd13s3xq",
    TEXTS,
    unused=("ExchangeInstID", "PreDelta", "CurrDelta", "CircuitRefPrice", "SendingTime", "BigVolume"),
    big_integers=("BigVolume",),
)
