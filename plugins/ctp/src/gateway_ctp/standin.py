"""The stand-in for CTP's library: its names, no broker behind them (:mod:`gateway.thost.standin`).

``native_module = "standin"`` chooses it. What one sees with it says nothing about a real counter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from gateway.clock import SystemClock
from gateway.thost import dates
from gateway.thost.standin.library import Standin
from gateway.thost.trader import Row
from gateway_ctp.layout import DEPTH

_PRODUCTS: Final = (
    ("SHFE", "rb", "螺纹钢", 10, 1.0),
    ("SHFE", "cu", "铜", 5, 10.0),
    ("SHFE", "au", "黄金", 1000, 0.02),
    ("INE", "sc", "原油", 1000, 0.1),
    ("DCE", "m", "豆粕", 10, 1.0),
    ("DCE", "i", "铁矿石", 100, 0.5),
    ("CZCE", "TA", "PTA", 5, 2.0),
    ("CZCE", "SR", "白糖", 10, 1.0),
    ("CFFEX", "IF", "沪深300", 300, 0.2),
    ("GFEX", "si", "工业硅", 5, 5.0),
)
_MONTHS: Final = 4


def contracts(today: dt.date) -> Iterator[Row]:
    """A small list: the next months of ten products."""
    for exchange, product, name, multiplier, tick in _PRODUCTS:
        for ahead in range(1, _MONTHS + 1):
            months = today.year * 12 + today.month - 1 + ahead
            year, month = divmod(months, 12)
            number = f"{year % 100:02}{month + 1:02}"
            code = product + (number[1:] if exchange == "CZCE" else number)
            yield {
                "InstrumentID": code,
                "ExchangeID": exchange,
                "InstrumentName": f"{name}{number}",
                "ProductID": product,
                "ProductClass": "1",
                "VolumeMultiple": multiplier,
                "PriceTick": tick,
                "ExpireDate": f"{year}{month + 1:02}15",
                "UnderlyingInstrID": "",
                "StrikePrice": 0.0,
                "OptionsType": "",
            }


def library() -> Standin:
    """A new one. Its contracts are those of the coming months."""
    return Standin(DEPTH, list(contracts(dates.day_of(SystemClock().wall_ns()))), nights=True)
