"""Looks at the gateway for everybody: one poll, however many pages, streams and probes want to know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.client import Client
from gateway.control.figures import Figures
from gateway.errors import BusError, FeedgateError
from gateway.tasks import TaskOwner
from runbook.app import Runbook
from runbook.drill.nats_backlog import NatsBacklog, asking
from runbook.web.history import History
from runbook.web.market import market_at
from runbook.web.observed import Observed

log = logging.getLogger(__name__)

_LOST_AFTER: Final = 3
"""Looks without an answer after which the connection is made anew: the server may have come back elsewhere."""
_TRY_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Part:
    """Something to ask for, in its own time."""

    name: str
    every_s: float
    within_s: float
    ask: Callable[[Client], Awaitable[Any]]


async def _backlog(client: Client) -> object:
    return await NatsBacklog(asking(client)).measure("", (), 0)


async def _switches(client: Client) -> object:
    return tuple(await client.switches())


async def _coverage(client: Client) -> object:
    return tuple(await client.coverage(products=True))


_PARTS: Final = (
    _Part("status", 1.0, 2.0, Client.status),
    _Part("figures", 1.0, 2.0, Client.figures),
    _Part("coverage", 5.0, 5.0, _coverage),
    _Part("switches", 5.0, 3.0, _switches),
    _Part("gaps", 5.0, 5.0, Client.gaps),
    _Part("backlog", 5.0, 10.0, _backlog),
)


class Observatory:
    """Keeps ``latest`` fresh from :meth:`run` on, through restarts of gateway and NATS. For one event loop.

    The gateway is asked for status and figures each second, for everything else each five; each question has its
    own time limit, so that a slow answer delays no other. What was had last is kept, with its moment.
    """

    def __init__(self, runbook: Runbook, *, pace: float = 1.0) -> None:
        """``pace`` stretches all intervals; below 1 for tests."""
        self._runbook = runbook
        self._pace = pace
        self.latest = Observed(at_ns=runbook.clock.wall_ns(), reachable=False, problems=("nobody has looked yet",))
        self.history = History()
        self.looks = 0
        """How often it looked."""
        self._client: Client | None = None
        self._had: dict[str, Any] = {}
        self._problems: dict[str, str] = {}
        self._before: Figures | None = None
        self._looked = asyncio.Event()
        on_nats = runbook.settings.bus.kind == "nats"
        self._parts = tuple(part for part in _PARTS if on_nats or part.name != "backlog")

    # -- for those who want to know ------------------------------------------------------------------------------

    async def watch(self) -> AsyncIterator[Observed]:
        """The latest look, then each new one; whoever is slow gets the newest and misses those between. Never ends."""
        while True:
            looked = self._looked
            yield self.latest
            await looked.wait()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """The observatory's own connection to the gateway, for a request or a stream. Do not close it.

        Raises BusError while there is none.
        """
        if self._client is None:
            why = self.latest.problems[0] if self.latest.problems else "it was not looked for yet"
            raise BusError(f"the gateway cannot be reached: {why}")
        yield self._client

    # -- looking -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look until cancelled. Raises nothing else."""
        while True:
            try:
                async with self._runbook.connect() as client:
                    await self._observe(client)
            except FeedgateError as error:
                self._problems = {"status": str(error)}
            except Exception:
                log.exception("the gateway could not be looked at; trying again")
                self._problems = {"status": "the console failed to look; see its log"}
            finally:
                self._client = None
            self._look(reachable=False)
            await asyncio.sleep(_TRY_AGAIN_S * self._pace)

    async def _observe(self, client: Client) -> None:
        """Until the gateway has been silent for a while."""
        self._client = client
        tasks = TaskOwner()
        silent = 0
        try:
            first, *others = self._parts
            for part in others:
                tasks.start(self._keep_asking(client, part), f"observe {part.name}")
            while silent < _LOST_AFTER:
                reachable = await self._ask(client, first)
                silent = 0 if reachable else silent + 1
                self._look(reachable=reachable)
                await asyncio.sleep(first.every_s * self._pace)
        finally:
            self._client = None
            await tasks.aclose()

    async def _keep_asking(self, client: Client, part: _Part) -> None:
        while True:
            await self._ask(client, part)
            await asyncio.sleep(part.every_s * self._pace)

    async def _ask(self, client: Client, part: _Part) -> bool:
        try:
            async with asyncio.timeout(part.within_s):
                value = await part.ask(client)
        except TimeoutError:
            self._problems[part.name] = f"{part.name}: the gateway did not answer within {part.within_s:g} s"
            return False
        except FeedgateError as error:
            self._problems[part.name] = f"{part.name}: {error}"
            return False
        except Exception as error:
            log.exception("%s could not be had", part.name)
            self._problems[part.name] = f"{part.name}: {type(error).__name__}; see the console's log"
            return False
        self._problems.pop(part.name, None)
        self._had |= {part.name: value, f"{part.name}_at_ns": self._runbook.clock.wall_ns()}
        return True

    def _look(self, *, reachable: bool) -> None:
        now = self._runbook.clock.wall_ns()
        market = self.latest.market
        if market.changes_at_ns is None or not self.latest.at_ns <= now < market.changes_at_ns:
            market = market_at(self._runbook.windows, now)
        order = [part.name for part in self._parts]
        problems = tuple(self._problems[name] for name in order if name in self._problems)
        seen = Observed(at_ns=now, reachable=reachable, problems=problems, market=market)
        self.latest = replace(seen, **self._had)
        self.looks += 1
        try:
            self._remember(self.latest)
        except Exception:  # pictures of the past must not stop the present
            log.exception("a look could not be remembered")
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    # -- remembering ---------------------------------------------------------------------------------------------

    def _remember(self, seen: Observed) -> None:
        figures, add, now = seen.figures, self.history.add, seen.at_ns
        if seen.status is not None and not seen.is_stale(seen.status_at_ns):
            for line in seen.status.lines:
                self.history.see(str(line.line), line.state.value, now)
        if figures is None or figures is self._before:
            return
        add("published_rate", now, figures.published_rate)
        add("received_rate", now, figures.received_rate)
        add("p50_ms", now, figures.p50_ms)
        add("p99_ms", now, figures.p99_ms)
        add("held", now, figures.held)
        wanted = sum(feed.wanted for feed in seen.coverage)
        if wanted and not seen.is_stale(seen.coverage_at_ns):
            add("coverage_ratio", now, sum(feed.confirmed for feed in seen.coverage) / wanted)
        if seen.backlog is not None and not seen.is_stale(seen.backlog_at_ns):
            add("backlog", now, seen.backlog.messages)
        shares = first_shares(self._before, figures)
        for one in figures.lines:
            add(f"line.{one.line}.rate", now, one.rate)
            add(f"line.{one.line}.first_share", now, shares.get(one.line))
        self._before = figures


def first_shares(before: Figures | None, now: Figures) -> dict[str, float]:
    """Of each line the share of its feed's ticks that it brought first, between two answers of one gateway."""
    if before is None or before.epoch != now.epoch:
        return {}
    earlier = {line.line: line.first for line in before.lines}
    gained = {line.line: line.first - earlier.get(line.line, line.first) for line in now.lines}
    feeds: dict[str, int] = {}
    for line in now.lines:
        feeds[line.feed] = feeds.get(line.feed, 0) + gained[line.line]
    return {line.line: gained[line.line] / feeds[line.feed] for line in now.lines if feeds[line.feed] > 0}
