"""A real gateway around feeds that a test steers, on a memory bus or a real nats-server.

::

    async with harness(feeds=[ScriptedFeed("acme")]) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        await h.settled()
        h.scripted("acme").tick("SCRIPT.a1", last=3.5)
        tick = await h.tick("SCRIPT.a1")

Waits have a deadline and say where the lines stand when it passes.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Final, Literal, TypeVar

from gateway.app import Gateway
from gateway.client import Client, connect
from gateway.clock import Clock
from gateway.errors import LineError
from gateway.hookspecs import FeedKind, Observer, hookimpl
from gateway.loader import Plugins
from gateway.model import Instrument, LineId, LineState, Tick
from gateway.stream.live import TickStream
from gateway.testing.counter import Counter
from gateway.testing.faults import FaultyFeed
from gateway.testing.harness_settings import harness_settings, kind_name
from gateway.testing.scripted import ScriptedFeed

T = TypeVar("T")

DEADLINE_S: Final = 30.0


class Harness:
    """What a test has in hand. Made by :func:`harness`; all methods on its loop."""

    gateway: Gateway
    """The real one."""
    client: Client
    """A consumer on its bus."""

    def __init__(self, counters: Mapping[str, Counter], feeds: Mapping[str, FaultyFeed], deadline_s: float) -> None:
        self.counters = counters
        """By feed."""
        self.changes: list[tuple[str, LineState, str]] = []
        """Every state of every line, in order: (line, state, reason)."""
        self.ticks: list[Tick] = []
        """Everything that was published, as the consumer got it."""
        self._feeds = feeds
        self._deadline_s = deadline_s
        self._waiting: defaultdict[str, deque[Tick]] = defaultdict(deque)
        self._news = asyncio.Event()

    def scripted(self, feed: str) -> ScriptedFeed:
        """The scripted feed of that name. Raises LineError when it is another counter."""
        counter = self.counters.get(feed)
        if not isinstance(counter, ScriptedFeed):
            raise LineError(f"{feed!r} is no scripted feed of this harness; it has: {', '.join(self.counters)}")
        return counter

    # -- waiting -------------------------------------------------------------------------------------------------

    async def until(self, true: Callable[[], object], what: str) -> None:
        """Wait until it is true; looked at when a line changes or a tick arrives. Raises AssertionError too late."""
        try:
            async with asyncio.timeout(self._deadline_s):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not come within {self._deadline_s:g} s; {self.standing()}") from None

    async def state(self, line: str, *wanted: LineState) -> None:
        """Wait until the line is in one of these states. A line that streams is logged in, too."""
        states = {*wanted, *([LineState.STREAMING] if LineState.LOGGED_IN in wanted else [])}
        names = " or ".join(state.value for state in wanted)
        await self.until(lambda: self._state(line) in states, f"line {line} {names}")

    async def told(self, line: str, wanted: LineState, *, times: int = 1) -> str:
        """Wait until the line was in that state so often, maybe no longer; returns what was said the last time."""

        def reasons() -> list[str]:
            return [reason for name, state, reason in self.changes if (name, state) == (line, wanted)]

        await self.until(lambda: len(reasons()) >= times, f"line {line} {wanted.value} ({times} times)")
        return reasons()[times - 1]

    async def settled(self) -> None:
        """Wait until every line has an answer for everything that it was asked to carry."""
        await self._limited(self.gateway.settled(), "an answer for every subscription")

    async def tick(self, instrument: Instrument | str) -> Tick:
        """The next published tick of it that was not returned before."""
        waiting = self._waiting[str(instrument)]
        await self.until(lambda: waiting, f"a tick of {instrument}")
        return waiting.popleft()

    async def _limited(self, work: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await work
        except TimeoutError:
            raise AssertionError(f"{what} did not come within {self._deadline_s:g} s; {self.standing()}") from None

    def _state(self, line: str) -> LineState:
        for status in self.gateway.lines():
            if status.line == line:
                return status.state
        raise LineError(f"there is no line {line!r}; there are: {', '.join(one.line for one in self.gateway.lines())}")

    def standing(self) -> str:
        """Where the lines stand, for messages."""
        lines = [
            f"{one.line} is {one.state.value} ({one.reason or 'no reason'}), {one.ticks} ticks, "
            f"{one.confirmed} of {one.wanted} confirmed, {one.failed} failed"
            for one in self.gateway.lines()
        ]
        before = [f"{line} {state.value}" for line, state, _ in self.changes[-6:]]
        return f"{'; '.join(lines)}; the last changes: {', '.join(before) or 'none'}"

    # -- faults --------------------------------------------------------------------------------------------------

    def kill(self, line: str) -> None:
        """End it without ceremony: SIGKILL for a child process, cancellation inline. The gateway starts it again."""
        pid = self.gateway.line_pid(line)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        else:
            self._faults(line).kill(LineId.parse(line).account)

    def silence(self, line: str) -> None:
        """No tick of it comes through until :meth:`resume`; a child process is frozen whole."""
        pid = self.gateway.line_pid(line)
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
        else:
            self._faults(line).silence(LineId.parse(line).account, silent=True)

    def resume(self, line: str) -> None:
        """The silence is over."""
        pid = self.gateway.line_pid(line)
        if pid is not None:
            os.kill(pid, signal.SIGCONT)
        else:
            self._faults(line).silence(LineId.parse(line).account, silent=False)

    def storm(self, line: str, calls: int = 1000) -> None:
        """So many LOST at once, as a vendor library does that cannot reach its front. Inline lines only."""
        self._faults(line).storm(LineId.parse(line).account, calls)

    async def drop(self, line: str) -> None:
        """The counter cuts the connection and takes a new one: of this line when it is scripted, of all otherwise."""
        name = LineId.parse(line)
        counter = self.counters[name.feed]
        if isinstance(counter, ScriptedFeed):
            counter.lose(account=name.account)
            counter.log_in(name.account)
        else:
            await counter.drop()

    def _faults(self, line: str) -> FaultyFeed:
        name = LineId.parse(line)
        if name.feed not in self._feeds:
            raise LineError(f"there is no feed {name.feed!r} in this harness; it has: {', '.join(self._feeds)}")
        return self._feeds[name.feed]

    # -- what is heard -------------------------------------------------------------------------------------------

    def _changed(self, line: LineId, state: str, reason: str) -> None:
        self.changes.append((str(line), LineState(state), reason))
        self._news.set()

    async def _listen(self, stream: TickStream) -> None:
        async for tick in stream:
            self.ticks.append(tick)
            self._waiting[f"{tick.exchange}.{tick.code}"].append(tick)
            self._news.set()


class _Plugin:
    """The feeds of a harness and its ear, as one plugin."""

    def __init__(self, feeds: Sequence[FeedKind], changed: Callable[[LineId, str, str], None]) -> None:
        self._feeds, self._changed = feeds, changed

    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        return self._feeds

    @hookimpl
    def gateway_observe(self) -> Sequence[Observer]:
        return (Observer(name="harness", line_changed=self._changed),)


@asynccontextmanager
async def harness(
    feeds: Sequence[Counter],
    *,
    nats: bool = False,
    clock: Clock | None = None,
    host: Literal["inline", "child"] = "inline",
    settings: Mapping[str, Any] | None = None,
    deadline_s: float = DEADLINE_S,
) -> AsyncIterator[Harness]:
    """A gateway with these feeds, running: each counter is started, and all its contracts are wanted.

    ``nats``: a real nats-server on a free port instead of the memory bus. ``clock``: a ManualClock stands still until
    it is advanced, and so do the gateway's time-outs that go by it. ``host``: ``child`` runs each line in a process of
    its own, which needs counters that are ``remote``. ``settings``: sections of :class:`gateway.Settings` that win over
    the harness's own, ``{"watch": {"line_silent_s": 1.0, …}}``; by its own no silent line is
    restarted for an hour. A ScriptedFeed has a line for each of its accounts, other counters one, ``primary``.
    """
    counters = {counter.kind.name: counter for counter in feeds}
    faulty = {name: FaultyFeed(counter) for name, counter in counters.items()}
    h = Harness(counters, faulty, deadline_s)
    inline = host == "inline"
    kinds = [
        replace(faulty[name].kind if inline else counter.kind, name=kind_name(name))
        for name, counter in counters.items()
    ]
    async with AsyncExitStack() as stack:
        for counter in counters.values():
            await stack.enter_async_context(counter)
        whole = harness_settings(list(counters.values()), nats=nats, host=host, given=settings or {})
        h.gateway = Gateway(whole, plugins=[_Plugin(kinds, h._changed)], clock=clock)  # noqa: SLF001 - one module
        await stack.enter_async_context(h.gateway)
        url = h.gateway.url
        h.client = await stack.enter_async_context(
            Client(h.gateway.bus, name=whole.name) if url is None else connect(url, name=whole.name)
        )
        stream = h.client.ticks(snapshot=False)
        stack.push_async_callback(stream.aclose)
        listening = asyncio.create_task(h._listen(stream), name="harness consumer")  # noqa: SLF001 - one module
        stack.push_async_callback(_end, listening)
        await _subscribed(h, listening)
        yield h


def _installed(kinds: Iterable[str]) -> list[str]:
    """Installed plugins that bring the same feeds, above all the author's own: the harness has these already."""
    feeds = {f"feed {kind}" for kind in kinds}
    return [record.name for record in Plugins.load().records() if not feeds.isdisjoint(record.provides)]


async def _subscribed(h: Harness, listening: asyncio.Task[None]) -> None:
    """The stream subscribes when it is first awaited; an answered request says that it has."""
    await asyncio.sleep(0)
    if listening.done():
        listening.result()
    await h.client.last("*")


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
