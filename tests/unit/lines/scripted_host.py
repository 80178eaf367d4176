"""A line whose process is played by the test: it says what it is told to say, and writes down what it is ordered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from gateway.clock import Clock
from gateway.flow.topics import Topics
from gateway.lines.cells import RECEIVED, Cells
from gateway.lines.frame import TickPacker
from gateway.lines.hosts import HostEvents
from gateway.lines.line import Line
from gateway.lines.messages import (
    Beat,
    Called,
    Confirmed,
    FromLine,
    Ready,
    Refused,
    StateChanged,
    Subscribe,
    ToLine,
    Unsubscribe,
    Unsubscribed,
)
from gateway.lines.restarts import RestartPolicy
from gateway.lines.vigil import LineTimers
from gateway.model import UNPUBLISHED, Account, Instrument, LineId, LineState, Tick

PRIMARY = LineId("ctp", "primary")


async def until(true: Callable[[], bool], limit_s: float = 10) -> None:
    """Until the loop's tasks made it true."""
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.001)


async def settle(turns: int = 30) -> None:
    """Let the tasks run until they wait."""
    for _ in range(turns):
        await asyncio.sleep(0)


def tick_of(instrument: Instrument, volume: int = 1, day: int = 20250829) -> Tick:
    rest = (None,) * 13
    return Tick(*UNPUBLISHED, instrument.exchange, instrument.code, day, volume, 1.5, volume, *rest, (), (), (), ())


class ScriptedHost:
    """Implements ``hosts.Host``: one incarnation."""

    pid = None

    def __init__(self, events: HostEvents, script: Script) -> None:
        self.events, self.script = events, script
        self.cells = Cells()
        self.orders: list[ToLine] = []
        self.killed = self.started = False
        self.stopped: list[float] = []
        """The limit of each ``stop``."""
        self._packer = TickPacker()
        self._over = False

    # -- what the line calls ---------------------------------------------------------------------------

    async def start(self) -> None:
        if self.script.start_gate is not None:
            await self.script.start_gate.wait()
        self.started = True

    def send(self, order: ToLine) -> None:
        self.orders.append(order)
        self.script.obey(self, order)

    def kill(self) -> None:
        self.killed = True
        self.end("killed by SIGKILL")

    async def stop(self, timeout_s: float) -> None:
        self.stopped.append(timeout_s)
        if self.script.stop_gate is not None:
            await self.script.stop_gate.wait()
        self.end("stopped")

    # -- what the test lets it do ----------------------------------------------------------------------

    def say(self, *messages: FromLine) -> None:
        for message in messages:
            self.events.message(message)

    def state(self, state: LineState, reason: str = "") -> None:
        self.say(StateChanged(state=state, reason=reason))

    def login(self) -> None:
        self.say(Ready())
        for state in (LineState.CONNECTING, LineState.CONNECTED, LineState.LOGGED_IN):
            self.state(state)

    def ticks(self, moment_ns: int, *instruments: Instrument, volume: int = 1) -> None:
        """One batch, all received at that moment."""
        self.batch([(one, moment_ns) for one in instruments], volume=volume)

    def batch(self, ticks: list[tuple[Instrument, int]], *, volume: int = 1) -> None:
        self.cells.view[RECEIVED] += len(ticks)
        body = self._packer.pack([tick_of(one, volume) for one, _ in ticks], [moment for _, moment in ticks])
        self.events.ticks(body)

    def end(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self.events.ended(reason)


class Script:
    """How the hosts of a line behave by themselves."""

    def __init__(self) -> None:
        self.hosts: list[ScriptedHost] = []
        self.logs_in = False
        self.confirms = True
        self.calls = True
        """It answers that a call returned."""
        self.start_gate: asyncio.Event | None = None
        self.stop_gate: asyncio.Event | None = None
        self.on_subscribe: Callable[[ScriptedHost, list[Instrument]], None] | None = None

    @property
    def now(self) -> ScriptedHost:
        return self.hosts[-1]

    def make(self, events: HostEvents) -> ScriptedHost:
        host = ScriptedHost(events, self)
        self.hosts.append(host)
        if self.logs_in:
            asyncio.get_running_loop().call_soon(host.login)
        return host

    def obey(self, host: ScriptedHost, order: ToLine) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(order, Subscribe) and self.on_subscribe is not None:
            loop.call_soon(self.on_subscribe, host, order.instruments)
        if isinstance(order, Subscribe | Unsubscribe) and self.calls:
            loop.call_soon(host.say, Called())
        if isinstance(order, Subscribe) and self.confirms:
            loop.call_soon(host.say, Confirmed(order.instruments))
        if isinstance(order, Unsubscribe) and self.confirms:
            loop.call_soon(host.say, Unsubscribed(order.instruments))

    def refuse(self, instrument: Instrument, reason: str) -> None:
        self.now.say(Refused(instrument, reason))

    def beat(self) -> None:
        self.now.say(Beat(0))


def build_line(
    script: Script,
    clock: Clock,
    *,
    line: LineId = PRIMARY,
    deliver: Callable[[Line, Any], None] = lambda _line, _arrivals: None,
    changed: Callable[[Line], None] = lambda _line: None,
    topics: Topics | None = None,
    parked: bool = False,
    per_minute: int = 1000,
    initial_s: float = 1000.0,
    reset_s: float = 60.0,
    **timers: Any,
) -> Line:
    """A line whose pause after a failure (500 to 1,000 s) never ends by itself in a test."""
    slots = Topics(lambda subject: subject.encode()) if topics is None else topics
    return Line(
        line,
        Account(name=line.account, user_id="160219"),
        host=script.make,
        slot_of=slots.of,
        deliver=deliver,
        changed=changed,
        timers=LineTimers(**timers),
        restarts=RestartPolicy(
            initial_s=initial_s, max_s=initial_s, reset_s=reset_s, per_minute=per_minute, dice=random.Random(1)
        ),
        clock=clock,
        parked=parked,
    )
