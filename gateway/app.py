"""The Gateway: builds the parts, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Self

import gateway
from gateway.assembly import Feed, LineWiring, assemble
from gateway.bus.opening import open_bus
from gateway.clock import Clock, SystemClock
from gateway.codec import CODECS
from gateway.control.desk import GatewayDesk
from gateway.control.service import ControlService
from gateway.control.view import GatewayView
from gateway.errors import FeedgateError
from gateway.flow.arbiter import ArbiterEvent
from gateway.flow.balance import Balance
from gateway.flow.pipeline import Pipeline
from gateway.flow.publisher import Arrival, Publisher
from gateway.flow.tap import Tap
from gateway.flow.topics import Topic
from gateway.lines.line import Line
from gateway.loader import PluginRecord, Plugins
from gateway.metrics import MetricsServer
from gateway.model import Contract, Instrument, LineStatus
from gateway.observing import Observers
from gateway.plan import LineFacts, Plan, View
from gateway.ports import Bus
from gateway.secrets.references import resolve
from gateway.settings import Settings
from gateway.subjects import matcher, subscription_subject
from gateway.tasks import TaskOwner
from gateway.wanting import is_pattern, wanted_instruments

_log = logging.getLogger(__name__)

_TAP_LIMIT = 100_000
_DRAIN_S = 5.0


class Gateway:
    """A market-data gateway inside an asyncio program: ``async with Gateway(settings) as gw:``.

    Several may live in one process. It installs no signal handlers, changes no logging and reads no environment.
    Everything it starts (children, server, tasks, sockets) is gone when the block is left.
    """

    def __init__(self, settings: Settings, *, plugins: Iterable[object] = (), clock: Clock | None = None) -> None:
        """``plugins``: modules or objects with hooks, beside the installed ones. Raises SettingsError."""
        self.settings = settings
        self._clock = clock or SystemClock()
        self.plugins = Plugins.load(extra=plugins, blocked=settings.plugins_blocked)
        self._stack = AsyncExitStack()
        self._tasks = TaskOwner()
        self._taps: list[Tap] = []
        self._line_tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._metrics: MetricsServer | None = None
        self.url: str | None = None
        """Where the bus is (no credentials), once started; None for a memory bus."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    async def stop_lines(self) -> None:
        """Take no more ticks, publish what is in flight, stay on the bus. Leaving the block does it too. Idempotent."""
        self._closing = True
        # all lines are asked before any is waited for: stopping takes as long as the slowest, not as their sum
        for feed in self._feeds:
            for line in feed.lines:
                line.close()
        if self._line_tasks:
            await asyncio.wait(self._line_tasks)
        self._pipeline.flush()
        await self._publisher.drain(_DRAIN_S)

    # -- what a program can do with it -----------------------------------------------------------------

    def ticks(self, *patterns: str) -> Tap:
        """Published ticks of matching instruments, in this process: ``async for tick in gw.ticks("SHFE.*")``.

        Only while the gateway runs. Raises ValueError for a text that is no pattern over EXCHANGE.CODE.
        """
        for pattern in patterns:
            subscription_subject(pattern)
        if self.url is None and not hasattr(self, "_pipeline"):
            raise FeedgateError("the gateway is not running yet; use it inside: async with Gateway(settings) as gw")
        tap = Tap(self._codec, _TAP_LIMIT)
        undo = self._pipeline.topics.tap(patterns or ("*",), tap.take)

        def leave() -> None:
            undo()
            self._taps.remove(tap)

        tap.attach(leave)
        self._taps.append(tap)
        return tap

    def lines(self) -> Sequence[LineStatus]:
        """All lines as of now."""
        return self._desk.lines()

    def balance(self) -> Balance:
        """In, out and dropped, by stop and reason."""
        return self._desk.balance()

    def contracts(self) -> Sequence[Contract]:
        """What the catalogues know."""
        return self._desk.contracts()

    def plugin_records(self) -> Sequence[PluginRecord]:
        """What is loaded, and why something is not."""
        return self.plugins.records()

    def line_pid(self, line: str) -> int | None:
        """The process of a line, if it has one now. For operators and tests; the gateway restarts what dies."""
        return next((one.pid for feed in self._feeds for one in feed.lines if str(one.id) == line), None)

    @property
    def metrics_port(self) -> int | None:
        """Where ``/metrics`` is; None when metrics are off."""
        return self._metrics.port if self._metrics is not None else None

    @property
    def bus(self) -> Bus:
        """The bus in use; for ``Client(gw.bus)`` with a memory bus."""
        return self._bus

    @property
    def view(self) -> GatewayView:
        """Figures for metrics, terminals and pages."""
        return self._view

    async def subscribe(self, instruments: Iterable[str | Instrument]) -> None:
        """Want these on every line from now on: instruments, their names, or patterns over the catalogue.

        Raises ValueError for a text that is neither, and for one that no contract of the catalogue matches.
        """
        await self._desk.subscribe(self._meant(instruments, [contract.instrument for contract in self.contracts()]))

    async def unsubscribe(self, instruments: Iterable[str | Instrument]) -> None:
        """Want these no longer. Patterns are looked up among what is wanted."""
        wanted = {one for feed in self._feeds for s in feed.subscriptions.values() for one in s.wanted}
        await self._desk.unsubscribe(self._meant(instruments, sorted(wanted)))

    @staticmethod
    def _meant(asked: Iterable[str | Instrument], known: Sequence[Instrument]) -> list[Instrument]:
        names = {str(instrument): instrument for instrument in known}
        meant: list[Instrument] = []
        for one in asked:
            if is_pattern(str(one)):
                subscription_subject(str(one))
                found = [instrument for name, instrument in names.items() if matcher(str(one))(name)]
            else:
                found = [names[str(one)]] if str(one) in names else []
                if not found and not names:
                    found = [Instrument.parse(str(one))]
            if not found:
                raise ValueError(f"{one} matches none of {len(names)} contracts; write EXCHANGE.CODE, case counts")
            meant += found
        return meant

    async def settled(self) -> None:
        """Return when every line has an answer for everything it was asked to carry (a line that is down: never)."""
        for feed in self._feeds:
            for subscriptions in feed.subscriptions.values():
                await subscriptions.settled()

    async def wait(self) -> None:
        """Return never, or raise what broke the gateway. A program that does nothing else awaits this."""
        await self._tasks.failure()

    # -- starting and stopping -------------------------------------------------------------------------

    async def _start(self, stack: AsyncExitStack) -> None:
        clock = self._clock
        settings = await asyncio.to_thread(resolve, self.settings, self.plugins)
        wiring = LineWiring(
            slot_of=self._topic_of,
            deliver=self._deliver,
            changed=self._changed,
        )
        # before anything is started: settings that cannot work cost nothing
        self._feeds = assemble(settings, self.plugins, wiring, clock)
        self._codec = CODECS[settings.publish.codec]
        self._bus, self.url = await open_bus(stack, settings.bus, settings.name)
        epoch = clock.wall_ns() // 1_000_000
        rules = settings.publish
        publisher = self._publisher = Publisher(
            self._bus, self._codec, form=rules.form, held=rules.held, batch=rules.batch
        )
        self._pipeline = Pipeline(
            self._bus, self._codec, publisher, epoch=epoch, clock=clock, events=self._arbiter_said
        )
        self._observers = Observers(self.plugins.observers())
        for feed in self._feeds:
            accounts = {line.id: line.account.masked for line in feed.lines}
            self._pipeline.add_feed(feed.name, accounts, reorder_s=feed.settings.reorder_ms / 1000)
        self._desk = GatewayDesk(
            epoch=epoch,
            version=gateway.__version__,
            codec=settings.publish.codec,
            feeds=self._feeds,
            pipeline=self._pipeline,
            publisher=publisher,
        )
        self._view = GatewayView(self._desk, self._pipeline, publisher, self._bus, self._feeds, clock)
        if settings.metrics.enabled:
            self._metrics = MetricsServer(self._view, host=settings.metrics.host, port=settings.metrics.port)
            await stack.enter_async_context(self._metrics)
        stack.callback(self._close_taps)
        stack.push_async_callback(self._tasks.aclose)
        self._tasks.start(publisher.run(), "publisher")
        await ControlService(self._bus, self._desk, settings.name).start()
        self._tasks.start(self._view.run(), "figures")
        stack.push_async_callback(self.stop_lines)
        for feed in self._feeds:
            self._route(feed)
            for line in feed.lines:
                self._tasks.start(feed.subscriptions[line.id].run(), f"subscriptions {line.id}")
                self._line_tasks.append(self._tasks.start(line.run(), f"line {line.id}"))
        await self._want()

    async def _want(self) -> None:
        for feed in self._feeds:
            contracts = await feed.catalogue.contracts() if feed.catalogue is not None else []
            self._desk.set_contracts(feed.name, contracts)
            wanted = wanted_instruments(feed.name, feed.settings, contracts)
            for subscriptions in feed.subscriptions.values():
                subscriptions.want(wanted)

    def _close_taps(self) -> None:
        for tap in self._taps[:]:
            tap.close()

    # -- what lines tell; they are built before the pipeline, because settings that cannot work start nothing --

    def _topic_of(self, exchange: str, code: str) -> Topic:
        return self._pipeline.topics.of(exchange, code)

    def _deliver(self, line: Line, arrivals: Sequence[Arrival]) -> None:
        self._pipeline.deliver(line, arrivals)

    # -- when a line changes ---------------------------------------------------------------------------

    def _changed(self, line: Line) -> None:
        _log.info("line %s: %s %s", line.id, line.state.value, line.reason)
        self._observers.line_changed(line.id, line.state.value, line.reason)
        self._pipeline.line_changed(line.id, line.state)
        feed = next((feed for feed in self._feeds if line in feed.lines), None)
        if feed is not None and not self._closing:
            self._route(feed)

    def _arbiter_said(self, event: ArbiterEvent) -> None:
        _log.warning("line %s is %s: %s %s", event.line, event.kind, event.reason, event.contract)
        self._observers.warned(
            f"line_{event.kind}", {"line": str(event.line), "reason": event.reason, "contract": event.contract}
        )

    def _route(self, feed: Feed) -> None:
        flow = self._pipeline.feeds[feed.name]
        current = str(flow.active) if flow.active is not None else None
        lines = tuple(
            LineFacts(
                name=str(line.id),
                state=line.state,
                restarts=line.counts.restarts,
                capacity=self.settings.subscriptions.per_login_limit,
                suspect=line.id in flow.arbiter.suspects,
                since_ns=line.since_ns,
            )
            for line in feed.lines
        )
        # every line is hot and carries everything; of the plan only who is called active is used so far
        chosen = feed.router.plan(View(lines=lines, current=Plan(prefer=current))).prefer
        if chosen != current:
            flow.active = next((line.id for line in feed.lines if str(line.id) == chosen), None)
            _log.info("feed %s: %s is active (was %s)", feed.name, flow.active, current)
