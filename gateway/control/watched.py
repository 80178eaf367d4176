"""What the watchdog is shown of a line, and what it remembers of it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.control.openings import Group, Openings
from gateway.control.pauses import PauseRules, Pauses
from gateway.control.stalls import Mark, StallRules, Stalls


class LineSight(Protocol):
    """One line as the watchdog sees it; all of it as of now."""

    @property
    def name(self) -> str: ...
    @property
    def up(self) -> bool:
        """Logged in, and meant to be."""

    @property
    def up_since_ns(self) -> int: ...
    @property
    def ticks(self) -> int:
        """Delivered so far."""

    @property
    def last_tick_ns(self) -> int:
        """``recv_ns`` of the last tick; 0: none."""

    @property
    def peers(self) -> Collection[str]:
        """Lines that carry the same contracts now."""

    @property
    def leads(self) -> bool:
        """Whether its contracts are judged here, and not at a peer that comes before it."""

    @property
    def marks(self) -> Sequence[Mark]:
        """A mark per contract that it carries, ticked or not. It grows at its end; anything else is a new object."""


class Sight(Protocol):
    """What the watchdog needs of one feed. Called on the loop."""

    def lines(self) -> Sequence[LineSight]:
        """All lines."""

    async def probe(self, line: str) -> bool:
        """As ``FeedControl.probe``: a sign of life, within a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """Seconds."""

    look_s: float = 0.25
    probe_s: float = 1.0
    """How long a probe may take; it starts so much before the threshold, but not in its first two thirds."""
    skew_s: float = 0.5
    """Another line's tick counts as evidence when it is so much later than this line's last one."""
    pauses: PauseRules = field(default_factory=PauseRules)
    stalls: StallRules = field(default_factory=StallRules)


class Watched:
    """What is remembered of one line."""

    def __init__(self, rules: WatchRules, openings: Openings) -> None:
        self._openings = openings
        self._marks: Sequence[Mark] | None = None
        self._marked = 0
        self._groups: dict[int, Group] = {}
        self.pauses = Pauses(rules.pauses)
        self.stalls = Stalls(rules.stalls, openings)
        self.probe: asyncio.Task[bool] | None = None
        self.silent = False
        self.ticks = -1
        self.last_ns = 0
        self.not_before_ns = 0
        """No clock of this line starts earlier: its login, a step of the clock."""
        self.alive_ns = 0
        """The last probe that was answered."""
        self.seen_ns = 0
        """The look that saw the last ticks."""
        self.up_since_ns = -1
        self.ahead: dict[str, tuple[int, int]] = {}

    def groups(self, line: LineSight, now_ns: int) -> Collection[Group]:
        """The products that the line carries."""
        marks = line.marks
        if marks is not self._marks or len(marks) < self._marked:
            self._marks, self._marked, self._groups = marks, 0, {}
        if len(marks) > self._marked:
            for mark in marks[self._marked :]:
                group = self._openings.group(mark.instrument, now_ns)
                self._groups[id(group)] = group
            self._marked = len(marks)
        self.pauses.market(frozenset(key for key, group in self._groups.items() if group.open), now_ns)
        return self._groups.values()

    def down(self) -> None:
        """Not logged in: that is for others to say."""
        self.drop_probe()
        self.silent = False
        self.up_since_ns = -1

    def up(self, line: LineSight, now_ns: int) -> None:
        """Logged in anew."""
        self.up_since_ns = line.up_since_ns
        self.not_before_ns = max(line.up_since_ns, self.not_before_ns)
        self.not_before_ns = min(self.not_before_ns, now_ns)  # the clock may have gone back
        self.alive_ns = 0
        self.ticks, self.last_ns = line.ticks, 0
        self.silent = False
        self.ahead.clear()

    def starts(self, line: LineSight, opened: int) -> int:
        """When the line's clock started."""
        # a stamp from before the clock was set back lies in the future: then the look that saw it counts
        return max(min(line.last_tick_ns, self.seen_ns), opened, self.not_before_ns, self.alive_ns)

    def restart(self, now_ns: int) -> None:
        """Silence begins now: the clock stepped, or nobody looked."""
        self.not_before_ns = self.seen_ns = now_ns
        self.alive_ns = 0
        self.ahead.clear()
        self.drop_probe()

    def ticked(self, line: LineSight, opened: int | None, now_ns: int) -> None:
        """New ticks since the last look."""
        self.seen_ns = now_ns
        self.pauses.ticked(line.ticks - self.ticks, learn=opened is not None)
        self.ticks, self.last_ns = line.ticks, line.last_tick_ns
        self.ahead.clear()
        self.drop_probe()

    def alive(self, now_ns: int) -> None:
        """A probe was answered."""
        self.pauses.ticked(0, learn=True)
        self.alive_ns = now_ns
        self.ahead.clear()
        self.drop_probe()

    def drop_probe(self) -> None:
        if self.probe is not None:
            self.probe.cancel()
            self.probe = None
