"""A feed for the tests of failover: lines that log in, tick, refuse, hang or die as told, on a manual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.control.failover import Failover
from gateway.errors import LineError
from gateway.model import Instrument, LineState
from gateway.plan import LineFacts, Plan
from gateway.testing.clock import ManualClock

RB = Instrument("SHFE", "rb2510")
AG = Instrument("SHFE", "ag2512")
WANTED = frozenset({RB, AG})


@dataclass
class ActedLine:
    name: str
    login_s: float = 0.3
    refuses: bool = False
    """The front never answers; its timer gives up after 5 s."""
    confirms: bool = True
    ticks: bool = True
    state: LineState = LineState.IDLE
    parked: bool = True
    carry: frozenset[Instrument] = frozenset()
    confirmed: int = 0
    history: dict[Instrument, list[int]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class ActedFeed:
    """Implements FeedControl."""

    def __init__(self, clock: ManualClock, *names: str) -> None:
        self.clock = clock
        self.lines = {name: ActedLine(name) for name in names}
        self.failover: Failover | None = None
        self.applied: list[Plan] = []
        self.probes: list[str] = []
        self.breaks_apply = False
        self.apply_s = 0.0

    # -- FeedControl -------------------------------------------------------------------------------------------

    def facts(self) -> Sequence[LineFacts]:
        return [
            LineFacts(name=line.name, state=line.state, role="cold" if line.parked else "hot")
            for line in self.lines.values()
        ]

    def wanted(self) -> frozenset[Instrument]:
        return WANTED

    async def apply(self, plan: Plan) -> None:
        if self.breaks_apply:
            raise LineError("the order cannot be given")
        await self.clock.sleep(self.apply_s)
        self.applied.append(plan)
        for line in self.lines.values():
            line.carry = plan.carries(line.name, WANTED)
            if line.name in plan.login and line.parked:
                line.parked = False
                line.task = asyncio.create_task(self._live(line))
            elif line.name not in plan.login and not line.parked:
                await self.park(line)

    def confirmed(self, line: str) -> int:
        return self.lines[line].confirmed

    def ticking(self, line: str) -> Iterable[Instrument]:
        return list(self.lines[line].history)

    def last_tick_ns(self, line: str, instrument: Instrument | None = None) -> int | None:
        history = self.lines[line].history
        chosen = history.values() if instrument is None else [history.get(instrument, [])]
        return max((moments[-1] for moments in chosen if moments), default=None)

    def first_tick_after(self, line: str, instrument: Instrument | None, after_ns: int) -> int | None:
        history = self.lines[line].history
        chosen = history.values() if instrument is None else [history.get(instrument, [])]
        return min((moment for moments in chosen for moment in moments if moment > after_ns), default=None)

    async def probe(self, line: str) -> bool:
        self.probes.append(line)
        return self.lines[line].state.is_up and self.lines[line].ticks

    # -- the play ----------------------------------------------------------------------------------------------

    def set(self, line: ActedLine, state: LineState, reason: str = "") -> None:
        line.state = state
        if not state.is_up:
            line.confirmed = 0
        if self.failover is not None:
            self.failover.line_changed(line.name, state, reason)

    async def _live(self, line: ActedLine) -> None:
        while True:
            self.set(line, LineState.CONNECTING)
            if line.refuses:
                await self.clock.sleep(5)
                self.set(line, LineState.LOST, "no connection in time")
                await self.clock.sleep(0.5)
                continue
            await self.clock.sleep(line.login_s)
            self.set(line, LineState.LOGGED_IN)
            await self._stream(line)

    async def _stream(self, line: ActedLine) -> None:
        while True:
            line.confirmed = len(line.carry) if line.confirms else 0
            if line.ticks and line.confirms:
                for instrument in sorted(line.carry):
                    line.history.setdefault(instrument, []).append(self.clock.wall_ns())
                if line.carry and line.state is LineState.LOGGED_IN:
                    self.set(line, LineState.STREAMING)
            await self.clock.sleep(0.25)

    async def kill(self, name: str, reason: str = "killed", *, refuses: bool = True) -> None:
        """The line dies; it tries again after half a second, and finds the front refusing or not."""
        line = self.lines[name]
        line.refuses = refuses
        await self._stop(line)
        self.set(line, LineState.LOST, reason)

        async def again() -> None:
            await self.clock.sleep(0.5)
            await self._live(line)

        line.task = asyncio.create_task(again())

    async def revive(self, name: str) -> None:
        line = self.lines[name]
        line.refuses = False
        if not line.parked:
            await self._stop(line)
            line.task = asyncio.create_task(self._live(line))

    async def park(self, line: ActedLine) -> None:
        line.parked = True
        await self._stop(line)
        self.set(line, LineState.IDLE, "parked")

    async def _stop(self, line: ActedLine) -> None:
        if line.task is not None:
            line.task.cancel()
            await asyncio.gather(line.task, return_exceptions=True)
            line.task = None

    async def aclose(self) -> None:
        for line in self.lines.values():
            await self._stop(line)
