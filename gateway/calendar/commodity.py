"""Hours of commodity futures and their options: SHFE, INE, DCE, CZCE, GFEX.

Read from public copies of the exchanges' rules in the autumn of 2025; valid from the trading day 2017-01-03. What the
exchanges list or change later goes into the override file (docs/sessions.md).

Sources, by rule:

* Day: 9:00-10:15, 10:30-11:30, 13:30-15:00 (every exchange's trading rules).
* Opening auction in the five minutes before the first session of a trading day, four of orders and one of matching
  (SHFE trading rules: "前4分钟为期货合约买、卖指令申报时间,后1分钟为集合竞价撮合时间"); without a night session it is
  held at 8:55.
* Since the trading day 2023-05-26 SHFE, INE and DCE hold a second auction at 8:55 after a night session; CZCE only
  takes cancellations then (exchanges' rule changes of May 2023). The states that CTP reports for a contract say
  the same (OnRtnInstrumentStatus by exchange, CTP documentation 6.7.2).
* Night ends: the exchanges' lists of products with continuous trading, as of 2025. Day only are ``wr``, ``ec``, DCE's
  ``bb fb jd lg lh``, CZCE's ``AP CJ JR LR PK PM RI RS SF SM UR WH`` and all of GFEX (announcement of each listing).
* DCE: until the night of 2019-03-28 the night ended at 23:30; from the night of 2019-03-29 at 23:00, and
  ``l v pp c cs eg`` got night sessions (DCE notice of March 2019, from memory; the recorded day 2017-04-14 shows
  ``v pp cs`` without night).
* CZCE: 23:30 until December 2019 (notice of 2014-12-05; listing of ``SA``, 2019-12-06; recorded day 2017-04-14),
  then 23:00. The first 23:00 night, 2019-12-12, is from memory of the notice and not confirmed by a recording.
* ``fu`` was day only until it was listed anew on 2018-07-16 (SHFE notice of the new contract, from memory).

A contract's hours are given whether or not the product was listed on that day; a product whose history is not told
above has today's hours all the way back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

from gateway.calendar.hours import TABLES_BEGIN, Hours, Product, minutes, spans

_OPENING: Final = spans("auction 8:55 match 8:59 end 9:00")
_DAY: Final = spans("continuous 9:00 break 10:15 continuous 10:30 break 11:30 continuous 13:30 end 15:00")
_DAY_ONLY: Final = Hours(TABLES_BEGIN, _OPENING, _DAY)

_MORNING_AUCTIONS: Final = date(2023, 5, 26)
_DCE_2300: Final = date(2019, 4, 1)
"""Trading day of the night of Friday 2019-03-29."""
_CZCE_2300: Final = date(2019, 12, 13)
_FU_ANEW: Final = date(2018, 7, 16)


def _night(ends: str, since: date = TABLES_BEGIN) -> Hours:
    return replace(_DAY_ONLY, since=since, night_ends=minutes(ends))


def _with_morning_auction(history: tuple[Hours, ...]) -> tuple[Hours, ...]:
    return (*history, replace(history[-1], since=_MORNING_AUCTIONS, morning_auction=True))


_2300: Final = _with_morning_auction((_night("23:00"),))
_0100: Final = _with_morning_auction((_night("25:00"),))
_0230: Final = _with_morning_auction((_night("26:30"),))
_FU: Final = _with_morning_auction((_DAY_ONLY, _night("23:00", _FU_ANEW)))
_DCE_OLD: Final = _with_morning_auction((_night("23:30"), _night("23:00", _DCE_2300)))
_DCE_NEW: Final = _with_morning_auction((_DAY_ONLY, _night("23:00", _DCE_2300)))
_CZCE: Final = (_night("23:30"), _night("23:00", _CZCE_2300))

_TABLE: Final = (
    ("SHFE", "ag au", _0230),
    ("SHFE", "ad al ao cu ni pb sn ss zn", _0100),
    ("SHFE", "br bu hc op rb ru sp", _2300),
    ("SHFE", "fu", _FU),
    ("SHFE", "wr", (_DAY_ONLY,)),
    ("INE", "sc", _0230),
    ("INE", "bc", _0100),
    ("INE", "lu nr", _2300),
    ("INE", "ec", (_DAY_ONLY,)),
    ("DCE", "a b i j jm m p y", _DCE_OLD),
    ("DCE", "bz c cs eb eg l pg pp rr v", _DCE_NEW),
    ("DCE", "bb fb jd lg lh", (_DAY_ONLY,)),
    ("CZCE", "CF CY FG MA ME OI PF PL PR PX RM SA SH SR TA TC ZC", _CZCE),
    ("CZCE", "AP CJ ER JR LR PK PM RI RO RS SF SM UR WH WS WT", (_DAY_ONLY,)),
    ("GFEX", "lc pd ps pt si", (_DAY_ONLY,)),
)

COMMODITIES: Final[tuple[Product, ...]] = tuple(
    Product(exchange, code, history) for exchange, codes, history in _TABLE for code in codes.split()
)
