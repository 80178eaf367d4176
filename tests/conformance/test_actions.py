"""The runbook's own actions that need no gateway, and those that say that they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook.actions import archive, check_feed_health, failover, log_scan, restart_line, retention, subscribe
from runbook.testing import ActionCase, ActionContract


def kind_of(module: Any, name: str) -> Any:
    return next(kind for kind in module.runbook_actions() if kind.name == name)


class Archive(ActionCase):
    kind = kind_of(archive, "archive")

    def start(self) -> None:
        logs = self.runbook().log_dir
        logs.mkdir(parents=True)
        (logs / "start_live_env.log").write_text("2026-11-20T09:00:00+08:00 INFO started\n")

    def observe(self) -> object:
        return sorted(path.suffix for path in self.root.rglob("*.tar.gz"))


class LogScan(ActionCase):
    kind = kind_of(log_scan, "log-scan")
    parameters: Mapping[str, Any] = {"write_summary": True}

    def observe(self) -> object:
        return len(list(self.root.rglob("log_scan_*")))


class TestArchive(ActionContract):
    case = Archive


class TestLogScan(ActionContract):
    case = LogScan


def case_of(module: Any, name: str, **parameters: Any) -> type[ActionCase]:
    return type(name, (ActionCase,), {"kind": kind_of(module, name), "parameters": parameters})


class TestRetention(ActionContract):
    case = case_of(retention, "retention")


class TestFailover(ActionContract):
    case = case_of(failover, "failover")


class TestRestartLine(ActionContract):
    case = case_of(restart_line, "restart-line", line="ctp:primary")


class TestSubscribe(ActionContract):
    case = case_of(subscribe, "subscribe")


class TestCheckFeedHealth(ActionContract):
    case = case_of(check_feed_health, "check-feed-health")
