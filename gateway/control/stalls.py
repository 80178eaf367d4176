"""Contracts that stopped although their line goes on. A part of all contracts is looked at per look, in turn.

A contract is judged by its own history of the running session: illiquid options are quiet, not stalled. Recorded day
2017-04-14: the longest pause of a contract (100 s, SF705) was 2.5 times its longest pause before, so three times is
allowed and 60 s at the least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.control.openings import Group, Openings
from gateway.model import Instrument

_NS: Final = 1_000_000_000


class Mark(Protocol):
    """A contract's last tick. ``flow.topics.Topic`` is one."""

    @property
    def instrument(self) -> Instrument: ...
    @property
    def recv_ns(self) -> int:
        """Of the last tick; 0: none yet."""

    @property
    def seq(self) -> int:
        """Ticks so far; never falls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StallRules:
    """Seconds, unless named otherwise."""

    stalled_s: float = 60.0
    """Silence of one contract (``MD_FAILOVER_THRESHOLD_SECONDS``) that is never too short to be noticed."""
    times: float = 3.0
    """Its own longest pause in this session, times this, is allowed."""
    history_ticks: int = 20
    history_s: float = 300.0
    """With less history than both a contract is quiet, not stalled."""
    slices: int = 8
    """A look visits one slice, so each contract is visited every ``slices`` looks (2 s)."""
    forget_s: float = 10_800.0
    """A product that was closed for so long begins a new history."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A contract stopped, or came back."""

    instrument: Instrument
    back: bool
    last_tick_ns: int
    silent_ns: int
    usual_ns: int


class _Past:
    """What is remembered of one contract."""

    __slots__ = ("first_ns", "group", "last_ns", "longest_ns", "opened_ns", "seq", "stalled")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.stalled = False
        self.begin(0, 0)

    def begin(self, seq: int, last_ns: int) -> None:
        """A new history."""
        self.first_ns = 0
        self.seq = seq
        self.last_ns = last_ns
        self.longest_ns = 0
        self.opened_ns = self.group.opened_ns


class Stalls:
    """The contracts of one line."""

    def __init__(self, rules: StallRules, openings: Openings) -> None:
        self._rules, self._openings = rules, openings
        self._marks: Sequence[Mark] | None = None
        self._pasts: list[_Past] = []
        self._slice = 0
        self.stalled: set[Instrument] = set()

    def look(self, marks: Sequence[Mark], now_ns: int, since_ns: int, *, learn_only: bool) -> Iterator[Stall]:
        """Visit the next slice. ``since_ns``: no pause starts before (login). ``marks`` may grow at its end."""
        if marks is not self._marks or len(marks) < len(self._pasts):
            self._marks, self._pasts, self._slice = marks, [], 0
            self.stalled.clear()
        for mark in marks[len(self._pasts) :]:
            self._pasts.append(_Past(self._openings.group(mark.instrument, now_ns)))
        size = -(-len(marks) // self._rules.slices)
        begin = self._slice * size
        self._slice = (self._slice + 1) % self._rules.slices
        stalled_ns = round(self._rules.stalled_s * _NS)
        for mark, past in zip(marks[begin : begin + size], self._pasts[begin : begin + size], strict=True):
            last_ns = mark.recv_ns
            if last_ns != past.last_ns:
                if past.stalled:
                    yield self._back(mark, past, now_ns)
                self._ticked(mark, past, last_ns, since_ns)
            elif past.group.phase == "open" and last_ns and not past.stalled and not learn_only:
                silent_ns = now_ns - max(last_ns if last_ns <= now_ns else 0, past.group.opened_ns, since_ns)
                if silent_ns >= stalled_ns and (usual_ns := self._usual_ns(mark, past, now_ns)) <= silent_ns:
                    past.stalled = True
                    self.stalled.add(mark.instrument)
                    yield Stall(mark.instrument, False, last_ns, silent_ns, usual_ns)

    def _ticked(self, mark: Mark, past: _Past, last_ns: int, since_ns: int) -> None:
        group = past.group
        if past.opened_ns != group.opened_ns:
            # a break or a night lies between: no pause of the market
            if group.opened_ns - group.closed_ns >= self._rules.forget_s * _NS and group.closed_ns > past.opened_ns:
                past.begin(mark.seq, last_ns)
            past.opened_ns, past.last_ns = group.opened_ns, last_ns
        if not past.first_ns and last_ns >= group.opened_ns:
            past.first_ns, past.seq = last_ns, mark.seq
        if past.last_ns >= max(group.opened_ns, since_ns):
            past.longest_ns = max(past.longest_ns, last_ns - past.last_ns)
        past.last_ns = last_ns

    def _usual_ns(self, mark: Mark, past: _Past, now_ns: int) -> int:
        """The silence that its history allows; more than any silence when there is not enough history."""
        rules = self._rules
        if not past.first_ns or mark.seq - past.seq < rules.history_ticks:
            return now_ns
        if now_ns - past.first_ns < rules.history_s * _NS:
            return now_ns
        return round(past.longest_ns * rules.times)

    def _back(self, mark: Mark, past: _Past, now_ns: int) -> Stall:
        last_ns, past.last_ns, past.stalled = past.last_ns, mark.recv_ns, False  # a stall is not learned from
        self.stalled.discard(mark.instrument)
        return Stall(mark.instrument, True, mark.recv_ns, now_ns - last_ns, 0)
