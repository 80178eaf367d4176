"""The good day: from the evening's secrets to the next afternoon's archive."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Final

from tests.day.alarms import AT_ONCE, SMALL, Alarms
from tests.day.course import LOGS, Course, ended
from tests.day.patience import until
from tests.day.records import moment, value
from tests.day.scraped import CONTRACT, WELL, answers, recorded, unanswered, wrong
from tests.day.self_test import SelfTest
from tests.day.sights import Sights
from tests.day.site import Site
from tests.day.stream import Consumer

_QUIET_S: Final = 4.0
"""Longer than the silence that a line is allowed in session (3 s)."""


class GoodDay:
    """Plays it on a site; :meth:`play` returns when the day is over."""

    def __init__(self, site: Site, course: Course) -> None:
        self.site, self.course = site, course
        self.desk, self.step = site.desk, course.step
        self.running = False
        self.sights = Sights(site)
        self.stack = ExitStack()

    def play(self) -> None:
        """Raises AssertionError at the first thing that is not as the contract has it."""
        with self.stack:
            try:
                self.evening()
                self.night()
                self.morning()
                self.day()
                self.afternoon()
                self.whole_day()
                self.watched()
            finally:
                ended(self.desk)

    def clock(self, text: str, session: str | None = None) -> None:
        """Jump; while the gateway runs not before Prometheus has seen it well, because that is held over the jump."""
        if self.running:
            until(lambda: answers(self.site.recording, WELL), "Prometheus does not see both lines well")
        self.course.clock(text, session)

    # -- the parts -----------------------------------------------------------------------------------------------

    def evening(self) -> None:
        self.clock("20:30", "closed")
        self.step("runbook", "secrets", "pull", seen=self.sights.pulled)
        self.clock("20:45")
        self.step(
            "validate_env.py", "--profile", "live", "--require-backup", flags=LOGS, codes=(0, 1), says=["0 errors"],
            seen="no error; warnings are about this machine",
        )  # fmt: skip
        self.step("start_live_env.sh", "--window", "night", markers=["HEALTH=READY"], seen=self.sights.started)
        self.running = True
        self.consumer = self.stack.enter_context(Consumer(self.desk, self.site.nats_url, self.site.root))
        self.self_test = self.stack.enter_context(SelfTest(self.site))
        self.clock("20:50")
        self.step(
            "check_feed_health.py", "--mode", "enforce", "--window", "night", "--coverage-threshold", "0.995",
            "--lag-warning", "60", "--lag-critical", "180", "--max-remediation-attempts", "3",
            "--out", "json", "--json-indent", "2",
            markers=["HEALTH=READY"], seen=self.sights.healthy,
        )  # fmt: skip
        self.step(
            "full_feed_subscription.py", "--batch-size", "50", "--rate-limit-window", "1", "--rate-limit-max", "50",
            "--max-retries", "3", "--include", "*", "--output-dir", "logs/runbooks",
            says=["all 5 contracts are carried"], seen=self.sights.subscribed,
        )  # fmt: skip
        self.step(
            "full_feed_subscription.py", "--health", says=["all 5 contracts are subscribed"], seen="nothing is missing"
        )
        self.clock("20:52")
        self.step("runbook", "t5-checkpoint", "--window", "night", seen=lambda _: self.sights.t5("night"))
        until(lambda: self.consumer.connected, "the consumer does not connect")

    def night(self) -> None:
        self.clock("21:00", "night")
        until(lambda: self.consumer.volume("SHFE.rb2701") >= 10, "no ticks after the opening")
        assert self.consumer.volume("CFFEX.IF2612") == 0
        self.course.happens("the market opens", "ticks of the four contracts with a night; none of CFFEX.IF2612")
        self.clock("22:00")
        self.health("night")
        self.clock("22:10")
        self.primary_lost()
        self.clock("22:20")
        self.step(
            "start_live_env.sh", "--failback", "--reason", "primary is back",
            seen=lambda _: self.sights.switched("failback", "ctp:primary"),
        )  # fmt: skip
        self.clock("23:30")
        self.health("night")
        self.clock("02:00")
        self.health("night")
        self.clock("02:31", "closed")

    def morning(self) -> None:
        self.clock("08:30")
        self.step("refresh_contracts.py", says=["5 contracts, 5 added"], seen=self.sights.listed)
        self.clock("08:45")
        before = self.sights.processes()["gateway"]
        self.step(
            "start_live_env.sh", "--window", "day", markers=["HEALTH=READY"], seen="what runs was checked, not started"
        )
        assert self.sights.processes()["gateway"] == before
        self.step(
            "alert_smoke.py",
            "--wait-seconds",
            "3",
            says=["seen through Prometheus"],
            seen="through the real Prometheus",
        )
        self.clock("08:52")
        self.step("runbook", "t5-checkpoint", "--window", "day", seen=lambda _: self.sights.t5("day"))

    def day(self) -> None:
        self.clock("09:01", "day")
        self.health("day")
        self.clock("10:00")
        until(lambda: self.consumer.volume("CFFEX.IF2612") >= 10, "no ticks of the day's own contract")
        self.ticks()
        self.step(
            "start_live_env.sh", "--failover", "--config", "backup", "--reason", "primary silent", config="backup",
            seen=lambda _: self.sights.switched("failover", "ctp:backup"),
        )  # fmt: skip
        self.step(
            "start_live_env.sh", "--failback", "--reason", "primary is back",
            seen=lambda _: self.sights.switched("failback", "ctp:primary"),
        )  # fmt: skip
        self.step("runbook", "incident", "new", "--reason", "primary was silent", seen=self.sights.incident)
        self.step("notify_slack.sh", "--tag", "FAILOVER", "--code", "1", seen=self.sights.notified)
        self.clock("10:20")
        self.health("day")
        self.clock("11:35")
        before = self.sights.processes()["gateway"]
        self.step(
            "start_live_env.sh", "--restart", "--reason", "at lunch", markers=["RESTART=OK"],
            seen="NATS untouched, the consumer stays connected",
        )  # fmt: skip
        assert self.sights.processes()["gateway"] != before
        self.clock("12:00")
        self.lunch()
        self.course.note("11-24 12:00", self.self_test.line, "0", self.self_test.judge())
        self.clock("14:15")
        self.ticks()
        self.step(
            "start_live_env.sh", "--drill", "--window", "day", "--reason", "weekly drill",
            says=["Failover drill completed successfully"], seen=self.sights.drilled,
        )  # fmt: skip
        self.step(
            "check_feed_health.py", "--mode", "dry-run", "--window", "day", "--out", "csv", seen=self.sights.csv_report
        )
        self.course.happens("the figures", self.sights.figures())
        self.clock("15:00", "closed")
        until(lambda: self.consumer.has_all(self.site.exchange), "ticks are missing at the consumer")
        self.consumer.end()
        self.course.happens("the market closes; the consumer leaves", self.consumer.judge(self.site.exchange))

    def afternoon(self) -> None:
        self.clock("15:30")
        self.running = False
        self.step(
            "start_live_env.sh", "--stop", "--reason", "end of the day",
            markers=["UNSUBSCRIBED", "GRACEFUL_SHUTDOWN=OK"], seen=lambda _: self.sights.stopped(),
        )  # fmt: skip
        self.step("runbook", "secrets", "clear", seen=lambda _: self.sights.cleared())
        self.site.wall.date_files(self.desk.root)
        self.clock("15:45")
        self.course.read(
            "gateway", "gaps", "--db", "state/gaps.sqlite", "--date", "2026-11-24", "--json", seen=self.sights.no_gap
        )
        self.step("runbook", "log-scan", "--write-summary", seen=self.sights.scanned)
        self.clock("16:30")
        self.step("runbook", "archive", seen=self.sights.archived)
        self.course.read("runbook", "audit", "verify", seen=lambda done: done.out.splitlines()[0])

    def health(self, window: str) -> None:
        """The check of the hour."""
        self.step(
            "check_feed_health.py", "--mode", "dry-run", "--window", window, markers=["HEALTH=READY"],
            seen=self.sights.healthy,
        )  # fmt: skip

    def primary_lost(self) -> None:
        """The primary's front goes away and comes back: nobody types anything."""
        exchange = self.site.exchange
        self.ticks()
        exchange.call(exchange.primary.refuse())
        until(lambda: self.sights.active() == "ctp:backup", "the gateway does not leave a dead line")
        seen = self.sights.switched("failover", "ctp:backup")
        self.course.happens("the primary's front dies", f"the gateway leaves it by itself: {seen}")
        exchange.call(exchange.primary.listen())
        until(lambda: self.sights.up("primary"), "the line does not come back")

    def ticks(self) -> None:
        """Some since the clock jumped: a latency is measured from tick to tick, and would hold the jump."""
        last = self.consumer.volume("SHFE.au2702")
        until(lambda: self.consumer.volume("SHFE.au2702") > last + 5, "no ticks")

    def lunch(self) -> None:
        """Nothing ticks for longer than a line may be silent in session, and nothing fires."""
        sent = sum(self.site.exchange.volumes.values())
        began = time.monotonic()
        self.health("day")
        until(lambda: time.monotonic() - began > _QUIET_S, "time stands still")
        assert sum(self.site.exchange.volumes.values()) == sent
        assert self.sights.alarms() == []
        assert value(self.site.metrics_url, "feed_failover_required") == 0
        assert self.sights.active() == "ctp:primary"
        self.course.happens("lunch goes on", "no tick, no alarm, no switch")

    def whole_day(self) -> None:
        """What is true of all of it."""
        assert self.sights.alarms() == []
        self.course.happens("the logs", self.sights.logs())
        self.course.happens("the secrets", self.sights.secrets())
        records = [row for row in self.desk.audit() if row["event"] != "note"]
        assert [row["event"] for row in records] == ["start", "stop"] * (len(records) // 2)
        times = [moment(row["at"]) for row in records]
        assert times == sorted(times)
        self.course.happens(
            "the audit", f"{len(records)} records, a start and a stop each, in the order of their times"
        )

    def watched(self) -> None:
        """What Prometheus made of the day."""
        series = recorded(self.site.recording)
        assert wrong(series) == [], wrong(series)
        self.course.happens("Prometheus", f"{len(CONTRACT) + 1} figures of the contract, with their labels, plausible")
        assert unanswered(self.site.recording, series) == []
        self.course.happens("the dashboards", "every panel of both has an answer")
        fired = Alarms(self.site.wall, series, self.site.root).fired(SMALL)
        assert fired == set(), fired
        receiver = self.site.receiver
        until(lambda: receiver.heard("Heartbeat", "firing", {}), "no notification reaches the receivers")
        told = {notice.name for notice in receiver.notices}
        assert not told & AT_ONCE, told
        self.course.happens("the alerts", "none fires, minute by minute, under the rules of `deploy/prometheus`")
