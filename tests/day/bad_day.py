"""The bad day: what fails ends with its code, has its record, and leaves what it found."""

from __future__ import annotations

import socket
from typing import Final

from tests.day.alarms import SMALL, Alarms
from tests.day.course import LIVE, LOGS, Course, ended
from tests.day.desk import TIMEOUT_S, Done
from tests.day.patience import until
from tests.day.records import samples, value
from tests.day.scraped import answers, recorded
from tests.day.sights import Sights
from tests.day.site import Site

START: Final = ("start_live_env.sh", "--window", "night")
FAILED: Final = 'md_runbook_exit_code{{command="{}"}} > 1'
HEALTH: Final = ("check_feed_health.py", "--mode", "dry-run", "--window", "night")

DUE: Final = frozenset({
    "RunbookFailed command=start job=runbook",  # no NATS, no gateway, too late
    "GatewayDown job=gateway",  # from the failed start at 20:40 to the next one at 20:57
    "RunbookFailed command=t5-checkpoint job=runbook",
    "T5Missed job=t5_checkpoint session=night",
    "RunbookFailed command=failover job=runbook",
    "FailoverFailed feed=ctp kind=failover",
    "RunbookFailed command=check-feed-health job=runbook",
})  # fmt: skip
"""Alerts that the day gives reason for. Each trouble lasts until the clock jumps, and so for minutes of the day."""


TOLD: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    *(("RunbookFailed", {"command": one}) for one in ("start", "t5-checkpoint", "failover", "check-feed-health")),
    ("T5Missed", {"session": "night"}),
    ("FailoverFailed", {"feed": "ctp", "kind": "failover"}),
)
"""Those that fire at once: Alertmanager wakes somebody up for each while the day is played."""


class BadDay:
    """Plays it on a site; :meth:`play` returns when it is over."""

    def __init__(self, site: Site, course: Course) -> None:
        self.site, self.course = site, course
        self.desk, self.step, self.clock = site.desk, course.step, course.clock
        self.sights = Sights(site)

    def play(self) -> None:
        """Raises AssertionError at the first failure that is not told as it must be."""
        try:
            self.clock("20:30", "closed")
            self.step("runbook", "secrets", "pull", seen=self.sights.pulled)
            self.no_nats()
            self.no_gateway()
            self.lasts("20:57", FAILED.format("start"), 'max_over_time(up{job="gateway"}[7s]) == 0')
            self.too_late()
            self.lasts("21:05", FAILED.format("t5-checkpoint"), "md_t5_checkpoint_status == 0")
            self.two_at_once()
            self.no_way_over()
            self.lasts("21:15", FAILED.format("failover"), 'md_switches_total{result="failed"} > 0')
            self.no_line()
            self.lasts("21:25", FAILED.format("check-feed-health"))
            self.no_pushgateway()
            self.end()
            self.watched()
        finally:
            ended(self.desk)

    def lasts(self, text: str, *troubles: str) -> None:
        """Jump, once Prometheus has seen what is wrong: the figures of that moment hold until then."""
        for query in troubles:
            until(lambda query=query: answers(self.site.recording, query), f"Prometheus does not see {query}")
        self.clock(text, "night")

    def no_nats(self) -> None:
        """Somebody else has its port."""
        self.clock("20:40")
        port = int(self.site.nats_url.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            self.step(*START, codes=[12], says=["nats failed after 3 tries"], seen=self.escalated)

    def escalated(self, _done: Done) -> str:
        """The escalation command is ``notify_slack.sh``, and so has records of its own."""
        until(lambda: not self.desk.processes(), "processes stay")
        assert any("12" in message and "nats" in message for message in self.site.mailbox.taken)
        notices = [row for row in self.desk.audit() if row["action"] == "notify"]
        assert [row["exit_code"] for row in notices if row["event"] == "stop"] == [0], notices
        return "three tries, then the escalation command, which told the desk; nothing is left running"

    def no_gateway(self) -> None:
        """It runs, and no line of it logs in."""
        exchange = self.site.exchange
        exchange.call(exchange.primary.refuse())
        exchange.call(exchange.backup.refuse())
        self.step(*START, codes=[13], seen=self.undone, RUNBOOK_START__STAGE_TIMEOUT_S="5", RUNBOOK_START__TRIES="1")
        exchange.call(exchange.primary.listen())
        exchange.call(exchange.backup.listen())

    def undone(self, _done: Done) -> str:
        until(lambda: not self.desk.processes(), "processes stay")
        return "both fronts refuse; NATS, which had been started, is off again"

    def too_late(self) -> None:
        """All is well, two minutes after T-5 (the auction counts as the night session)."""
        self.step(*START, codes=[16], markers=["HEALTH=READY"], seen="what runs is left running")
        self.step("runbook", "t5-checkpoint", "--window", "night", codes=[16], seen=self.missed)

    def missed(self, _done: Done) -> str:
        assert value(self.site.pushgateway.url, "md_t5_checkpoint_status", session="night", profile="live") == 0
        return "`md_t5_checkpoint_status` 0"

    def two_at_once(self) -> None:
        """A long drill runs when somebody wants to fail over; it is cancelled then."""
        drill = self.desk.start(
            "runbook", "drill", "--observe", "40", "--window", "night", "--reason", "a drill", *LIVE, *LOGS
        )
        with drill:
            until(lambda: any(row["action"] == "drill" for row in self.desk.audit()), "the drill does not begin")
            self.step("start_live_env.sh", "--failover", "--reason", "both at once", codes=[75], seen=self.refused)
            drill.terminate()
            out, _ = drill.communicate(timeout=TIMEOUT_S)
        assert drill.returncode == 2, out
        record = [row for row in self.desk.audit() if row["action"] == "drill"][-1]
        assert (record["event"], record["exit_code"]) == ("exception", 2)
        assert self.sights.active() == "ctp:primary"
        self.course.happens("the drill gets SIGTERM", "exit code 2, recorded as `exception`; `ctp:primary` is active")

    def refused(self, done: Done) -> str:
        assert "drill" in done.out
        (record,) = [row for row in self.desk.audit() if row["action"] == "failover"]
        assert record["event"] == "refused"
        pushed = [have for have, _ in samples(self.site.pushgateway.url, "md_runbook_exit_code")]
        assert "failover" not in {have["command"] for have in pushed}, pushed
        return "says who is at work; a `refused` record"

    def no_way_over(self) -> None:
        """The backup is dead."""
        exchange = self.site.exchange
        exchange.call(exchange.backup.refuse())
        until(lambda: not self.sights.up("backup"), "the backup does not notice")
        self.step("start_live_env.sh", "--failover", "--reason", "primary silent", codes=[2], seen=self.kept)

    def kept(self, _done: Done) -> str:
        assert self.sights.active() == "ctp:primary"
        assert self.sights.up("primary")
        return "the backup is dead; `ctp:primary` stays active and ticks"

    def no_line(self) -> None:
        """The primary is dead too; the check mends what it can, then calls for help."""
        exchange = self.site.exchange
        exchange.call(exchange.primary.refuse())
        until(lambda: not self.sights.up("primary"), "the primary does not notice")
        self.step(
            "check_feed_health.py", "--mode", "enforce", "--window", "night", "--max-remediation-attempts", "1",
            "--escalation-command", "touch called-{marker}-{exit_code}", codes=[2],
            markers=["event=health_check_escalation"], seen=self.called,
        )  # fmt: skip

    def called(self, _done: Done) -> str:
        (file,) = self.desk.root.glob("called-*")
        assert file.name.endswith("-2")
        assert self.sights.report()["coverage_ratio"] == 0.0
        return f"coverage 0.0, then `{file.name.replace('called-', 'CMD ').replace('-2', ' 2')}`"

    def no_pushgateway(self) -> None:
        """Codes are kept until it is back."""
        exchange = self.site.exchange
        exchange.call(exchange.primary.listen())
        exchange.call(exchange.backup.listen())
        until(lambda: self.sights.up("primary") and self.sights.up("backup"), "the lines do not come back")
        self.site.pushgateway.down = True
        self.course.pushing = False
        self.step(
            "runbook", "incident", "new", "--reason", "a bad evening", codes=(0, 1),
            seen="the Pushgateway is down: recorded all the same",
        )  # fmt: skip
        self.site.pushgateway.down = False
        self.course.pushing = True
        self.step(*HEALTH, codes=(0, 1), seen=self.made_up)

    def made_up(self, _done: Done) -> str:
        code = next(row["exit_code"] for row in reversed(self.desk.audit()) if row["action"] == "incident")
        assert value(self.site.pushgateway.url, "md_runbook_exit_code", command="incident", window="none") == code
        return "the Pushgateway is back, and has the code of the command before too"

    def end(self) -> None:
        """In order, as on any day."""
        self.step(
            "start_live_env.sh",
            "--stop",
            "--reason",
            "enough",
            markers=["GRACEFUL_SHUTDOWN=OK"],
            seen=lambda _: self.sights.stopped(),
        )
        self.step("runbook", "secrets", "clear", seen=lambda _: self.sights.cleared())
        self.course.read("runbook", "audit", "verify", seen=lambda done: done.out.splitlines()[0])
        self.course.happens("the secrets", self.sights.secrets())

    def watched(self) -> None:
        """What Prometheus made of the day."""
        fired = Alarms(self.site.wall, recorded(self.site.recording), self.site.root).fired(SMALL)
        assert fired >= DUE, fired
        for name, labels in TOLD:
            notice = until(
                lambda name=name, labels=labels: self.site.receiver.heard(name, "firing", labels),
                f"Alertmanager does not tell {name} {labels}",
            )
            assert notice.receiver == "on-call", notice
        self.course.happens("the alerts", ", ".join(f"`{one}`" for one in sorted({each.split()[0] for each in DUE})))
