"""A feed of real lines whose processes a test plays, with the real pipeline, ledger and oversight around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.assembly import Feed
from gateway.bus.memory import MemoryBus
from gateway.codec import CODECS
from gateway.control.announcer import Announcer
from gateway.control.events import ControlEvent
from gateway.control.hours import MarketHours
from gateway.control.oversight import FeedWatch, Oversight
from gateway.control.routing.all_hot import AllHot
from gateway.control.steering import Steering
from gateway.flow.arbiter import ArbiterEvent
from gateway.flow.gapstore import GapStore
from gateway.flow.pipeline import Pipeline
from gateway.flow.publisher import Publisher
from gateway.flow.subscriptions import SubscriptionPolicy, Subscriptions
from gateway.lines.line import Line
from gateway.model import Instrument, LineId, LineState
from gateway.observing import Observers
from gateway.plan import AccountRouter
from gateway.settings import AccountSettings, BusSettings, FeedSettings, LedgerSettings, Settings
from gateway.tasks import TaskOwner
from gateway.testing.clock import ManualClock
from tests.unit.lines.scripted_host import Script, ScriptedHost, build_line, until

RB, AG, CU, AU = (Instrument("SHFE", code) for code in ("rb2510", "ag2512", "cu2510", "au2512"))
MORNING = 1_756_431_000_000_000_000
"""Friday 2025-08-29, 09:30 in Shanghai."""


class Told(Announcer):
    """The real announcer, which also keeps what it was told."""

    def __init__(self, bus: MemoryBus, clock: ManualClock) -> None:
        super().__init__(bus, Observers(()), clock)
        self.events: list[ControlEvent] = []
        self.gaps: list[str] = []

    def tell(self, event: ControlEvent) -> None:
        self.events.append(event)
        super().tell(event)

    def gap(self, event: Any) -> None:
        self.gaps.append(f"{event.kind} {event.gap.instrument}")
        super().gap(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Rig:
    """Feed ``ctp``. Nothing looks by itself: a test calls the looks of failover and watchdog."""

    def __init__(
        self,
        path: Path,
        *accounts: str,
        router: AccountRouter | None = None,
        capacity: int | None = None,
        keep: bool = True,
        clock: ManualClock | None = None,
        **sections: Any,
    ) -> None:
        self.clock = clock or ManualClock(wall_ns=MORNING)
        accounts = accounts or ("primary", "backup")
        rules = FeedSettings(kind="sim", accounts={name: AccountSettings() for name in accounts})
        ledger = LedgerSettings(path=path / "gaps.db" if keep else None)
        self.settings = Settings(feeds={"ctp": rules}, bus=BusSettings(kind="memory"), ledger=ledger, **sections)
        if capacity is not None:
            limits = self.settings.subscriptions.model_copy(update={"per_login_limit": capacity})
            self.settings = self.settings.model_copy(update={"subscriptions": limits})
        self.bus = MemoryBus()
        codec = CODECS["msgpack"]
        rules_out = self.settings.publish
        self.publisher = Publisher(self.bus, codec, form=rules_out.form, held=rules_out.held, batch=rules_out.batch)
        self.pipeline = Pipeline(
            self.bus,
            codec,
            self.publisher,
            epoch=1,
            clock=self.clock,
            events=self._arbiter_said,
        )
        self.feed = Feed(
            name="ctp", settings=rules, sessions="always", router=router or AllHot(), catalogue=None
        )  # fmt: skip
        self.scripts: dict[str, Script] = {}
        self.lines: dict[str, Line] = {}
        for account in accounts:
            self._add(account, capacity)
        self.pipeline.add_feed("ctp", {line.id: line.account.masked for line in self.feed.lines})
        self.told = Told(self.bus, self.clock)
        self.store = GapStore(path / "gaps.db", clock=self.clock)
        hours = MarketHours({"ctp": "always"}, None, self.clock)
        self.oversight = Oversight(
            [self.feed],
            self.settings,
            self.pipeline,
            hours=hours,
            store=self.store,
            announcer=self.told,
            clock=self.clock,
        )
        self.owner = TaskOwner()

    def _add(self, account: str, capacity: int | None) -> None:
        script = self.scripts[f"ctp:{account}"] = Script()
        script.logs_in = True
        line = build_line(
            script,
            self.clock,
            line=LineId("ctp", account),
            deliver=self.pipeline.deliver,
            changed=self._changed,
            topics=self.pipeline.topics,
            parked=True,
            hung_after_s=1e9,
            kill_after_s=1e9,
        )
        self.lines[str(line.id)] = line
        self.feed.lines.append(line)
        self.feed.subscriptions[line.id] = Subscriptions(
            line.id,
            line,
            SubscriptionPolicy(batch_size=500, per_second=100_000, burst=100_000, per_login_limit=capacity),
            self.clock,
            sleep=self.clock.sleep,
        )

    def _arbiter_said(self, event: ArbiterEvent) -> None:
        self.oversight.arbiter_said(event)

    def _changed(self, line: Line) -> None:
        self.pipeline.line_changed(line.id, line.state)
        self.oversight.line_changed(line)

    # -- the parts ---------------------------------------------------------------------------------------------

    @property
    def watch(self) -> FeedWatch:
        return self.oversight.feeds["ctp"]

    @property
    def steering(self) -> Steering:
        return self.watch.steering

    def host(self, line: str) -> ScriptedHost:
        return self.scripts[line].now

    def confirmed(self, line: str) -> list[Instrument]:
        return sorted(self.feed.subscriptions[self.lines[line].id].confirmed)

    def wanted(self, line: str) -> list[Instrument]:
        return sorted(self.feed.subscriptions[self.lines[line].id].wanted)

    # -- what happens ------------------------------------------------------------------------------------------

    async def up(self, *lines: str) -> None:
        """These are logged in, and have everything confirmed."""
        names = lines or tuple(self.lines)
        await until(
            lambda: all(
                self.lines[name].state.is_up and self.confirmed(name) == self.wanted(name) for name in names
            )
        )  # fmt: skip

    async def back(self, line: str) -> None:
        """Logged in anew and confirmed; takes its pauses on the clock."""
        async with asyncio.timeout(60):
            while not self.lines[line].state.is_up or self.confirmed(line) != self.wanted(line):
                await self.clock.advance(0.1)
                await asyncio.sleep(0.001)

    async def begin(self, *instruments: Instrument) -> None:
        """As at the start of a gateway, without the tasks that look."""
        await self.oversight.want("ctp", instruments or (RB, AG))
        await self.watch.failover.look()

    def tick(self, line: str, *instruments: Instrument, volume: int = 1) -> int:
        """These tick now on that line."""
        moment_ns = self.clock.wall_ns()
        self.host(line).ticks(moment_ns, *instruments, volume=volume)
        return moment_ns

    async def die(self, line: str, reason: str = "killed by SIGKILL") -> None:
        self.host(line).end(reason)
        await until(lambda: self.lines[line].state is LineState.LOST)


@asynccontextmanager
async def rig(
    path: Path, *accounts: str, begin: Sequence[Instrument] | None = (RB, AG), **options: Any
) -> AsyncIterator[Rig]:
    play = Rig(path, *accounts, **options)
    await play.bus.start()
    await play.store.start()
    await play.oversight.recover()
    tasks = [asyncio.create_task(line.run()) for line in play.feed.lines]
    senders = [asyncio.create_task(one.run()) for one in play.feed.subscriptions.values()]
    try:
        if begin is not None:
            await play.begin(*begin)
        yield play
    finally:
        await play.oversight.halt()
        await play.watch.watchdog.aclose()
        for line in play.feed.lines:
            line.close()
        await asyncio.gather(*tasks)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        await play.owner.aclose()
        await play.oversight.ledger.aclose()
        await play.told.aclose()
        await play.bus.aclose()
