"""A gateway, consumers and a health check that do what a test says, for the course of a drill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.control import FeedStatus, GapsReply, LedgerStatus, StatusReply
from gateway.control.events import ContractLatency, Switch
from gateway.errors import ControlError
from gateway.flow.gapjson import GapTotals, WatchedRow
from gateway.model import LineState, LineStatus
from runbook.drill.backlog import Backlog, UnmeasuredError, Waiting
from runbook.drill.course import Course
from runbook.drill.faults import DrillFault
from runbook.drill.notes import Plan
from runbook.drill.report import DrillReport
from runbook.model import Exit

HOME, AWAY = "ctp:primary", "ctp:backup"


def line_status(line: str, role: str) -> LineStatus:
    return LineStatus(
        line=line,
        account=f"1***{line[-1]}",
        role=role,
        state=LineState.STREAMING,
        reason="",
        since_ns=0,
        restarts=0,
        ticks=1,
        wanted=1,
        pending=0,
        confirmed=1,
        failed=0,
    )


class FakeGateway:
    """Two lines, and a list of everything that was asked of it and of those who measure."""

    def __init__(self) -> None:
        self.active: str | None = HOME
        self.session = "day"
        self.asked: list[str] = []
        self.failing: dict[str, str] = {}
        """``failover`` or ``failback`` → why the switch fails."""
        self.latency: dict[str, float | None] = {}
        self.known = True
        self.absent = False
        self.busy = 0
        self.by_itself: Switch | None = None
        self.says_only = False
        """A switch is told as done, and the line stays."""

    async def status(self) -> StatusReply:
        if self.absent:
            raise ControlError("nobody answers", reply_code="no_responder")
        roles = {HOME: "hot", AWAY: "hot"} | ({self.active: "active"} if self.active else {})
        return StatusReply(
            name="feedgate",
            version="0",
            epoch=1,
            codec="msgpack",
            lines=[line_status(line, role) for line, role in roles.items()],
            counters={},
            feeds=[FeedStatus(feed="ctp", active=self.active, session=self.session, router="all_hot")],
            ledger=LedgerStatus(),
        )

    def switch(self, kind: Any, target: str, trigger: str = "command") -> Switch:
        error = self.failing.get(kind, "")
        source = self.active
        if not error and not self.says_only:
            self.active = target
        latency = self.latency.get(kind, 1.5)
        return Switch(
            feed="ctp",
            at_ns=2,
            kind=kind,
            source=source,
            target=target,
            reason="r",
            trigger=trigger,
            started_ns=1 << 62,
            finished_ns=2,
            ok=not error,
            error=error,
            latency_ms=None if error else latency,
            contracts=(ContractLatency(instrument="SHFE.rb2510", latency_ms=3.0),),
            measured=1,
        )

    async def failover(self, _reason: str, **_more: Any) -> Switch:
        self.asked.append("failover")
        return self.switch("failover", AWAY)

    async def failback(self, _reason: str, **_more: Any) -> Switch:
        self.asked.append("failback")
        if self.busy:
            self.busy -= 1
            raise ControlError("another switch runs", reply_code="busy")
        return self.switch("failback", HOME)

    async def switches(self, _feed: str, **_more: Any) -> list[Switch]:
        return [self.by_itself] if self.by_itself else []

    async def gaps(self, **_more: Any) -> GapsReply:
        watched = WatchedRow(
            feed="ctp", trading_day=1, session="day", from_ns=0, to_ns=1 << 62, contracts=1, since="", until=""
        )
        return GapsReply(
            trading_day=1,
            known=self.known,
            totals=GapTotals(gaps=0, contracts=0, open=0, longest_s=None, lost_volume=0, lost_volume_unknown=0),
            gaps=[],
            watched=[watched] if self.known else [],
            notes=[],
            cursor=None,
        )


class FakeBacklog:
    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.by_line: dict[str, int] = {}
        self.unmeasured_on = ""
        self.cut_off = 0

    async def measure(self, _feed: str, accounts: tuple[str, ...], _since_ns: int) -> Backlog:
        self.gateway.asked.append(f"backlog {accounts[0]}")
        line = f"ctp:{accounts[0]}"
        if line == self.unmeasured_on:
            raise UnmeasuredError("nobody tells")
        found = (Waiting(consumer="c", messages=self.by_line.get(line, 0)), Waiting(consumer="d", messages=0))
        return Backlog(source="fake", consumers=found, cut_off=self.cut_off)


class FakeWitness:
    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.count = 0
        self.silent_on = ""
        self.wrong_on: dict[str, str] = {}

    def ticks(self, _feed: str) -> int:
        if self.gateway.active != self.silent_on:
            self.count += 1
        return self.count

    def feeds(self) -> list[str]:
        return ["ctp"]

    def faults(self) -> list[str]:
        found = self.wrong_on.get(self.gateway.active or "")
        return [found] if found else []

    def figures(self) -> dict[str, Any]:
        return {"ticks": self.count}


class FakeInjector:
    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.leaves = True

    async def inject(self, fault: DrillFault, line: str) -> None:
        self.gateway.asked.append(f"inject {fault.name} {line}")
        if self.leaves:
            self.gateway.by_itself = self.gateway.switch("failover", AWAY, "line_lost")

    async def heal(self) -> None:
        self.gateway.asked.append("heal")


class Rig:
    """Everything of one drill."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.backlog = FakeBacklog(self.gateway)
        self.witness = FakeWitness(self.gateway)
        self.injector = FakeInjector(self.gateway)
        self.health: dict[str, int] = {}
        """Active line → exit code of the health check."""
        self.told: list[str] = []
        self.on_health: Callable[[], Any] | None = None

    def course(self, **plan: Any) -> Course:
        async def check(_client: Any) -> tuple[int, str, Mapping[str, Any]]:
            self.gateway.asked.append("health")
            if self.on_health is not None:
                await self.on_health()
            return self.health.get(self.gateway.active or "", Exit.OK), "said", {}

        values = {"mode": "live", "reason": "weekly", "patience_s": 0.0, "observe_s": 0.0, "fault_wait_s": 0.0}
        return Course(
            self.gateway,  # type: ignore[arg-type]  # has what a course asks of a client
            Plan(**(values | plan)),
            health=check,
            backlog=self.backlog,
            witness=self.witness,
            injector=self.injector,
            clock=SystemClock(),
            tell=lambda stage, text, _fields: self.told.append(f"{stage}: {text}"),
        )

    async def run(self, **plan: Any) -> DrillReport:
        return await self.course(**plan).run()


@pytest.fixture
def rig() -> Rig:
    return Rig()
