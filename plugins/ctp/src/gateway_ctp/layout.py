"""CTP's depth struct (CThostFtdcDepthMarketDataField of CTP 6.7 and of openctp-tts): 584 bytes, measured."""

from __future__ import annotations

from typing import Final

from gateway.thost.layout import LEVELS, Depth

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
    *LEVELS,
    "AveragePrice",
    "ActionDay",
    "InstrumentID",
    "ExchangeInstID",
    "BandingUpperPrice",
    "BandingLowerPrice",
)
TEXTS: Final = {
    "TradingDay": 9,
    "reserve1": 31,
    "ExchangeID": 9,
    "reserve2": 31,
    "UpdateTime": 9,
    "ActionDay": 9,
    "InstrumentID": 81,
    "ExchangeInstID": 81,
}

DEPTH: Final = Depth(
    FIELDS,
    "<9s31s9s31s7di4x8d9s3xi" + "di4xdi4x" * 5 + "d9s81s81s5xdd",
    TEXTS,
    unused=("reserve1", "reserve2", "PreDelta", "CurrDelta", "BandingUpperPrice", "BandingLowerPrice"),
)
