"""Vendor records as ticks: pure, in batches, one ``unpack`` and one ``Tick`` a record.

What comes out differs from what the counter sends in these points:

* DBL_MAX, infinities and NaN are None. So is 0.0 where it means the same: open, high, low and last before the first
  trade, close, settlement, average, the previous day's prices, and limits that are both zero.
* Levels are cut off after the last one that was sent; a side may have none.
* The time stamp follows :mod:`gateway.thost.dates`; CZCE's milliseconds are zero, so several of its ticks share one.
* ``exchange`` is filled in when the vendor leaves it empty, from the instruments that were asked for.

Rejected, with these words as counters: ``size`` (no depth struct), ``no_time`` (empty UpdateTime), ``bad_time``,
``bad_day``, ``bad_instrument`` (empty or undecodable), ``unknown_exchange``, ``bad_volume`` (negative).
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import hypot
from typing import ClassVar, Final

from gateway.model import Instrument, Tick
from gateway.thost import dates

_MOST_TEXTS: Final = 65_536
_MOST_DAYS: Final = 1_024
_MOST_TIMES: Final = 100_000
_LIMIT: Final = 1e150
"""No price, turnover or open interest is as large; DBL_MAX, infinity and NaN fail ``< _LIMIT``. So does the ``hypot``
of many numbers when one of them does: squares cannot cancel each other, and one call in C checks them all."""
_DBL_MAX: Final = sys.float_info.max
_MORNING_NS: Final = dates.MORNING_NS
_EVENING_NS: Final = dates.EVENING_NS
_CZCE: Final = "CZCE"
_EXCHANGE = re.compile(r"[A-Z][A-Z0-9]{1,7}")
_PRODUCT = re.compile(r"[A-Za-z]+")


class Rejected(Exception):  # noqa: N818 - it is a verdict on a record, not an error of ours
    """A record that cannot be a tick; the argument is the counter's word."""


class Parser:
    """Decodes records. Not for several threads at once; keeps bounded tables of what it has seen.

    A plugin subclasses it with its struct.
    """

    record: ClassVar[struct.Struct]
    """What a tick needs of the depth struct, in memory order: a first text, ExchangeID, the numbers, UpdateTime,
    UpdateMillisec, the levels, AveragePrice, a last text. Texts that lie side by side are best read as one."""
    nights: ClassVar[bool] = True
    """Whether the market has night sessions, whose ticks belong to the next trading day."""
    spellings: ClassVar[Mapping[str, str]] = {}
    """How the counter spells an exchange → how Feedgate does, where they differ."""

    def __init__(self, exchanges: Mapping[str, str] | None = None) -> None:
        """``exchanges`` maps contract codes or product letters to exchanges: ``{"rb": "SHFE", "IF2512": "CFFEX"}``."""
        self._exchanges = dict(exchanges or {})
        self._asked: dict[str, str] = {}
        self._texts: dict[tuple[bytes, bytes, bytes], tuple[str, str, dates.Days, int]] = {}
        self._days: dict[tuple[bytes, bytes], dates.Days] = {}
        self._times: dict[bytes, int] = {}

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """Know the exchange of these from now on."""
        self._asked.update((instrument.code, instrument.exchange) for instrument in instruments)
        self._texts.clear()

    def exchange_of(self, code: str) -> str | None:
        """The exchange of a bare code: as asked for, then by the options' map, then by its product letters."""
        known = self._asked.get(code) or self._exchanges.get(code)
        if known is None and (product := _PRODUCT.match(code)):
            known = self._exchanges.get(product[0])
        return known

    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> list[Tick]:  # noqa: C901, PLR0912, PLR0915 - a call more a tick costs 5 %
        """Decode ``(recv_ns, record)`` in order. Never raises on bad bytes: they are rejected and left out."""
        ticks: list[Tick] = []
        append = ticks.append
        texts, times, unpack = self._texts, self._times, self.record.unpack
        for recv_ns, record in records:
            try:
                (
                    first_text, exchange_text,
                    last, pre_settlement, pre_close, pre_open_interest, open_, high, low,
                    volume, turnover, open_interest, close, settlement, upper, lower,
                    time_text, millisecond,
                    b1, bv1, a1, av1, b2, bv2, a2, av2, b3, bv3, a3, av3, b4, bv4, a4, av4, b5, bv5, a5, av5,
                    average, last_text,
                ) = unpack(record)  # fmt: skip
                exchange, code, days, day_ns = texts[last_text, first_text, exchange_text]
                time_ns = times[time_text]
            except struct.error:
                reject("size")
                continue
            except KeyError:
                try:
                    exchange, code, days, day_ns, time_ns = self._read(last_text, first_text, exchange_text, time_text)
                except Rejected as verdict:
                    reject(verdict.args[0])
                    continue
            if not 0 <= millisecond < 1000:  # noqa: PLR2004 - milliseconds of a second
                reject("bad_time")
                continue
            time_ns += millisecond * 1_000_000
            trading_day = days.trading_day
            if day_ns and _MORNING_NS <= time_ns < _EVENING_NS:
                exchange_ns = day_ns + time_ns
            else:
                exchange_ns = dates.exchange_ns(days, time_ns, recv_ns)
                if not trading_day or (exchange == _CZCE and exchange_ns == days.action_ns + time_ns):
                    # CZCE through some counters: the calendar day as trading day, also in the evening
                    trading_day = max(trading_day, dates.trading_day_at(exchange_ns))
            if (volume | bv1 | bv2 | bv3 | bv4 | bv5 | av1 | av2 | av3 | av4 | av5) < 0:
                reject("bad_volume")
                continue

            if not (
                volume and pre_settlement and pre_close and average and upper
                and hypot(
                    last, pre_settlement, pre_close, open_, high, low, upper, lower, average,
                    turnover, open_interest, pre_open_interest,
                ) < _LIMIT
            ):  # fmt: skip
                turnover, open_interest, pre_open_interest = (
                    _number(turnover), _number(open_interest), _number(pre_open_interest))  # fmt: skip
                average, pre_settlement, pre_close = _price(average), _price(pre_settlement), _price(pre_close)
                reading = _number if volume else _price
                last, open_, high, low = reading(last), reading(open_), reading(high), reading(low)
                upper, lower = _number(upper), _number(lower)
                if not upper and not lower:
                    upper = lower = None
            if close == _DBL_MAX:
                close = None
            elif not 0.0 < close < _LIMIT:
                close = _price(close)
            if settlement == _DBL_MAX:
                settlement = None
            elif not 0.0 < settlement < _LIMIT:
                settlement = _price(settlement)

            bid_prices: tuple[float | None, ...]
            ask_prices: tuple[float | None, ...]
            bid_volumes: tuple[int, ...]
            ask_volumes: tuple[int, ...]
            if (
                b2 != b3 and b1 and b2 and b3 and b4 and b5 and a1 and a2 and a3 and a4 and a5
                and hypot(b1, b2, b3, b4, b5, a1, a2, a3, a4, a5) < _LIMIT
            ):  # fmt: skip
                bid_prices, bid_volumes = (b1, b2, b3, b4, b5), (bv1, bv2, bv3, bv4, bv5)
                ask_prices, ask_volumes = (a1, a2, a3, a4, a5), (av1, av2, av3, av4, av5)
            elif (
                b2 == b3 == b4 == b5 == a2 == a3 == a4 == a5
                and b1
                and a1
                and hypot(b1, a1) < _LIMIT
                and (b2 == _DBL_MAX or not (b2 or bv2 or bv3 or bv4 or bv5 or av2 or av3 or av4 or av5))
            ):
                bid_prices, bid_volumes = (b1,), (bv1,)
                ask_prices, ask_volumes = (a1,), (av1,)
            else:
                bid_prices, bid_volumes = _levels((b1, b2, b3, b4, b5), (bv1, bv2, bv3, bv4, bv5))
                ask_prices, ask_volumes = _levels((a1, a2, a3, a4, a5), (av1, av2, av3, av4, av5))
            tick = Tick(
                0, 0, 0, "", "",  # UNPUBLISHED; unpacking it would double the cost of the call
                exchange, code, trading_day, exchange_ns,
                last, volume, turnover, open_interest, open_, high, low, close, settlement, average,
                pre_settlement, pre_close, pre_open_interest, upper, lower,
                bid_prices, bid_volumes, ask_prices, ask_volumes,
            )  # fmt: skip
            append(tick)
        return ticks

    def split(self, first_text: bytes, last_text: bytes) -> tuple[bytes, bytes, bytes]:
        """TradingDay, ActionDay and InstrumentID, out of the two texts of :attr:`record`."""
        raise NotImplementedError

    def _read(
        self, last_text: bytes, first_text: bytes, exchange_text: bytes, time_text: bytes
    ) -> tuple[str, str, dates.Days, int, int]:
        """Exchange, code, days, the midnight of plain days (else 0) and the time of day, remembered for the next."""
        trading_text, action_text, code_text = self.split(first_text, last_text)
        exchange, code = self._name(exchange_text, code_text)
        time_ns = self._times.get(time_text)
        if time_ns is None:
            time_ns = self._time(time_text)
        days = self._days.get((action_text, trading_text)) or self._read_days(action_text, trading_text)
        day_ns = days.day_ns if days.plain else 0
        if len(self._texts) >= _MOST_TEXTS:
            self._texts.clear()
        self._texts[last_text, first_text, exchange_text] = exchange, code, days, day_ns
        return exchange, code, days, day_ns, time_ns

    def _name(self, exchange_text: bytes, code_text: bytes) -> tuple[str, str]:
        try:
            code = code_text.partition(b"\0")[0].decode("gb18030")
        except UnicodeDecodeError:
            raise Rejected("bad_instrument") from None
        if not code.strip() or not code.isprintable():
            raise Rejected("bad_instrument")
        sent = exchange_text.partition(b"\0")[0].decode("latin-1").strip()
        exchange = self.spellings.get(sent, sent) if _EXCHANGE.fullmatch(sent) else self.exchange_of(code)
        if exchange is None:
            raise Rejected("unknown_exchange")
        return exchange, code

    def _time(self, text: bytes) -> int:
        clean = text.partition(b"\0")[0].strip()
        if not clean:
            raise Rejected("no_time")
        value = dates.parse_time(clean)
        if value is None:
            raise Rejected("bad_time")
        if len(self._times) >= _MOST_TIMES:
            self._times.clear()
        self._times[text] = value
        return value

    def _read_days(self, action_text: bytes, trading_text: bytes) -> dates.Days:
        days = dates.read_days(action_text.partition(b"\0")[0], trading_text.partition(b"\0")[0], nights=self.nights)
        if days is None:
            raise Rejected("bad_day")
        if len(self._days) >= _MOST_DAYS:
            self._days.clear()
        self._days[action_text, trading_text] = days
        return days


def _number(value: float) -> float | None:
    return value if -_LIMIT < value < _LIMIT else None


def _price(value: float) -> float | None:
    return value if -_LIMIT < value < _LIMIT and value != 0.0 else None


def _levels(prices: tuple[float, ...], volumes: tuple[int, ...]) -> tuple[tuple[float | None, ...], tuple[int, ...]]:
    """A side without the levels that were not sent. A hole between sent levels stays, as None."""
    count = 5
    while count:
        price = prices[count - 1]
        if -_LIMIT < price < _LIMIT and (price != 0.0 or volumes[count - 1]):
            break
        count -= 1
    kept = prices[:count]
    if all(-_LIMIT < price < _LIMIT and price for price in kept):
        return kept, volumes[:count]
    return tuple(
        price if -_LIMIT < price < _LIMIT and (price != 0.0 or volume) else None
        for price, volume in zip(kept, volumes, strict=False)
    ), volumes[:count]
