"""The stand-in's market: a pure function of contract and time, so that two lines see the same. No price is real."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.thost import dates
from gateway.thost.layout import Depth
from gateway.thost.trader import Row

_GOLDEN: Final = 0x9E3779B1
_MASK: Final = 0xFFFFFFFF
_SWING: Final = 40
"""Price ticks that a price goes up and down around its start."""
_LEVELS: Final = 5
_NOTHING: Final = 1.7976931348623157e308
"""DBL_MAX: what the vendor writes where there is no value."""

BUSY_S: Final = 0.5
"""Seconds between two snapshots of a contract."""


def _dice(step: int, salt: int) -> int:
    """A number of 32 bits that differs from step to step."""
    return ((step + salt * 7919) * _GOLDEN) & _MASK


class Quotes:
    """Snapshots of the contracts of a list, as attributes of the vendor's depth struct."""

    def __init__(self, rows: Sequence[Row], depth: Depth, *, nights: bool) -> None:
        """``nights``: whether evening ticks belong to the next trading day."""
        self.rows: Mapping[str, Row] = {str(row["InstrumentID"]): row for row in rows}
        self._salts = {code: number for number, code in enumerate(self.rows, start=1)}
        self._depth = depth
        self._nights = nights

    def trading_day(self, wall_ns: int) -> str:
        """``20261123``. On days without trading, of the next weekday."""
        day = dates.trading_day_at(wall_ns) if self._nights else dates.as_number(self._weekday(wall_ns))
        return str(day)

    @staticmethod
    def _weekday(wall_ns: int) -> dt.date:
        day = dates.day_of(wall_ns)
        return day if day.weekday() < dates.SATURDAY else dates.weekday_after(day)

    def step_at(self, wall_ns: int) -> int:
        """The last step of the market's grid. Every step each contract has a new snapshot."""
        return wall_ns // round(BUSY_S * dates.SECOND_NS)

    def time_of(self, step: int) -> int:
        """Unix nanoseconds of a step."""
        return step * round(BUSY_S * dates.SECOND_NS)

    def snapshot(self, code: str, step: int) -> dict[str, Any]:
        """The values of one contract at one step; fields of the struct that are not named are zero."""
        row, salt = self.rows[code], self._salts[code]
        wall_ns = self.time_of(step)
        day = dates.day_of(wall_ns)
        since_midnight_ns = wall_ns - dates.midnight_ns(day)
        seconds, rest_ns = divmod(since_midnight_ns, dates.SECOND_NS)
        dice = _dice(step, salt)
        tick = float(row["PriceTick"])
        base = self._base(row, tick)
        phase = (step // 3 + salt * 13) % (4 * _SWING)
        swing = abs(phase - 2 * _SWING) - _SWING
        last = base + swing + dice % 3 - 1
        # from the trading day's begin on, so never falling inside it; nights begin on the eve, three days on a Friday
        volume = 2 * (step - self._first_step(wall_ns)) + dice % 2
        fields: dict[str, Any] = {
            "TradingDay": self.trading_day(wall_ns),
            "ActionDay": str(dates.as_number(day)),
            "UpdateTime": f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}",
            "UpdateMillisec": rest_ns // 1_000_000,
            "InstrumentID": code,
            "ExchangeID": str(row["ExchangeID"]) if "SendingTime" in self._depth.fields else "",
            "LastPrice": last * tick,
            "PreSettlementPrice": base * tick,
            "PreClosePrice": base * tick,
            "PreOpenInterest": 10_000.0,
            "OpenPrice": base * tick,
            "HighestPrice": (base + _SWING + 2) * tick,
            "LowestPrice": (base - _SWING - 2) * tick,
            "Volume": volume,
            "Turnover": volume * base * tick * int(row["VolumeMultiple"]),
            "OpenInterest": 10_000.0 + dice % 100,
            "ClosePrice": _NOTHING,
            "SettlementPrice": _NOTHING,
            "UpperLimitPrice": (base * 2) * tick,
            "LowerLimitPrice": tick,
            "AveragePrice": base * tick,
        }
        if "CircuitRefPrice" in self._depth.fields:
            fields["CircuitRefPrice"] = base * tick
        for level in range(1, _LEVELS + 1):
            fields[f"BidPrice{level}"] = (last - level) * tick
            fields[f"AskPrice{level}"] = (last + level) * tick
            fields[f"BidVolume{level}"] = 1 + _dice(step, salt + level) % 99
            fields[f"AskVolume{level}"] = 1 + _dice(step, salt + level + _LEVELS) % 99
        return fields

    def _base(self, row: Row, tick: float) -> int:
        """Where the price swings around, in ticks: from the contract's own terms, nothing to do with any real price."""
        strike = float(row.get("StrikePrice") or 0.0)
        return 200 + (round(strike / tick) if strike and tick else self._salts[str(row["InstrumentID"])] * 100) % 5_000

    def _first_step(self, wall_ns: int) -> int:
        trading = dates.parse_day(self.trading_day(wall_ns).encode()) or dates.day_of(wall_ns)
        eve = dates.midnight_ns(dates.weekday_before(trading))
        return self.step_at(eve + (dates.EVENING_NS if self._nights else dates.DAY_NS))
