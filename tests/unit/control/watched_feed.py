"""A feed for the tests of the watchdog: lines and contracts that tick when a test says so, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.control.events import ControlEvent
from gateway.control.switching import Phases
from gateway.control.watchdog import Watchdog
from gateway.control.watched import WatchRules
from gateway.model import Instrument

NS = 10**9
LOOK_NS = NS // 4


class Turned:
    """A clock whose two faces a test turns."""

    def __init__(self, wall_ns: int) -> None:
        self.now_ns = wall_ns
        self.stepped_ns = 0

    def wall_ns(self) -> int:
        return self.now_ns + self.stepped_ns

    def monotonic(self) -> float:
        return self.now_ns / NS


class Dot:
    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.recv_ns = 0
        self.seq = 0


class WatchedLine:
    def __init__(self, name: str, up_since_ns: int) -> None:
        self.name = name
        self.up = True
        self.up_since_ns = up_since_ns
        self.ticks = 0
        self.last_tick_ns = 0
        self.peers: tuple[str, ...] = ()
        self.leads = True
        self.marks: list[Dot] = []
        self.mute = False
        """The test's fault: ticks do not reach the gateway, probes are not answered."""
        self._dots: dict[Instrument, Dot] = {}

    def carry(self, *instruments: Instrument) -> None:
        for instrument in instruments:
            if instrument not in self._dots:
                self._dots[instrument] = dot = Dot(instrument)
                self.marks.append(dot)

    def tick(self, instrument: Instrument, moment_ns: int) -> None:
        if self.mute or not self.up:
            return
        dot = self._dots[instrument]
        dot.recv_ns = self.last_tick_ns = moment_ns
        dot.seq += 1
        self.ticks += 1


class WatchedFeed:
    """Implements Sight."""

    def __init__(self, phases: Phases, wall_ns: int, *names: str, rules: WatchRules | None = None) -> None:
        self.clock = Turned(wall_ns)
        self.by_name = {name: WatchedLine(name, wall_ns) for name in names}
        self.events: list[ControlEvent] = []
        self.probes: list[tuple[str, int]] = []
        self.watchdog = Watchdog("ctp", self, phases, self.clock, self.events.append, rules=rules)

    def lines(self) -> Sequence[WatchedLine]:
        return list(self.by_name.values())

    async def probe(self, line: str) -> bool:
        self.probes.append((line, self.clock.now_ns))
        one = self.by_name[line]
        return one.up and not one.mute

    async def look(self) -> None:
        self.watchdog.look()
        await asyncio.sleep(0)  # a probe that was begun is answered before the next look

    async def until(self, moment_ns: int) -> None:
        """Look every 250 ms up to that moment."""
        while self.clock.now_ns + LOOK_NS <= moment_ns:
            self.clock.now_ns += LOOK_NS
            await self.look()

    async def play(self, ticks: Sequence[tuple[int, Instrument]], *names: str) -> None:
        """Deliver these on every named line, looking in between."""
        lines = [self.by_name[name] for name in names or self.by_name]
        for moment_ns, instrument in ticks:
            if moment_ns - self.clock.now_ns >= LOOK_NS:
                await self.until(moment_ns)
            for line in lines:
                line.tick(instrument, moment_ns)

    def told(self, kind: type[ControlEvent]) -> list[ControlEvent]:
        return [event for event in self.events if isinstance(event, kind)]
