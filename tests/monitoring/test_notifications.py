"""Each alert is provoked on a running gateway; its notification arrives, and is taken back when it is over."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import push_to_gateway

from gateway.client import connect
from runbook.actions import t5_checkpoint
from tests.day.services import get
from tests.docs.documents import ROOT, anchors
from tests.monitoring.receiver import Receiver
from tests.monitoring.told_feed import REFUSED
from tests.monitoring.watched import Watched, until, watched

UNWANTED = {
    "ThresholdMissing", "RulesFailing", "NotificationsFailing", "RecordsRejected", "T5NotChecked", "AuditNotWritten",
    "SubscriptionsUnplaced", "LineSuspect", "GapLedgerFailing", "ApiErrors",
}  # fmt: skip
"""Nothing in the course gives a reason for these."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watched, Receiver]]:
    with watched(tmp_path_factory.mktemp("monitoring")) as (desk, receiver):
        code, said = desk.run("start", "--profile", "test")
        try:
            assert code == 0, said
            with desk.serve():
                yield desk, receiver
        finally:
            desk.run("stop", "--profile", "test")


class Course:
    """What happens, and what is heard of it."""

    def __init__(self, desk: Watched, receiver: Receiver) -> None:
        self.desk, self.receiver = desk, receiver

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Prometheus's answer."""
        asked = f"{self.desk.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        found: list[dict[str, Any]] = json.loads(get(asked))["data"]["result"]
        return found

    def firing(self) -> set[str]:
        found = self.ask('ALERTS{alertstate="firing", severity!="none"}')
        return {row["metric"]["alertname"] for row in found}

    def told(self, name: str, status: str = "firing", **labels: str) -> None:
        """Wait for the notification."""
        notice = until(
            lambda: self.receiver.heard(name, status, labels),
            lambda: f"{name} {labels} is not {status}; firing: {self.firing()}; heard: {self.receiver.notices}",
        )
        rightly = {"critical": "on-call", "warning": "desk"}[notice.labels["severity"]]
        assert notice.receiver == ("desk" if notice.labels.get("profile") == "test" else rightly)
        page, _, step = notice.annotations["runbook_url"].partition("#")
        assert step in anchors(ROOT / page)
        assert "$" not in notice.annotations["description"] + notice.annotations["summary"]

    def over(self, name: str, **labels: str) -> None:
        """Wait until it is taken back."""
        self.told(name, "resolved", **labels)

    def suppressed(self, name: str, **labels: str) -> bool:
        """Whether Alertmanager keeps it back because another one explains it."""
        alerts = json.loads(get(f"{self.desk.alertmanager}/api/v2/alerts"))
        wanted = {"alertname": name} | labels
        return any(wanted.items() <= one["labels"].items() and one["status"]["inhibitedBy"] for one in alerts)

    def control(self, endpoint: str, *instruments: str) -> None:
        """``subscribe`` or ``unsubscribe``, as a consumer does."""

        async def order() -> None:
            async with connect(self.desk.nats_url) as client:
                reply = await getattr(client, endpoint)(*instruments)
                assert reply.accepted == len(instruments), reply

        asyncio.run(order())

    def contracts(self, feed: str) -> list[str]:
        async def ask() -> list[str]:
            async with connect(self.desk.nats_url) as client:
                return [str(one.instrument) for one in await client.contracts("SHFE.*" if feed == "sim" else "CFFEX.*")]

        return asyncio.run(ask())

    def t5(self, ready: int) -> None:
        """What ``runbook t5-checkpoint`` pushes; the command itself depends on the hour."""
        registry = CollectorRegistry()
        Gauge(t5_checkpoint.METRIC, "T-5", registry=registry).set(ready)
        group = {"session": "day", "profile": "live"}
        push_to_gateway(self.desk.pushgateway, t5_checkpoint.JOB, registry, grouping_key=group)

    def up(self, line: str) -> bool:
        feed, account = line.split(":")
        state = 'md_line_state{state="streaming", feed="%s", account="%s"} == 1'
        return bool(self.ask(state % (feed, account)))


def test_each_alert_is_told_and_taken_back(world: tuple[Watched, Receiver]) -> None:
    course = Course(*world)
    well(course)
    many_at_once(course)
    slow(course)
    frozen(course)
    meant(course)
    assert {notice.name for notice in course.receiver.notices} & UNWANTED == set()


def well(course: Course) -> None:
    """A gateway that is well: nothing fires but what always does."""
    receiver = course.receiver
    until(lambda: course.up("sim:primary") and course.up("sim:backup") and course.up("cold:primary"), "no lines")
    until(lambda: course.ask("feed:md_throughput_mps:max >= feed:md_throughput_mps:wanted"), "no throughput")
    until(lambda: receiver.heard("Heartbeat", "firing", {}), "no heartbeat")
    until(lambda: not course.firing(), lambda: f"{course.firing()} fire")
    jobs = {row["metric"]["job"]: row["value"][1] for row in course.ask("up")}
    assert jobs == dict.fromkeys(("gateway", "console", "pushgateway", "alertmanager", "prometheus"), "1")


def many_at_once(course: Course) -> None:
    """A slow failover, a dead line, a failed one, missing contracts, a consumer that does not read, T-5."""
    desk = course.desk
    unknown = list(map(str, REFUSED))
    with desk.gone("cold:primary"):
        with desk.slow_consumer():
            course.told("ConsumerBacklogGrowth", feed="sim")
        with desk.gone("sim:backup"):
            course.control("subscribe", *unknown)
            course.t5(0)
            course.told("LineDown", feed="sim", account="backup")
            course.told("CoverageLow", feed="sim", account="primary")
            course.told("T5Missed", session="day")
            code, said = desk.run("restart-line", "--line", "sim:backup", "--within", "1", "--profile", "test")
            assert code == 2, said
            course.told("RunbookFailed", command="restart-line", profile="test")
        course.told("FeedDown", feed="cold")
        course.told("FailoverLatencyHigh", feed="cold", kind="failover")
        course.over("FeedDown", feed="cold")
    course.control("unsubscribe", *unknown)
    course.t5(1)
    until(lambda: course.up("sim:backup"), "the line does not come back")
    code, said = desk.run("restart-line", "--line", "sim:backup", "--profile", "test")
    assert code == 0, said
    for name in ("LineDown", "CoverageLow"):
        course.over(name, feed="sim")
    for name in ("T5Missed", "ConsumerBacklogGrowth", "RunbookFailed", "FailoverLatencyHigh"):
        course.over(name)


def slow(course: Course) -> None:
    """Most contracts are given up, and asked for again: too few ticks, then too many batches. Then no line at all."""
    most = [name for name in course.contracts("sim") if name not in map(str, REFUSED)][5:]
    course.control("unsubscribe", *most)
    course.told("ThroughputLow", feed="sim")
    course.control("subscribe", *most)
    course.told("RateLimitSpike", feed="sim")
    course.over("ThroughputLow", feed="sim")
    course.over("RateLimitSpike", feed="sim")
    since = len(course.receiver.notices)
    with course.desk.gone("sim:primary"), course.desk.gone("sim:backup"):
        until(lambda: course.receiver.heard("FeedDown", "firing", {"feed": "sim"}), "FeedDown is not told")
        until(lambda: course.suppressed("LineDown", feed="sim"), "its lines are told as well")
    until(lambda: course.receiver.heard("FeedDown", "resolved", {"feed": "sim"}, since=since), "FeedDown stays")


def frozen(course: Course) -> None:
    """NATS, then the gateway and the console, are alive and answer nothing."""
    desk = course.desk
    with desk.frozen(desk.pid("nats-server")):
        course.told("NatsDisconnected")
    course.over("NatsDisconnected")
    with desk.frozen(desk.pid("-m gateway --log-level"), desk.pid("runbook serve")):
        course.told("GatewayDown", gateway="test")
        course.told("TargetDown", job="console")
    course.over("GatewayDown")
    course.over("TargetDown")


def meant(course: Course) -> None:
    """A gateway that was stopped on purpose is not missed."""
    code, said = course.desk.run("stop", "--profile", "test")
    assert code == 0, said
    until(
        lambda: course.ask('up{job="gateway"} == 0 and on (gateway) gateway:md_runbook:stopped'), "the stop is unknown"
    )
    until(lambda: not course.ask('ALERTS{alertname="GatewayDown"}'), "GatewayDown fires after a stop that was meant")


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own settings is read."""
    monkeypatch.chdir(tmp_path)
