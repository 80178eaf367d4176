"""The stand-in for SOPT's library: its names, no broker behind them (:mod:`gateway.thost.standin`).

``native_module = "standin"`` chooses it. What one sees with it says nothing about a real counter. A front that accepts
and closes (``tcp://closes.standin:1``) calls back without a back-off, as the real library does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from gateway.clock import SystemClock
from gateway.thost import dates
from gateway.thost.standin.library import Standin
from gateway.thost.trader import Row
from gateway_sopt.layout import DEPTH

STORM_S: Final = 1 / 730
"""Between two callbacks of the real library at a front that accepts and closes."""

_STRIKES: Final = 5
_MONTHS: Final = 2
_FUNDS: Final = (("SSE", "510050", "50ETF", 10_000_001, 2.5), ("SZSE", "159919", "沪深300ETF", 90_000_001, 4.0))
_STEP: Final = 0.05
_ADJUSTED: Final = ("510050", 1.0202)
"""Its contracts of the first month are there once more, with the terms that a dividend of 2 % gave them."""


def _row(exchange: str, fund: str, code: int, name: str, **terms: str | float) -> Row:
    return {
        "InstrumentID": str(code),
        "ExchangeID": exchange,
        "InstrumentName": name,
        "ProductID": "ETF_O",
        "ProductClass": "7",
        "VolumeMultiple": 10_000,
        "PriceTick": 0.0001,
        "UnderlyingInstrID": fund,
        **terms,
    }


def _fourth_wednesday(year: int, month: int) -> dt.date:
    first = dt.date(year, month, 1)
    return first + dt.timedelta(days=(2 - first.weekday()) % 7 + 21)


def contracts(today: dt.date) -> Iterator[Row]:
    """A small list: calls and puts on two funds, some adjusted ones, and index options of CFFEX."""
    for exchange, fund, name, first, middle in _FUNDS:
        code = first
        for ahead in range(1, _MONTHS + 1):
            year, month = divmod(today.year * 12 + today.month - 1 + ahead, 12)
            expires = _fourth_wednesday(year, month + 1)
            for adjusted in (False, True) if (fund, ahead) == (_ADJUSTED[0], 1) else (False,):
                for number in range(_STRIKES):
                    strike = middle + _STEP * (number - _STRIKES // 2)
                    if adjusted:
                        strike /= _ADJUSTED[1]
                    for kind, letter, word in (("1", "C", "购"), ("2", "P", "沽")):
                        thousandths = round(strike * 1000)
                        mark = "A" if adjusted else "M"
                        yield _row(
                            exchange,
                            fund,
                            code,
                            f"{name}{word}{expires.month}月{thousandths}{'A' if adjusted else ''}",
                            ExpireDate=f"{expires:%Y%m%d}",
                            StrikePrice=thousandths / 1000,
                            OptionsType=kind,
                            InstrumentCode=f"{fund}{letter}{expires:%y%m}{mark}{thousandths:05}",
                            VolumeMultiple=round(10_000 * _ADJUSTED[1]) if adjusted else 10_000,
                        )
                        code += 1
    yield from _index_options(today)


def _index_options(today: dt.date) -> Iterator[Row]:
    year, month = divmod(today.year * 12 + today.month, 12)
    expires = dt.date(year, month + 1, 15)
    for kind, letter in (("1", "C"), ("2", "P")):
        code = f"IO{expires:%y%m}-{letter}-4000"
        yield _row("CFFEX", "000300", 0, f"沪深300股指期权{code[2:]}") | {
            "InstrumentID": code,
            "ProductID": "IO",
            "ProductClass": "2",
            "VolumeMultiple": 100,
            "PriceTick": 0.2,
            "ExpireDate": f"{expires:%Y%m%d}",
            "StrikePrice": 4000.0,
            "OptionsType": kind,
            "InstrumentCode": "",
        }


def library() -> Standin:
    """A new one. Its contracts are those of the coming months."""
    rows = list(contracts(dates.day_of(SystemClock().wall_ns())))
    return Standin(DEPTH, rows, nights=False, retry_s=STORM_S)
