"""A synthetic market that is a pure function of (seed, contract, step).

Nothing is carried from one snapshot to the next, so two processes that started at different moments show the same
market, and a late one joins where the others are. A step is a place on a wall-clock grid (:class:`Grid`). Prices
follow one of a few fixed random walks, indexed by open time; book sizes come from a multiplicative hash of the step.
What a snapshot may be relied on for: prices on the contract's tick and inside its limits, bid below ask, ``low ≤
last ≤ high``, volume, turnover and high never falling (and low never rising) inside a trading day, and no two
successive snapshots of a contract alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from random import Random
from typing import Final

from gateway.model import Contract, Instrument, Tick
from gateway.sources.timetable import ANCHOR_NS, SECOND_NS, Period
from gateway.sources.universe import Product, universe

SATURATION_RATE: Final = 10_000_000
"""Grid steps a second when the rate is unlimited: finer than any producer is fast."""

REACH: Final = 48
"""How many price ticks a walk goes from its start, either way."""

_WALKS: Final = 16
_WALK_LENGTH: Final = 1 << 13
_WALK_STEP_NS: Final = 250_000_000
_GOLDEN: Final = 0x9E3779B1
"""2^32 / golden ratio, odd. Steps that are less than 400,000 apart differ in the top 20 bits of ``step * _GOLDEN``,
because the golden ratio is the number that fractions approach worst: so book sizes differ too."""
_MASK: Final = 0xFFFFFFFF
_SIZES: Final = 1 << 10
_FULL_DEPTH: Final = 5
_MILLISECOND: Final = 1_000_000
_LIMIT: Final = 0.08
"""Futures limits, as a share of the settlement price before."""

_Record = tuple[
    str, str, int, int, int, int, tuple[float, ...], tuple[float, ...], int, int,
    tuple[tuple[int, ...], ...], int, int, float, int, float, float, float, float, float, float, float,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grid:
    """Maps steps to wall times and back, exactly: integers only."""

    rate_milli: int
    """Steps per 1,000 seconds."""

    @classmethod
    def of(cls, rate: float) -> Grid:
        """``rate`` steps a second; 0 is the saturation grid."""
        return cls(round((rate or SATURATION_RATE) * 1000))

    def step_at(self, wall_ns: int) -> int:
        """The last step that is due at the moment."""
        return (wall_ns - ANCHOR_NS) * self.rate_milli // (1000 * SECOND_NS)

    def time_of(self, step: int) -> int:
        """The first nanosecond at which the step is due."""
        return ANCHOR_NS - (-step * 1000 * SECOND_NS) // self.rate_milli

    def first_at(self, wall_ns: int) -> int:
        """The first step that is due at the moment or later."""
        return self.step_at(wall_ns - 1) + 1


class Walks:
    """A few random walks of prices in ticks, and what was highest and lowest so far."""

    def __init__(self, seed: int) -> None:
        columns, highs, lows = [], [], []
        for number in range(_WALKS):
            dice = Random(f"{seed}:walk:{number}")
            at, column = 0, []
            for _ in range(_WALK_LENGTH):
                column.append(at)
                # Up or down by one; the further out, the likelier it is back to the middle. REACH is a wall.
                at += 1 if dice.random() * 2 * REACH > REACH + at else -1
            columns.append(column)
            top = low = 0
            rising, falling = [], []
            for value in column:
                top, low = max(top, value), min(low, value)
                rising.append(top)
                falling.append(low)
            highs.append(rising)
            lows.append(falling)
        self.last = list(zip(*columns, strict=True))
        self.high = list(zip(*highs, strict=True))
        self.low = list(zip(*lows, strict=True))


class Listed:
    """One contract of the market with everything about it that does not move."""

    __slots__ = ("contract", "position", "quiet", "record")

    def __init__(self, contract: Contract, position: int, record: _Record, *, quiet: bool) -> None:
        self.contract = contract
        self.position = position
        self.record = record
        self.quiet = quiet
        """A listed option that nobody trades: it has its snapshot of the morning and no more."""


class Market:
    """Snapshots of ``contracts`` contracts. Building costs about 10 µs a contract; nothing is stored per step."""

    def __init__(self, *, seed: int, contracts: int, exchanges: Sequence[str], quiet: float, grid: Grid) -> None:
        self._seed = seed
        self._grid = grid
        self._walks = Walks(seed)
        self._ladders: dict[tuple[str, str, bool], tuple[tuple[float, ...], tuple[float, ...]]] = {}
        rising = tuple(range(1, _SIZES + 1))
        # A pseudo-random but fixed book: index i shows i + 1 at the best price, so that no two indexes look alike.
        dice = Random(f"{seed}:book")
        self._five = tuple((size, *(dice.randint(1, 400) for _ in range(_FULL_DEPTH - 1))) for size in rising)
        self._one = tuple((size,) for size in rising)
        self.listed: dict[Instrument, Listed] = {}
        for position, (contract, product) in enumerate(universe(contracts, exchanges)):
            self.listed[contract.instrument] = self._list(contract, product, position, quiet)

    @cached_property
    def contracts(self) -> list[Contract]:
        """What the market lists, in its own order."""
        return [item.contract for item in self.listed.values()]

    def _ladder(self, product: Product, kind: str, tick: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """All prices of a product, upwards and downwards. Shared by its contracts; index i is ``i`` ticks."""
        key = (product.exchange, product.options if kind == "option" else product.code, kind == "option")
        if key not in self._ladders:
            top = 640 if kind == "option" else round(product.price * 1.16 / tick)
            upwards = tuple(round(float(number * tick), 6) for number in range(top + 1))
            self._ladders[key] = (upwards, upwards[::-1])
        return self._ladders[key]

    def _list(self, contract: Contract, product: Product, position: int, quiet_share: float) -> Listed:
        exchange, code = contract.instrument.exchange, contract.instrument.code
        digest = blake2b(f"{self._seed}:{exchange}.{code}".encode(), digest_size=16).digest()
        first, second, third, fourth = (int.from_bytes(digest[at : at + 4], "big") for at in (0, 4, 8, 12))
        option = contract.kind == "option"
        tick = contract.price_tick or product.tick
        up, down = self._ladder(product, contract.kind, tick)
        if option:
            open_at = 80 + first % 400
            settle = open_at + first % 9 - 4
            lower, upper = 1, len(up) - 1 - _FULL_DEPTH
        else:
            middle = round(product.price / tick)
            settle = middle + first % (middle // 40 + 1) - middle // 80
            span = max(int(settle * _LIMIT), REACH + 2 * _FULL_DEPTH)
            lower, upper = settle - span, settle + span
            open_at = settle + first % 9 - 4
        depth = _FULL_DEPTH if exchange in ("SHFE", "INE") else 1
        per_contract = contract.multiplier or 1
        average = up[open_at] if exchange == "CZCE" else up[open_at] * per_contract
        record: _Record = (
            exchange,
            code,
            second,
            1 if exchange == "CZCE" else 0,
            third % _WALKS,
            open_at,
            up,
            down,
            len(up) - 1,
            depth,
            self._five if depth == _FULL_DEPTH else self._one,
            5 + fourth % (600 if option else 60_000),
            1 + second % 400,
            up[open_at] * per_contract,
            1000 + fourth % 200_000,
            up[open_at],
            round(average, 6),
            up[settle],
            up[settle - 1],
            float(1000 + fourth % 200_000),
            up[upper],
            up[lower],
        )
        return Listed(contract, position, record, quiet=option and third % 1000 < quiet_share * 1000)

    def snapshots(self, items: Sequence[Listed], step: int, period: Period, advance: int = 1) -> list[Tick]:
        """One snapshot per item: the first at ``step``, each next one ``advance`` (0 or 1) steps later.

        All steps must lie in ``period``.
        """
        ticks: list[Tick] = []
        count, at = len(items), 0
        if not advance and count:
            self._run(items, step, 0, self._grid.time_of(step), period, ticks)
            return ticks
        grid = self._grid
        while at < count:
            time_ns = grid.time_of(step + at)
            # Everything but the book sizes is constant inside a millisecond.
            until = grid.first_at((time_ns // _MILLISECOND + 1) * _MILLISECOND) - step
            end = min(count, max(until, at + 1))
            self._run(items[at:end] if at or end < count else items, step + at, 1, time_ns, period, ticks)
            at = end
        return ticks

    def _run(
        self, items: Sequence[Listed], step: int, advance: int, time_ns: int, period: Period, into: list[Tick]
    ) -> None:
        """Snapshots inside one millisecond. The hot loop: about 1 µs each."""
        stamp = time_ns // _MILLISECOND * _MILLISECOND
        stamps = (stamp, stamp // SECOND_NS * SECOND_NS)
        open_ms = (period.traded_before_ns + stamp - period.opens_ns) // _MILLISECOND
        index = open_ms * _MILLISECOND // _WALK_STEP_NS
        walk = self._walks.last[index & (_WALK_LENGTH - 1)]
        so_far = min(index, _WALK_LENGTH - 1)
        highs, lows = self._walks.high[so_far], self._walks.low[so_far]
        day = period.trading_day
        append = into.append
        hashed = step * _GOLDEN & _MASK
        golden = _GOLDEN if advance else 0
        for item in items:
            (
                exchange, code, salt, coarse, way, middle, up, down, top, depth, sizes, activity, auctioned, worth,
                interest, opened, average, settled, closed, interest_before, upper, lower,
            ) = item.record  # fmt: skip
            mixed = (hashed + salt) & _MASK
            hashed += golden
            at = middle + walk[way]
            bid = at - (mixed & 1)
            volume = auctioned + (open_ms * activity >> 20)
            low = top - bid
            append(Tick(
                0, 0, 0, "", "",
                exchange, code, day, stamps[coarse],
                up[at], volume, volume * worth, interest + float(volume >> 3),
                opened, up[middle + highs[way]], up[middle + lows[way]], None, None, average,
                settled, closed, interest_before, upper, lower,
                down[low : low + depth], sizes[mixed >> 22],
                up[bid + 1 : bid + 1 + depth], sizes[mixed >> 12 & 1023],
            ))  # fmt: skip

    def auction(self, item: Listed, period: Period, *, matched: bool = False) -> Tick:
        """The snapshot before the open: nothing traded and no book yet, or, once ``matched``, the opening trade."""
        (
            exchange, code, _, _, _, _, _, _, _, _, _, _, auctioned, worth,
            interest, opened, average, settled, closed, interest_before, upper, lower,
        ) = item.record  # fmt: skip
        traded = matched and not item.quiet
        price = opened if traded else None
        volume = auctioned if traded else 0
        return Tick(
            0, 0, 0, "", "",
            exchange, code, period.trading_day,
            period.auction_ns - (0 if matched else 60 * SECOND_NS),
            opened if traded else closed, volume, volume * worth if traded else 0.0,
            interest + float(volume >> 3),
            price, price, price, None, None, average if traded else None,
            settled, closed, interest_before, upper, lower, (), (), (), (),
        )  # fmt: skip
