"""The running parts of a gateway, joined: lines → pipeline → publisher → bus, and who watches over them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import gateway
from gateway.assembly import LineWiring, assemble
from gateway.bus.opening import open_bus
from gateway.calendar import load_calendar
from gateway.clock import Clock
from gateway.codec import CODECS, Codec
from gateway.control.announcer import Announcer
from gateway.control.desk import GatewayDesk
from gateway.control.hours import MarketHours
from gateway.control.oversight import Oversight
from gateway.control.rotation import Rotation
from gateway.control.rules import ledger_path
from gateway.control.service import ControlService
from gateway.control.view import GatewayView
from gateway.errors import SettingsError
from gateway.flow.arbiter import ArbiterEvent
from gateway.flow.gapstore import GapStore
from gateway.flow.pipeline import Pipeline
from gateway.flow.publisher import Arrival, Publisher
from gateway.flow.tap import Tap
from gateway.flow.topics import Topic
from gateway.gaps import LedgerStore
from gateway.lines.line import Line
from gateway.loader import Plugins
from gateway.metrics import MetricsServer
from gateway.observing import Observers
from gateway.plan import AccountRouter
from gateway.ports import Bus
from gateway.settings import Settings
from gateway.subjects import subscription_subject
from gateway.tasks import TaskOwner
from gateway.wanting import wanted_instruments

_log = logging.getLogger(__name__)

_TAP_LIMIT = 100_000
_DRAIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the program brings itself, in place of what the settings name."""

    bus: Bus | None = None
    codec: Codec | None = None
    store: LedgerStore | None = None
    routers: Mapping[str, AccountRouter] = field(default_factory=dict)


class Core:
    """Owned by a Gateway. :meth:`start` puts whatever has to be closed on the stack, in the order of starting."""

    bus: Bus
    url: str | None
    pipeline: Pipeline
    publisher: Publisher
    oversight: Oversight
    desk: GatewayDesk
    view: GatewayView

    def __init__(self, settings: Settings, plugins: Plugins, clock: Clock, parts: Parts) -> None:
        """Builds feeds and lines; raises SettingsError with every finding. Nothing is started."""
        self.tasks = TaskOwner()
        self.metrics: MetricsServer | None = None
        self._settings, self._plugins, self._clock, self._parts = settings, plugins, clock, parts
        self.codec = parts.codec or CODECS[settings.publish.codec]
        if CODECS.get(self.codec.name, self.codec) is not self.codec:
            raise SettingsError([f"codec: the name {self.codec.name!r} is taken; give your codec a name of its own"])
        self._closing = False
        self._taps: list[Tap] = []
        self._line_tasks: list[asyncio.Task[None]] = []
        self._observers = Observers(plugins.observers())
        wiring = LineWiring(slot_of=self._topic_of, deliver=self._deliver, changed=self._changed)
        self.feeds = assemble(settings, plugins, wiring, clock, parts.routers)
        self._lines = [line for feed in self.feeds for line in feed.lines]

    # -- starting and stopping -------------------------------------------------------------------------

    async def start(self, stack: AsyncExitStack) -> None:
        """Everything, in order. Raises FeedgateError; what was started by then is on the stack."""
        settings, clock = self._settings, self._clock
        # before anything is opened on the network: what cannot work costs nothing
        days = settings.calendar
        rules = {feed.name: feed.sessions for feed in self.feeds}
        hours = await MarketHours.open(rules, lambda: load_calendar(days.overrides, cache=days.cache_directory), clock)
        store = await self._open_ledger(stack)
        self.bus, self.url = await self._open_bus(stack)
        epoch = clock.wall_ns() // 1_000_000
        self._build_flow(epoch)
        announcer = Announcer(self.bus, self._observers, clock)
        stack.push_async_callback(announcer.aclose)
        self.oversight = Oversight(
            self.feeds,
            settings,
            self.pipeline,
            hours=hours,
            store=store,
            announcer=announcer,
            clock=clock,
            decode=self.codec.decode,
        )
        stack.push_async_callback(self.oversight.ledger.aclose)
        await self._open_doors(stack, epoch)
        stack.callback(self._close_taps)
        stack.push_async_callback(self.tasks.aclose)
        self.tasks.start(self.publisher.run(), "publisher")
        self.tasks.start(announcer.run(), "events")
        await self.oversight.recover()
        await ControlService(self.bus, self.desk, settings.name, figures=self.view.figures).start()
        self.tasks.start(self.view.run(), "figures")
        stack.push_async_callback(self.stop_lines)
        await self._start_lines()

    async def _open_bus(self, stack: AsyncExitStack) -> tuple[Bus, str | None]:
        bus = self._parts.bus
        if bus is None:
            return await open_bus(stack, self._settings.bus, self._settings.name)
        stack.push_async_callback(bus.aclose)
        await bus.start()
        return bus, None

    async def _open_ledger(self, stack: AsyncExitStack) -> LedgerStore:
        if self._parts.store is not None:
            stack.push_async_callback(self._parts.store.aclose)
            await self._parts.store.start()
            return self._parts.store
        temporary = (
            stack.enter_context(TemporaryDirectory(prefix="feedgate-")) if not self._settings.ledger.path else ""
        )
        store = GapStore(ledger_path(self._settings, Path(temporary)), clock=self._clock)
        stack.push_async_callback(store.aclose)
        await store.start()
        return store

    def _build_flow(self, epoch: int) -> None:
        rules = self._settings.publish
        self.publisher = Publisher(self.bus, self.codec, form=rules.form, held=rules.held, batch=rules.batch)
        self.pipeline = Pipeline(
            self.bus,
            self.codec,
            self.publisher,
            epoch=epoch,
            clock=self._clock,
            events=self._arbiter_said,
        )
        for feed in self.feeds:
            accounts = {line.id: line.account.masked for line in feed.lines}
            self.pipeline.add_feed(feed.name, accounts, reorder_s=feed.settings.reorder_ms / 1000)

    async def _open_doors(self, stack: AsyncExitStack, epoch: int) -> None:
        """What others see and ask: desk, figures, metrics."""
        settings = self._settings
        self.desk = GatewayDesk(
            epoch=epoch,
            version=gateway.__version__,
            codec=self.codec.name,
            feeds=self.feeds,
            pipeline=self.pipeline,
            publisher=self.publisher,
            oversight=self.oversight,
            rotation=Rotation(
                self.feeds,
                self.oversight.feeds,
                self._plugins,
                self._clock,
                up_s=settings.lines.stop_timeout_s + settings.failover.up_s,
            ),
            clock=self._clock,
        )
        self.view = GatewayView(
            self.desk, self.pipeline, self.publisher, self.bus, self.feeds, self._clock, self.oversight
        )
        if settings.metrics.enabled:
            self.metrics = MetricsServer(self.view, host=settings.metrics.host, port=settings.metrics.port)
            await stack.enter_async_context(self.metrics)

    async def _start_lines(self) -> None:
        for feed in self.feeds:
            for line in feed.lines:
                self.tasks.start(feed.subscriptions[line.id].run(), f"subscriptions {line.id}")
                self._line_tasks.append(self.tasks.start(line.run(), f"line {line.id}"))
        for feed in self.feeds:
            contracts = await feed.catalogue.contracts() if feed.catalogue is not None else []
            self.desk.set_contracts(feed.name, contracts)
            await self.oversight.want(feed.name, wanted_instruments(feed.name, feed.settings, contracts))
        await self.oversight.start(self.tasks)

    async def stop_lines(self) -> None:
        """Take no more ticks, publish what is in flight, stay on the bus. Idempotent."""
        if self._closing:
            return
        self._closing = True
        await self.oversight.halt()
        # all lines are asked before any is waited for: stopping takes as long as the slowest, not as their sum
        for line in self._lines:
            line.close()
        if self._line_tasks:
            await asyncio.wait(self._line_tasks)
        self.pipeline.flush()
        await self.publisher.drain(_DRAIN_S)

    # -- consumers in this process ---------------------------------------------------------------------

    def tap(self, patterns: Sequence[str]) -> Tap:
        """Published ticks of matching instruments. Raises ValueError for a text that is no pattern."""
        for pattern in patterns:
            subscription_subject(pattern)
        tap = Tap(self.codec, _TAP_LIMIT)
        undo = self.pipeline.topics.tap(patterns or ("*",), tap.take)

        def leave() -> None:
            undo()
            self._taps.remove(tap)

        tap.attach(leave)
        self._taps.append(tap)
        return tap

    def _close_taps(self) -> None:
        for tap in self._taps[:]:
            tap.close()

    # -- what lines tell; they are built before the pipeline, because settings that cannot work start nothing --

    def _topic_of(self, exchange: str, code: str) -> Topic:
        return self.pipeline.topics.of(exchange, code)

    def _deliver(self, line: Line, arrivals: Sequence[Arrival]) -> None:
        self.pipeline.deliver(line, arrivals)

    def _arbiter_said(self, event: ArbiterEvent) -> None:
        _log.warning("line %s is %s: %s %s", event.line, event.kind, event.reason, event.contract)
        self.oversight.arbiter_said(event)

    def _changed(self, line: Line) -> None:
        _log.info("line %s: %s %s", line.id, line.state.value, line.reason)
        self._observers.line_changed(line.id, line.state.value, line.reason)
        self.pipeline.line_changed(line.id, line.state)
        self.oversight.line_changed(line)
