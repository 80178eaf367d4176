"""What the arbiter's tests share: a market, lines that carry it with faults, and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.codec import encode_market
from gateway.flow.arbiter import Arbiter, ArbiterEvent, ArbiterRules, Arrival
from gateway.model import UNPUBLISHED, LineId, Tick
from gateway.testing.clock import ManualClock

LINES = tuple(LineId("ctp", name) for name in ("primary", "backup", "third"))
SECOND = 1_000_000_000
NOON = 1_492_142_400 * SECOND


class Topic:
    def __init__(self, name: str) -> None:
        self.name = name
        self.arbitration: Any = None


def market(
    book: int,
    *,
    volume: int,
    day: int = 20170414,
    ns: int = NOON,
    last: float = 100.0,
    scale: float = 1.0,
    limits: float = 1.0,
    quotes: float | None = None,
) -> bytes:
    mid = last if quotes is None else quotes
    return encode_market(
        Tick(
            *UNPUBLISHED, "CZCE", "CF709", day, ns, last * scale, volume, 0.0, 10.0,
            None, None, None, None, None, None, 100.0, 100.0, 10.0, 110.0 * limits, 90.0 * limits,
            ((mid - 1) * scale,), (book,), ((mid + 1) * scale,), (1,),
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Truth:
    """A snapshot as the exchange made it: its place in its contract's stream."""

    contract: int
    place: int
    day: int
    volume: int
    ns: int
    market: bytes

    def __repr__(self) -> str:
        return f"<{self.contract}:{self.place} {self.day} {self.volume}@{self.ns // SECOND % 1000}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def key(self) -> tuple[int, int, int]:
        return self.day, self.volume, self.ns


@dataclass
class Bench:
    """An arbiter, and what it let through: ``out`` holds the exchange's snapshots in order of publishing."""

    lines: int = 2
    reorder_s: float = 0.0
    rules: ArbiterRules = field(default_factory=ArbiterRules)
    events: list[ArbiterEvent] = field(default_factory=list)
    out: list[Truth] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        self.clock = ManualClock(monotonic=0.0)
        self.arbiter = Arbiter(
            LINES[: self.lines], clock=self.clock, events=self.events.append, reorder_s=self.reorder_s, rules=self.rules
        )
        self._topics: dict[int, Topic] = {}

    def arrival(self, truth: Truth) -> Arrival:
        topic = self._topics.setdefault(truth.contract, Topic(f"CZCE.CF{truth.contract}"))
        # the place travels as recv_ns, which the arbiter hands through; the bytes are a line's own copy
        return topic, truth.day, truth.ns, truth.volume, truth.place, bytes(bytearray(truth.market))

    def deliver(self, line: int, *ticks: Truth) -> list[Truth]:
        by_place = {(f"CZCE.CF{tick.contract}", tick.place): tick for tick in ticks}
        self.sent += len(ticks)
        fresh = self.arbiter.admit(LINES[line], [self.arrival(tick) for tick in ticks])
        found = [by_place[one[0].name, one[4]] for one in fresh]
        self.out += found
        return found

    def release(self, now: float, stream: Sequence[Sequence[Truth]]) -> None:
        self.out += [stream[int(one[0].name[7:])][one[4]] for _, one in self.arbiter.release(now)]

    @property
    def dropped(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for reasons in self.arbiter.dropped.values():
            for reason, count in reasons.items():
                total[reason] = total.get(reason, 0) + count
        return total

    def assert_balanced(self) -> None:
        dropped = sum(self.dropped.values())
        assert self.sent == sum(self.arbiter.published.values()) + dropped + self.arbiter.waiting
        assert len(self.out) == sum(self.arbiter.published.values())

    def kinds(self) -> list[tuple[str, LineId, str]]:
        return [(event.kind, event.line, event.reason) for event in self.events]


def per_contract(ticks: Iterable[Truth]) -> dict[int, list[Truth]]:
    split: dict[int, list[Truth]] = {}
    for tick in ticks:
        split.setdefault(tick.contract, []).append(tick)
    return split
