"""Hours of CFFEX futures and options and of the stock options of SSE and SZSE. None of them trades at night.

Sources, by rule:

* CFFEX index futures (contract specifications of IF, IH, IC, IM): auction 9:25-9:29, matched until 9:30; 9:30-11:30,
  13:00-15:00.
* CFFEX treasury futures (contract specifications of TS, TF, T, TL): 9:30-11:30, 13:00-15:15. Until 2020-07-17 they
  opened at 9:15 with an auction at 9:10 (CFFEX notice of July 2020, from memory; the recorded day 2017-04-14 shows TF
  from 9:14).
  The last trading day of a contract ends at 11:30: a matter of the contract, not of the product's hours.
* CFFEX index options (IO, HO, MO): as the futures, with a closing auction 14:57-15:00 (states that CTP reports:
  OnRtnInstrumentStatus by exchange, CTP documentation 6.7.2).
* SSE and SZSE stock options (both exchanges' pilot trading rules for stock options, 股票期权试点交易规则): opening
  auction 9:15-9:25, 9:30-11:30, 13:00-14:57, closing auction 14:57-15:00. Option codes are numbers that do not tell
  the underlying, and all underlyings share these hours, so each exchange is one product here.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from gateway.calendar.hours import TABLES_BEGIN, Hours, Product, spans

SSE_OPTIONS: Final = "SSE_O"
SZSE_OPTIONS: Final = "SZSE_O"
"""Names of ours in the manner of CTP's product names of options (``m_o``)."""

_OPENING: Final = spans("auction 9:25 match 9:29 end 9:30")
_INDEX: Final = (Hours(TABLES_BEGIN, _OPENING, spans("continuous 9:30 break 11:30 continuous 13:00 end 15:00")),)
_INDEX_OPTIONS: Final = (
    Hours(TABLES_BEGIN, _OPENING, spans("continuous 9:30 break 11:30 continuous 13:00 auction 14:57 end 15:00")),
)
_TREASURY: Final = (
    Hours(
        TABLES_BEGIN,
        spans("auction 9:10 match 9:14 end 9:15"),
        spans("continuous 9:15 break 11:30 continuous 13:00 end 15:15"),
    ),
    Hours(date(2020, 7, 20), _OPENING, spans("continuous 9:30 break 11:30 continuous 13:00 end 15:15")),
)
_STOCK_OPTIONS: Final = (
    Hours(
        TABLES_BEGIN,
        spans("auction 9:15 break 9:25 end 9:30"),
        spans("continuous 9:30 break 11:30 continuous 13:00 auction 14:57 end 15:00"),
    ),
)

_TABLE: Final = (
    ("CFFEX", "IC IF IH IM", _INDEX),
    ("CFFEX", "HO IO MO", _INDEX_OPTIONS),
    ("CFFEX", "T TF TL TS", _TREASURY),
    ("SSE", SSE_OPTIONS, _STOCK_OPTIONS),
    ("SZSE", SZSE_OPTIONS, _STOCK_OPTIONS),
)

FINANCIALS: Final[tuple[Product, ...]] = tuple(
    Product(exchange, code, history) for exchange, codes, history in _TABLE for code in codes.split()
)
