"""A gateway made of values, and contexts for actions that ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import FeedSettings, Instrument, LineState, Settings, Tick
from gateway.control import (
    FeedCoverage,
    FeedStatus,
    LineCounts,
    StatusReply,
    SubscribeReply,
    Subscription,
    SubscriptionsReply,
    SubscriptionState,
)
from gateway.control.messages.catalogue import Reloaded
from gateway.model import Contract, LineStatus
from gateway.subjects import matcher
from runbook.context import ActionContext
from runbook.model import ActionRequest, Trigger
from runbook.settings import RunbookSettings

NOW_NS = 1_795_231_800_000_000_000
"""2026-11-21 11:30 in Shanghai."""
S = 1_000_000_000


class Clock:
    """Stands still; sleeping moves it at once."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall_ns(self) -> int:
        return NOW_NS + round((self.now - 1000) * S)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeGateway:
    """Answers what a Client would; ``away`` is raised in place of any answer."""

    def __init__(self, *, names: Iterable[str] = (), feed: str = "ctp", session: str = "day") -> None:
        self.feed, self.session = feed, session
        self.catalogue = list(names)
        self.wanted = list(names)
        self.confirmed = set(names)
        self.refuses: dict[str, str] = {}
        self.stalled: dict[str, float | None] = {}
        """Name → seconds since its last tick; None: the gateway has none."""
        self.unexpected: list[str] = []
        self.listed = 10_000
        """Names that a list of coverage has room for."""
        self.silent: set[str] = set()
        """Confirmed on a line that has fallen silent."""
        self.up = True
        self.away: Exception | None = None
        self.reloaded: list[Reloaded] = []
        self.warnings: list[str] = []
        self.asked: list[tuple[str, ...]] = []
        self.patience: dict[str, int] = {}
        """Name → how often it has to be asked for."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        self._answer()
        yield self

    def _answer(self) -> None:
        if self.away is not None:
            raise self.away

    async def reload_catalogue(self, reason: str, **rules: Any) -> list[Reloaded]:
        self._answer()
        self.asked.append(("reload", reason, str(rules["min_share"]), str(rules["accept_smaller"])))
        return self.reloaded

    async def status(self) -> StatusReply:
        self._answer()
        carried = [name for name in self.wanted if name in self.confirmed]
        line = LineStatus(
            line=f"{self.feed}:primary",
            account="16***9",
            role="active",
            state=LineState.STREAMING if self.up else LineState.LOST,
            reason="" if self.up else "0x1001",
            since_ns=NOW_NS,
            restarts=0,
            ticks=5,
            wanted=len(self.wanted),
            pending=0,
            confirmed=len(carried),
            failed=len(self.wanted) - len(carried),
        )
        feed = FeedStatus(feed=self.feed, active=line.line, session=self.session, router="all_hot")
        return StatusReply(
            name="g", version="1", epoch=1, codec="msgpack", lines=[line], counters={}, feeds=[feed],
            warnings=self.warnings,
        )  # fmt: skip

    async def coverage(self) -> list[FeedCoverage]:
        self._answer()
        missing = [name for name in self.wanted if name not in self.confirmed - self.silent or not self.up]
        confirmed = len(self.wanted) - len(missing)
        row = FeedCoverage(
            feed=self.feed,
            session=self.session,
            at_ns=NOW_NS,
            wanted=len(self.wanted),
            confirmed=confirmed,
            ticking=0,
            quiet=confirmed - len(self.stalled),
            stalled_count=len(self.stalled),
            missing_count=len(missing),
            unexpected_count=len(self.unexpected),
            ratio=confirmed / len(self.wanted) if self.wanted else None,
            stalled=list(self.stalled)[: self.listed],
            missing=missing[: self.listed],
            unexpected=self.unexpected[: self.listed],
            truncated=max(len(missing), len(self.stalled), len(self.unexpected)) > self.listed,
        )
        return [row]

    async def contracts(self, *_patterns: str, feed: str | None = None) -> list[Contract]:  # one feed
        self._answer()
        return [Contract(instrument=Instrument.parse(name)) for name in self.catalogue]

    async def subscriptions(
        self, *patterns: str, line: str | None = None, states: Iterable[SubscriptionState] = ()
    ) -> SubscriptionsReply:
        self._answer()
        rows = [self._row(name) for name in self.wanted]
        states = tuple(states)
        counts = LineCounts(line=f"{self.feed}:primary", wanted=len(rows), pending=0, confirmed=0, failed=0)
        return SubscriptionsReply(
            lines=[counts], subscriptions=[row for row in rows if not states or row.state in states], cursor=None
        )

    def _row(self, name: str) -> Subscription:
        state, reason = SubscriptionState.FAILED, self.refuses.get(name, "no answer after 6 tries")
        if not self.up:
            state, reason = SubscriptionState.WANTED, ""
        elif name in self.confirmed:
            state, reason = SubscriptionState.CONFIRMED, ""
        return Subscription(line=f"{self.feed}:primary", instrument=name, state=state, reason=reason)

    async def last(self, *patterns: str) -> list[Tick]:
        self._answer()
        tests = [matcher(pattern) for pattern in patterns or ("*",)]
        return [
            tick(name, NOW_NS - round(lag * S))
            for name, lag in self.stalled.items()
            if lag is not None and any(test(name) for test in tests)
        ]

    async def subscribe(self, *wanted: str) -> SubscribeReply:
        self._answer()
        self.asked.append(wanted)
        known = [name for name in wanted if name in self.catalogue]
        unknown = [name for name in wanted if name not in self.catalogue]
        for name in known:
            if name not in self.wanted:
                self.wanted.append(name)
            self.patience[name] = self.patience.get(name, 1) - 1
            if name not in self.refuses and self.patience[name] <= 0:
                self.confirmed.add(name)
        return SubscribeReply(accepted=len(known), unknown=len(unknown), accepted_names=known, unknown_names=unknown)

    def drop(self, *names: str) -> None:
        """No longer wanted."""
        self.wanted = [name for name in self.wanted if name not in names]
        self.confirmed -= set(names)


def tick(name: str, recv_ns: int) -> Tick:
    exchange, _, code = name.partition(".")
    return Tick(
        1, 1, recv_ns, "ctp:primary", "16***9", exchange, code, 20261121, recv_ns, 1.0, 1, *[None] * 13, (), (), (), ()
    )


class Bench:
    """Contexts on a temporary directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.told: list[tuple[str, str]] = []
        self.settings = Settings(feeds={"ctp": FeedSettings()})
        self.runbook: dict[str, Any] = {}

    def context(
        self, gateway: FakeGateway | None = None, *, dry_run: bool = False, connect: Callable[[], Any] | None = None
    ) -> ActionContext:
        runbook = RunbookSettings(log_dir=self.root / "logs", state_dir=self.root / "state", **self.runbook)

        def nobody() -> AbstractAsyncContextManager[Any]:
            raise AssertionError("nobody is to be asked")

        return ActionContext(
            run="r1",
            request=ActionRequest(action="x", operator="tester", trigger=Trigger.CLI, dry_run=dry_run),
            settings=self.settings,
            runbook=runbook,
            clock=self.clock,
            log_dir=runbook.log_dir,
            connect=connect or (gateway.connect if gateway else nobody),
            tell=lambda stage, text, _fields: self.told.append((stage, text)),
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def names() -> list[str]:
    return [f"SHFE.rb27{month:02}" for month in range(1, 11)]


@pytest.fixture
def gateway(names: list[str]) -> FakeGateway:
    return FakeGateway(names=names)
