"""Coverage as of now: counted on demand, in one pass over what is wanted. Nothing is kept per tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.flow.carried import Feed, Stream
from gateway.model import Instrument

_TICKING, _QUIET, _STALLED, _MISSING = range(4)


class StallRules(Protocol):
    """When silence of a contract in an open or auction phase is a stall (the watchdog knows)."""

    @property
    def fresh_ns(self) -> int:
        """Younger than this is ticking, whatever the contract. Nanoseconds."""

    def is_stalled(self, instrument: Instrument, silent_ns: int) -> bool:
        """Whether a contract that ticked before should have ticked by now; else it is quiet."""


@dataclass(frozen=True, slots=True)
class FixedRules:
    """The same for every contract: silent for ``after_ns`` in session is stalled."""

    after_ns: int = 60_000_000_000
    fresh_ns: int = 3_000_000_000

    def is_stalled(self, instrument: Instrument, silent_ns: int) -> bool:  # noqa: ARG002 - the protocol's parameters
        return silent_ns >= self.after_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductCoverage:
    """The contracts of one product in numbers; they add up as those of the feed do."""

    exchange: str
    product: str
    """``rb``, ``MA``, ``IO``; contracts with numbers for codes count under their exchange's name."""
    wanted: int
    ticking: int
    quiet: int
    stalled: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One feed as of one moment: ``wanted = confirmed + missing`` and ``confirmed = ticking + quiet + stalled``."""

    feed: str
    session: str
    """``day``, ``night`` or ``closed``"""
    at_ns: int
    wanted: int
    confirmed: int
    """A line that is up has the contract confirmed."""
    ticking: int
    """Confirmed, and ticked lately."""
    quiet: tuple[Instrument, ...]
    """Confirmed and silent, and that is as it should be: no tick yet, a break, out of session, rarely traded."""
    stalled: tuple[Instrument, ...]
    """Confirmed, in session, and silent for too long."""
    missing: tuple[Instrument, ...]
    """Wanted, and no line carries it."""
    unexpected: tuple[Instrument, ...]
    """A line carries it, and nobody wants it."""
    products: tuple[ProductCoverage, ...] = ()
    """By exchange and product."""

    @property
    def ratio(self) -> float | None:
        """Confirmed divided by wanted; None while nothing is wanted."""
        return self.confirmed / self.wanted if self.wanted else None


def count_coverage(
    feed: Feed, session: str, rules: StallRules, stream_of: Callable[[Instrument], Stream | None], now: int
) -> Coverage:
    """One feed as of ``now`` (Unix nanoseconds)."""
    quiet: list[Instrument] = []
    stalled: list[Instrument] = []
    missing: list[Instrument] = []
    ticking = 0
    products: dict[tuple[str, str], list[int]] = {}
    fresh_from, is_stalled = now - rules.fresh_ns, rules.is_stalled
    for group in feed.groups.values():
        in_session = group.hours.at(now).phase in ("open", "auction")
        for contract in group.contracts:
            counts = products.get(contract.product)
            if counts is None:
                counts = products[contract.product] = [0, 0, 0, 0]
            if not contract.lines:
                missing.append(contract.instrument)
                counts[_MISSING] += 1
                continue
            stream = contract.stream
            if stream is None:
                stream = contract.stream = stream_of(contract.instrument)
            if stream is None or not stream.seq:
                quiet.append(contract.instrument)
                counts[_QUIET] += 1
            elif stream.recv_ns > fresh_from:
                ticking += 1
                counts[_TICKING] += 1
            elif in_session and is_stalled(contract.instrument, now - stream.recv_ns):
                stalled.append(contract.instrument)
                counts[_STALLED] += 1
            else:
                quiet.append(contract.instrument)
                counts[_QUIET] += 1
    carried: set[Instrument] = set().union(*feed.carried.values())
    return Coverage(
        feed=feed.name,
        session=session,
        at_ns=now,
        wanted=len(feed.contracts),
        confirmed=len(feed.contracts) - len(missing),
        ticking=ticking,
        quiet=tuple(quiet),
        stalled=tuple(stalled),
        missing=tuple(missing),
        unexpected=tuple(sorted(carried - feed.wanted)),
        products=tuple(_product(*key, counts) for key, counts in sorted(products.items())),
    )


def _product(exchange: str, product: str, counts: list[int]) -> ProductCoverage:
    return ProductCoverage(
        exchange=exchange,
        product=product,
        wanted=sum(counts),
        ticking=counts[_TICKING],
        quiet=counts[_QUIET],
        stalled=counts[_STALLED],
        missing=counts[_MISSING],
    )
