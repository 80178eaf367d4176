"""What there is to see after a step of the day: files, figures, lines. Each method fails, or says what it saw."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import tarfile
from typing import Any, Final

from gateway.client import connect
from runbook.supervisor.link import SupervisorLink
from runbook.supervisor.place import Place
from tests.day.desk import Done
from tests.day.patience import until
from tests.day.records import has, value
from tests.day.site import BACKUP_PASSWORD, PASSWORD, PLANTED, Site

REPORT: Final = frozenset({
    "coverage_ratio", "expected_total", "active_total", "matched_total", "missing_contracts", "unexpected_contracts",
    "stalled_contracts", "warnings", "errors", "exit_code", "remediation",
})  # fmt: skip
"""Fields of the health report. Source: the operators' contract, §5."""
VIEWS: Final = (
    "startup_audit.log",
    "start_live_env.log",
    "health_check.log",
    "subscription_audit.log",
    "t5_checkpoint.log",
)
METRICS: Final = (
    "md_throughput_mps", "md_subscription_coverage_ratio", "md_subscription_missing_total",
    "md_subscription_stalled_total", "md_failover_latency_ms", "md_failback_latency_ms", "feed_failover_required",
    "md_disconnects_total", "md_rate_limit_waits_total", "md_queue_backlog", "md_ticks_dropped_total",
    "md_tick_latency_seconds_bucket",
)  # fmt: skip
_ALARM: Final = re.compile(
    r'"level": "(error|critical)"|"level": "warning".*(silent|stall|suspect|hung|required|degraded|dropped)'
)
_EXPECTED: Final = re.compile(r"ctp:primary|ordered by")
"""What alarms of the gateway a day has a reason for: the dead line, and the reasons that operators give."""
_STAMP: Final = re.compile(r"2026-11-2[34]T\d\d:\d\d:\d\d\.\d{3}\+08:00")


class Sights:
    """Of one site."""

    def __init__(self, site: Site) -> None:
        self.site, self.desk = site, site.desk

    # -- the gateway ---------------------------------------------------------------------------------------------

    def active(self) -> str:
        """The active line, as the gateway says."""

        async def ask() -> str:
            async with connect(self.site.nats_url) as client:
                (feed,) = (await client.status()).feeds
                return str(feed.active)

        return asyncio.run(ask())

    def processes(self) -> dict[str, int]:
        """Process ids of NATS and the gateway, from the supervisor."""
        status = asyncio.run(SupervisorLink(Place(self.desk.state)).status())
        return {row["name"]: row["pid"] for row in status["processes"]}

    def alarms(self) -> list[str]:
        """What the gateway called out and the day gives no reason for."""
        lines = self.desk.log("gateway.log").splitlines()
        return [line for line in lines if _ALARM.search(line) and not _EXPECTED.search(line)]

    def up(self, account: str) -> bool:
        """Whether the line ticks."""
        return value(self.site.metrics_url, "md_line_state", account=account, state="streaming") == 1

    # -- the evening ---------------------------------------------------------------------------------------------

    def pulled(self, _done: Done) -> str:
        file = self.desk.root / ".env.runtime"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert PASSWORD in file.read_text()
        self.site.wall.date_files(self.desk.root)
        return "`.env.runtime` (0600) from `secret/ctp/live` of Vault"

    def started(self, _done: Done) -> str:
        exchange = self.site.exchange
        assert exchange.primary.logins == [("160219", PASSWORD)]
        assert exchange.backup.logins == [("270330", BACKUP_PASSWORD)]
        assert "HEALTH=READY" in self.desk.log("supervisor.log")
        return "both lines logged in with the passwords from Vault"

    def report(self) -> dict[str, Any]:
        """The newest health report."""
        paths = sorted(self.desk.logs.glob("subscription_check_*.json"))
        found: dict[str, Any] = json.loads(paths[-1].read_text())
        return found

    def healthy(self, _done: Done) -> str:
        report = self.report()
        assert report.keys() >= REPORT
        assert (report["coverage_ratio"], report["expected_total"], report["exit_code"]) == (1.0, 5, 0)
        assert (report["stalled_contracts"], report["missing_contracts"], report["errors"]) == ([], [], [])
        for name in ("md_subscription_missing_total", "md_subscription_stalled_total"):
            assert has(self.site.pushgateway.url, name), name
        return "coverage 1.0, none missing, none stalled"

    def csv_report(self, _done: Done) -> str:
        (path,) = self.desk.logs.glob("subscription_check_*.csv")
        assert "summary,,coverage_ratio,1.0" in path.read_text()
        return f"`{path.name}`"

    def subscribed(self, _done: Done) -> str:
        for end in (".csv", ".json"):
            assert list(self.desk.logs.glob(f"subscription_audit_*{end}")), end
        return "all 5 carried, audit as CSV and JSON"

    def t5(self, session: str) -> str:
        assert value(self.site.pushgateway.url, "md_t5_checkpoint_status", session=session, profile="live") == 1
        paths = sorted(self.desk.logs.glob("t5_checkpoint_*.json"))
        result = json.loads(paths[-1].read_text())
        assert (result["ready"], result["session"], result["trading_day"]) == (True, session, 20261124)
        return "ready in time, `md_t5_checkpoint_status` 1, trading day 2026-11-24"

    # -- the day -------------------------------------------------------------------------------------------------

    def listed(self, _done: Done) -> str:
        document = json.loads((self.desk.state / "contracts.json").read_text())
        assert "rb2701" in json.dumps(document)
        return "5 contracts kept as the last good list"

    def switched(self, kind: str, to: str) -> str:
        assert self.active() == to
        assert value(self.site.metrics_url, f"md_{kind}_latency_ms") < 5000
        assert value(self.site.metrics_url, "feed_failover_required") == 0
        return f"`{to}` is active, `md_{kind}_latency_ms` below 5000"

    def incident(self, _done: Done) -> str:
        (path,) = (self.desk.root / "logs" / "incidents").glob("incident_20261124_*.tar.gz")
        with tarfile.open(path) as archive:
            (name,) = [name for name in archive.getnames() if name.endswith(".yaml")]
            content = archive.extractfile(name)
            assert content is not None
            text = content.read().decode()
        for field in (
            "date_time", "session", "operator", "trigger", "actions", "metrics", "outcome", "follow_ups", "audit_files",
            "md_runbook_exit_code", "md_failover_latency_ms",
        ):  # fmt: skip
            assert re.search(rf"^\s*{field}:", text, re.MULTILINE), (field, text)
        assert re.search(r"session: \"?day", text), text
        return "YAML with all fields of an incident record"

    def notified(self, _done: Done) -> str:
        assert any("FAILOVER" in message for message in self.site.mailbox.taken)
        return "the receiver got it"

    def drilled(self, _done: Done) -> str:
        (path,) = (self.desk.logs / "drills").glob("drill_20261124_*.json")
        assert path.with_suffix(".md").exists()
        assert self.active() == "ctp:primary"
        return "consumers saw each tick once, backlog from NATS, no gap; report as JSON and Markdown"

    def figures(self) -> str:
        """The gateway's page has what §4 asks of it."""
        for name in METRICS:
            assert has(self.site.metrics_url, name), name
        for account in ("primary", "backup"):
            labels = {"feed": "ctp", "account": account, "session": "day"}
            assert value(self.site.metrics_url, "md_subscription_coverage_ratio", **labels) == 1.0
        return f"the {len(METRICS)} figures of the gateway are there, coverage labelled `day`"

    # -- the end -------------------------------------------------------------------------------------------------

    def stopped(self) -> str:
        until(lambda: not self.desk.processes(), "processes stay")
        for marker in ("UNSUBSCRIBED", "GRACEFUL_SHUTDOWN=OK"):
            assert marker in self.desk.log("supervisor.log")
        return "no process is left"

    def cleared(self) -> str:
        assert not (self.desk.root / ".env.runtime").exists()
        return "`.env.runtime` is gone"

    def scanned(self, _done: Done) -> str:
        summary = json.loads((self.desk.logs / "log_scan_20261124.json").read_text())
        assert summary["lines"] > 100
        return "no ERROR, no CRITICAL"

    def archived(self, _done: Done) -> str:
        path = self.desk.root / "logs" / "archive" / "20261124_runbook.tar.gz"
        with tarfile.open(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.getnames()}
        assert names >= {*VIEWS, "gateway.log", "runbook.log"}, names
        return f"`{path.name}`, nothing removed"

    def no_gap(self, done: Done) -> str:
        """The gap ledger, from the gateway's own command."""
        found = json.loads(done.out)
        assert found["known"] is True
        assert found["gaps"] == [], found["gaps"]
        assert {row["session"] for row in found["watched"]} == {"night", "day"}
        return "no gap in both sessions, over a dead front, two failovers and a restart"

    def logs(self) -> str:
        """The operators' files are there, and every structured line has its fields."""
        for name in VIEWS:
            assert self.desk.log(name), name
        lines = [*self.desk.json_lines("runbook.log"), *self.desk.json_lines("supervisor.log")]
        for line in lines:
            assert line["at"].endswith("+08:00"), line
            assert line["session"] in ("day", "night", "closed"), line
            assert {"config", "account", "active_feed"} <= line.keys(), line
        for line in self.desk.json_lines("gateway.log"):
            assert _STAMP.fullmatch(line["at"]), line
            assert {"level", "logger", "text", "gateway", "config", "account", "active_feed"} <= line.keys(), line
        assert {line["session"] for line in lines} == {"day", "night", "closed"}
        return f"{len(VIEWS)} files of the operators, {len(lines)} structured lines with +08:00 and a session"

    def secrets(self) -> str:
        """No planted secret in a file, in an argument of a process."""
        for path, content in self.desk.files():
            for secret in PLANTED:
                assert secret.encode() not in content, (path, secret)
        assert self.site.arguments.looks > 0
        assert self.site.arguments.found == set()
        return f"{len(PLANTED)} planted secrets are in none of the files and in no process's arguments"
