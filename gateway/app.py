"""The Gateway: builds the parts, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

from gateway.clock import Clock, SystemClock
from gateway.codec import Codec
from gateway.control.events import Switch
from gateway.control.view import GatewayView
from gateway.core import Core, Parts
from gateway.errors import FeedgateError
from gateway.flow.balance import Balance
from gateway.flow.coverage import Coverage
from gateway.flow.tap import Tap
from gateway.gaps import GapDay, LedgerStore
from gateway.loader import PluginRecord, Plugins
from gateway.model import Contract, Instrument, LineStatus
from gateway.plan import AccountRouter
from gateway.ports import Bus
from gateway.secrets.references import resolve
from gateway.settings import Settings
from gateway.wanting import meant


class Gateway:
    """A market-data gateway inside an asyncio program: ``async with Gateway(settings) as gw:``.

    For one event loop; several may live in one process. It installs no signal handlers, changes no logging and reads
    no environment. Everything it starts (children, server, tasks, sockets) is gone when the block is left.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        plugins: Iterable[object] = (),
        clock: Clock | None = None,
        bus: Bus | None = None,
        codec: Codec | None = None,
        store: LedgerStore | None = None,
        routers: Mapping[str, AccountRouter] | None = None,
    ) -> None:
        """``plugins``: modules or objects with hooks, beside the installed ones; they are imported here, once.

        ``bus``, ``codec``, ``store`` (of the gap ledger) and ``routers`` (by feed) are used in place of what the
        settings name. Bus and store belong to the gateway from now on: it starts them and closes them, once.
        """
        self.settings: Settings = settings
        self._clock = clock or SystemClock()
        self._parts = Parts(bus=bus, codec=codec, store=store, routers=dict(routers or {}))
        self.plugins: Plugins = Plugins.load(extra=plugins, blocked=settings.plugins_blocked)
        self._stack = AsyncExitStack()
        self._closing = asyncio.Lock()
        self._started: Core | None = None

    async def start(self) -> Self:
        """As entering the block, where a block cannot be: the cells of a notebook. Then :meth:`aclose` ends it.

        Raises FeedgateError with everything given back: SettingsError, PluginError, BusError, LedgerError and so on.
        A gateway runs once; after a start that failed it may be tried again, but not with a bus or store of yours.
        """
        if self._started is not None:
            raise FeedgateError("a Gateway runs once; make another one with the same settings")
        settings = await asyncio.to_thread(resolve, self.settings, self.plugins)
        core = Core(settings, self.plugins, self._clock, self._parts)
        async with AsyncExitStack() as stack:
            await core.start(stack)
            self._started = core
            self._stack = stack.pop_all()
        return self

    async def aclose(self) -> None:
        """Stop the lines, publish what is in flight, give everything back. Idempotent; figures can still be read."""
        async with self._closing:
            await self._stack.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def stop_lines(self) -> None:
        """Take no more ticks, publish what is in flight, stay on the bus. Leaving the block does it too. Idempotent."""
        await self._core.stop_lines()

    @property
    def _core(self) -> Core:
        if self._started is None:
            raise FeedgateError("the gateway is not running yet; use it inside: async with Gateway(settings) as gw")
        return self._started

    # -- what a program can do with it -----------------------------------------------------------------

    def ticks(self, *patterns: str) -> Tap:
        """Published ticks of matching instruments, in this process: ``async for tick in gw.ticks("SHFE.*")``.

        Only while the gateway runs. Raises ValueError for a text that is no pattern over EXCHANGE.CODE.
        """
        return self._core.tap(patterns)

    def lines(self) -> Sequence[LineStatus]:
        """All lines as of now."""
        return self._core.desk.lines()

    def balance(self) -> Balance:
        """In, out and dropped, by stop and reason."""
        return self._core.desk.balance()

    def contracts(self) -> Sequence[Contract]:
        """What the catalogues know."""
        return self._core.desk.contracts()

    def plugin_records(self) -> Sequence[PluginRecord]:
        """What is loaded, and why something is not."""
        return self.plugins.records()

    def line_pid(self, line: str) -> int | None:
        """The process of a line, if it has one now. For operators and tests; the gateway restarts what dies."""
        return next((one.pid for feed in self._core.feeds for one in feed.lines if str(one.id) == line), None)

    @property
    def url(self) -> str | None:
        """Where the bus is (no credentials), once started; None for a memory bus and one of your own."""
        return self._started.url if self._started is not None else None

    @property
    def metrics_port(self) -> int | None:
        """Where ``/metrics`` is; None when metrics are off."""
        return self._core.metrics.port if self._core.metrics is not None else None

    @property
    def bus(self) -> Bus:
        """The bus in use; for ``Client(gw.bus)`` with a memory bus."""
        return self._core.bus

    @property
    def view(self) -> GatewayView:
        """Figures for metrics, terminals and pages."""
        return self._core.view

    async def failover(self, feed: str, reason: str, *, to: str | None = None) -> Switch:
        """Leave the preferred line for ``to`` (``ctp:backup``) or the next one; returns when done or failed (``ok``).

        Raises ControlError for an unknown feed or line, and while another switch of the feed runs.
        """
        return await self._core.oversight.failover(feed, reason, to)

    async def failback(self, feed: str, reason: str) -> Switch:
        """Back to the first line of the settings' order. As :meth:`failover`."""
        return await self._core.oversight.failback(feed, reason)

    def require_failover(self, feed: str, reason: str, value: float = 1) -> None:
        """``feed_failover_required``: above 0 asks for a failover when the rules allow one, 0 takes it back."""
        self._core.oversight.require(feed, reason, value)

    def restart_line(self, line: str, reason: str) -> None:
        """End a line (``ctp:primary``) in order and start it again. Raises ControlError."""
        self._core.oversight.restart_line(line, reason)

    def coverage(self) -> Sequence[Coverage]:
        """Wanted, confirmed, ticking, quiet, stalled and missing contracts of each feed, as of now."""
        return self._core.oversight.coverage()

    async def gaps(self, date: int | None = None, feed: str | None = None) -> GapDay:
        """The gaps of a trading day (``YYYYMMDD``; None: the latest one known). Raises LedgerError."""
        return await self._core.desk.gaps(date, feed)

    async def subscribe(self, instruments: Iterable[str | Instrument]) -> None:
        """Want these from now on: instruments, their names, or patterns over the catalogue.

        Raises ValueError for a text that is neither, and for one that no contract of the catalogue matches.
        """
        known = [contract.instrument for contract in self.contracts()]
        await self._core.desk.subscribe(meant(instruments, known))

    async def unsubscribe(self, instruments: Iterable[str | Instrument]) -> None:
        """Want these no longer. Patterns are looked up among what is wanted."""
        await self._core.desk.unsubscribe(meant(instruments, sorted(self._core.desk.wanted())))

    async def settled(self) -> None:
        """Return when every line has an answer for everything it was asked to carry (a line that is down: never)."""
        for feed in self._core.feeds:
            for subscriptions in feed.subscriptions.values():
                await subscriptions.settled()

    async def wait(self) -> None:
        """Return never, or raise what broke the gateway. A program that does nothing else awaits this."""
        await self._core.tasks.failure()
