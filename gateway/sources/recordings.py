"""Readers of recorded ticks: CSV or CSV.GZ, recognised by the header, one row at a time in file order.

Three layouts: *ctp* (the field names of ``CThostFtdcDepthMarketDataField``, any order, any subset that has the needed
ones), *recorder* (the same names with ``Date`` and ``Time`` columns and no trading day), *quote* (``exchg``,
``code``, ``price``, ``action_time`` as HMMSSmmm …). What the exchange did not send becomes ``None``: empty, ``N/A``,
DBL_MAX, NaN, and a zero where no price can be zero; absent book levels are cut off.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from gateway.errors import LineError
from gateway.model import SHANGHAI, Tick
from gateway.sources.exchange_time import exchange_ns, trading_day_of
from gateway.sources.products import exchange_of, kind_of

_NOTHING: Final = frozenset({"", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None"})
_HUGE: Final = 1e300
"""DBL_MAX and what rounding made of it."""

_LEVELS: Final = (1, 2, 3, 4, 5)

_PRICES: Final = (
    "LastPrice",
    "Turnover",
    "OpenInterest",
    "OpenPrice",
    "HighestPrice",
    "LowestPrice",
    "ClosePrice",
    "SettlementPrice",
    "AveragePrice",
    "PreSettlementPrice",
    "PreClosePrice",
    "PreOpenInterest",
    "UpperLimitPrice",
    "LowerLimitPrice",
)
_ZERO_IS_A_VALUE: Final = frozenset({"Turnover", "OpenInterest", "PreOpenInterest"})

_QUOTE_NAMES: Final[Mapping[str, str]] = {
    "exchg": "ExchangeID", "code": "InstrumentID", "price": "LastPrice", "open": "OpenPrice", "high": "HighestPrice",
    "low": "LowestPrice", "settle_price": "SettlementPrice", "upper_limit": "UpperLimitPrice",
    "lower_limit": "LowerLimitPrice", "total_volume": "Volume", "total_turnover": "Turnover",
    "open_interest": "OpenInterest", "trading_date": "TradingDay", "action_date": "ActionDay",
    "pre_close": "PreClosePrice", "pre_settle": "PreSettlementPrice", "pre_interest": "PreOpenInterest",
    **{f"{side}_price{level}": f"{side.title()}Price{level}" for side in ("bid", "ask") for level in _LEVELS},
    **{f"{side}_qty{level}": f"{side.title()}Volume{level}" for side in ("bid", "ask") for level in _LEVELS},
}  # fmt: skip
"""Column names of the *quote* layout → CTP's."""

LAYOUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ctp": ("InstrumentID", "TradingDay", "LastPrice", "Volume", "UpdateTime", "UpdateMillisec"),
    "recorder": ("InstrumentID", "Date", "Time", "LastPrice", "Volume"),
    "quote": ("exchg", "code", "price", "total_volume", "trading_date", "action_date", "action_time"),
}
"""The columns that a layout needs."""


def layout_of(header: Sequence[str]) -> str | None:
    """The layout that a header fits, or None."""
    found = set(header)
    return next((name for name, needed in LAYOUTS.items() if found >= set(needed)), None)


@lru_cache(maxsize=1 << 14)
def _value(text: str) -> float | None:
    if text in _NOTHING:
        return None
    value = float(text)
    return value if -_HUGE < value < _HUGE else None


@lru_cache(maxsize=1 << 14)
def _count(text: str) -> int:
    if text in _NOTHING:
        return 0
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not math.isfinite(value) or abs(value) > _HUGE:
            return 0
        return int(value)


Stamp = Callable[[Sequence[str]], tuple[int, int]]
"""Row → (trading_day, exchange_ns)."""


class RowParser:
    """Turns the rows of one header into ticks. Raises ValueError or IndexError for a row that cannot be one."""

    def __init__(self, header: Sequence[str]) -> None:
        self.layout = layout_of(header)
        if self.layout is None:
            needs = "; or ".join(f"{', '.join(needed)} ({name})" for name, needed in LAYOUTS.items())
            raise LineError(
                f"no recording of ticks has these columns: {', '.join(header) or 'none at all'}. Needed are {needs}"
            )
        names = [_QUOTE_NAMES.get(name, name) for name in header] if self.layout == "quote" else list(header)
        place = {name: number for number, name in enumerate(names)}
        self._width = len(header)
        self._code = place["InstrumentID"]
        self._exchange = place.get("ExchangeID")
        self._volume = place["Volume"]
        self._values = [(place.get(name), name in _ZERO_IS_A_VALUE) for name in _PRICES]
        self._sides = [
            [(place[f"{side}Price{n}"], place[f"{side}Volume{n}"]) for n in _LEVELS if f"{side}Price{n}" in place]
            for side in ("Bid", "Ask")
        ]
        self._stamp = self._stamp_of(place)
        self._local = place.get("Localtime")

    def _stamp_of(self, place: Mapping[str, int]) -> Stamp:
        if self.layout == "ctp":
            day, action, time, ms = (
                place.get(name, -1) for name in ("TradingDay", "ActionDay", "UpdateTime", "UpdateMillisec")
            )

            def stamp(row: Sequence[str]) -> tuple[int, int]:
                action_day = row[action] if action >= 0 else ""
                return int(row[day]), exchange_ns(row[day], action_day, row[time], int(row[ms] or 0))

        elif self.layout == "recorder":
            date, clock = place["Date"], place["Time"]

            def stamp(row: Sequence[str]) -> tuple[int, int]:
                time, _, fraction = row[clock].partition(".")
                trading_day = trading_day_of(row[date], time)
                return int(trading_day), exchange_ns(trading_day, row[date], time, int(fraction.ljust(3, "0")[:3]))

        else:
            day, action, packed = place["TradingDay"], place["ActionDay"], place["action_time"]

            def stamp(row: Sequence[str]) -> tuple[int, int]:
                digits = row[packed].zfill(9)
                time = f"{digits[:2]}:{digits[2:4]}:{digits[4:6]}"
                return int(row[day]), exchange_ns(row[day], row[action], time, int(digits[6:]))

        return stamp

    def instrument(self, row: Sequence[str]) -> tuple[str, str]:
        """``(exchange, code)``. Raises ValueError when neither the row nor the product table knows the exchange."""
        code = row[self._code]
        exchange = row[self._exchange] if self._exchange is not None else ""
        if exchange in _NOTHING:
            exchange = exchange_of(code) or ""
        if not code or not exchange:
            raise ValueError(f"no exchange is known for the contract {code!r}")
        return exchange, code

    def tick(self, row: Sequence[str]) -> Tick:
        """The tick of a row."""
        if len(row) != self._width:
            raise ValueError(f"{len(row)} columns where the header has {self._width}")
        exchange, code = self.instrument(row)
        spread = kind_of(code) == "combination"
        values = []
        for place, zero_counts in self._values:
            value = _value(row[place]) if place is not None else None
            values.append(value if value or zero_counts or spread else None)
        (last, turnover, interest, opened, high, low, close, settlement, average,
         settled, closed, interest_before, upper, lower) = values  # fmt: skip
        trading_day, at_ns = self._stamp(row)
        bid_prices, bid_volumes = self._book(row, self._sides[0])
        ask_prices, ask_volumes = self._book(row, self._sides[1])
        return Tick(
            0, 0, 0, "", "",
            exchange, code, trading_day, at_ns,
            last, _count(row[self._volume]), turnover, interest, opened, high, low, close, settlement, average,
            settled, closed, interest_before, upper, lower,
            bid_prices, bid_volumes, ask_prices, ask_volumes,
        )  # fmt: skip

    @staticmethod
    def _book(
        row: Sequence[str], places: Sequence[tuple[int, int]]
    ) -> tuple[tuple[float | None, ...], tuple[int, ...]]:
        prices: list[float | None] = []
        volumes: list[int] = []
        depth = 0
        for at, (price_at, volume_at) in enumerate(places, 1):
            price, volume = _value(row[price_at]), _count(row[volume_at])
            if price == 0 and volume == 0:
                price = None
            prices.append(price)
            volumes.append(volume)
            if price is not None:
                depth = at
        return tuple(prices[:depth]), tuple(volumes[:depth])

    def arrival_ns(self, row: Sequence[str], tick: Tick) -> int:
        """What to pace by: the recorder's local time where it is in the file, else the exchange's."""
        if self._local is None:
            return tick.exchange_ns
        moment = datetime.strptime(row[self._local], "%Y%m%d_%H:%M:%S").replace(tzinfo=SHANGHAI)
        return int(moment.timestamp()) * 1_000_000_000


@dataclass
class Recording:
    """A file of ticks. Opened anew for every pass; rows are read one by one, so memory stays small."""

    path: Path
    _header: list[str] = field(default_factory=list)

    def _open(self) -> io.TextIOWrapper:
        try:
            with self.path.open("rb") as peek:
                zipped = peek.read(2) == b"\x1f\x8b"
            raw: Any = gzip.open(self.path) if zipped else self.path.open("rb")  # noqa: SIM115 - closed by the wrapper
        except OSError as error:
            raise LineError(f"the recording {self.path} cannot be read: {error.strerror}; check option path") from None
        return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")

    def parser(self) -> RowParser:
        """The parser of the file's header. Raises LineError when the file fits no layout."""
        with self._open() as text:
            return self._parser(csv.reader(text))

    def _parser(self, rows: Iterator[list[str]]) -> RowParser:
        try:
            return RowParser(next(rows, []))
        except (LineError, csv.Error, EOFError, OSError) as error:
            raise LineError(f"the recording {self.path} is not usable: {error}") from None

    def rows(self) -> Iterator[tuple[int, RowParser, list[str]]]:
        """``(line number, parser, row)`` in file order. Raises LineError where the file cannot be read on."""
        number = 1
        with self._open() as text:
            rows = csv.reader(text)
            parser = self._parser(rows)
            try:
                for row in rows:
                    number = rows.line_num
                    if row:
                        yield number, parser, row
            except (csv.Error, EOFError, OSError) as error:
                raise LineError(f"the recording {self.path} breaks off after line {number}: {error}") from None
