"""The command as a process: a mock day, signals, two at once, a plugin's action, and no failure that ends with 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.model import SHANGHAI
from tests.integration.runbook.coming_days import closed_days, coming_days

ROOT = Path(__file__).parents[3]
OURS = ("RUNBOOK_", "FEEDGATE_", "CTP_", "SOPT_", "NATS_", "OPS_", "VAULT_", "PUSHGATEWAY", "DRILL_", "ACTIVE_FEED")
DEADLINE_S = 60.0

PLUGIN = """
import asyncio
from gateway.hookspecs import hookimpl
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult


async def wait(context, _parameters):
    context.tell("wait", "waiting", {})
    try:
        await asyncio.Event().wait()
    finally:
        context.tell("wait", "undone what was begun", {})


async def leave(_context, _parameters):
    raise SystemExit(0)


async def lie(_context, _parameters):
    return None


async def done(_context, _parameters):
    return ActionResult(exit_code=0, message="done")


@hookimpl(optionalhook=True)
def runbook_actions():
    each = {"wait": wait, "leave": leave, "lie": lie, "well": done}
    return [ActionKind(name=name, title=name, build=lambda act=act: act) for name, act in each.items()]
"""


class Pushgateway(HTTPServer):
    """Keeps what is pushed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.put: list[tuple[str, str]] = []


class _Taking(BaseHTTPRequestHandler):
    server: Pushgateway

    def do_PUT(self) -> None:
        self.server.put.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.send_response(200)
        self.end_headers()

    do_POST = do_PUT  # noqa: N815 - the name that http.server asks for

    def log_message(self, *_args: object) -> None:
        pass


class Shell:
    """Somebody in a directory of their own, with a plugin installed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python = sys.executable
        """A program that runs the command."""
        site = root / "site"
        info = site / "testplugin-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "testplugin.py").write_text(PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: testplugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[feedgate]\ntestplugin = testplugin\n")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.environment["PYTHONPATH"] = os.pathsep.join((str(site), str(ROOT)))
        self.environment |= coming_days(site)

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, "-m", "runbook", *words],
            cwd=self.root,
            env=self.environment | more.pop("env", {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def do(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        with self.start(*words, **more) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def records(self, action: str) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.root / "state" / "runbook" / "audit").glob("*.jsonl")):
            for line in path.read_text().splitlines():
                value = json.loads(line)
                record = value.get("record", value)
                if record.get("action") == action:
                    found.append(record)
        return found


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def waiting(shell: Shell) -> Iterator[subprocess.Popen[str]]:
    with shell.start("wait", "--operator", "desk") as process:
        try:
            until(lambda: any((shell.root / "logs/runbooks/runs").glob("*.log")) and shell.records("wait"), "no start")
            until(lambda: "waiting" in next((shell.root / "logs/runbooks/runs").glob("*.log")).read_text(), "not begun")
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_in_order_and_the_end_is_on_record(
    shell: Shell, waiting: subprocess.Popen[str], number: signal.Signals
) -> None:
    waiting.send_signal(number)
    out, _ = waiting.communicate(timeout=DEADLINE_S)
    assert waiting.returncode == 2
    assert "undone what was begun" in out
    assert "cancelled" in out
    assert [record["event"] for record in shell.records("wait")] == ["start", "exception"]
    assert shell.records("wait")[1]["exit_code"] == 2


def test_a_second_action_is_told_who_is_at_work(shell: Shell, waiting: subprocess.Popen[str]) -> None:
    done = shell.do("well")
    assert done.returncode == 75
    assert "wait" in done.stdout
    assert shell.records("well")[0]["event"] == "refused"
    assert waiting.poll() is None


@pytest.mark.parametrize("action", ["leave", "lie"])
def test_an_action_that_breaks_never_ends_with_0(shell: Shell, action: str) -> None:
    done = shell.do(action)
    assert done.returncode == 2
    assert shell.records(action)[-1]["event"] == "exception"


def test_an_action_of_a_plugin_is_a_command_unless_it_is_blocked(shell: Shell) -> None:
    assert shell.do("well").returncode == 0
    assert "well" in shell.do("--help").stdout
    blocked = {"FEEDGATE_PLUGINS_BLOCKED": "testplugin"}
    assert shell.do("well", env=blocked).returncode == 64
    assert shell.do("--help", env=blocked).returncode == 0


def test_a_command_that_breaks_itself_says_so_and_ends_with_2(shell: Shell) -> None:
    (shell.root / "site" / "sitecustomize.py").write_text(
        "import sys, runbook.cli\n"
        "def broken(*_a, **_k):\n"
        "    raise ZeroDivisionError('planted')\n"
        "sys.modules['runbook.cli.main'].load = broken\n"
    )
    done = shell.do("doctor")
    assert done.returncode == 2
    assert "planted" in done.stderr


def test_the_runbooks_own_settings_refused_end_with_11(shell: Shell) -> None:
    done = shell.do("doctor", env={"RUNBOOK_HEALTH__COVERAGE_THRESHOLD": "7"})
    assert done.returncode == 11
    assert "RUNBOOK_HEALTH__COVERAGE_THRESHOLD" in done.stderr


def test_nothing_is_done_when_it_cannot_be_recorded(shell: Shell) -> None:
    (shell.root / "state").write_text("a file in the place of the directory")
    done = shell.do("well")
    assert done.returncode == 11
    assert "nothing was done" in done.stdout


def test_json_is_one_object_on_stdout(shell: Shell) -> None:
    done = shell.do("well", "--json", "--profile", "live", "--idempotency-key", "k")
    value = json.loads(done.stdout)
    assert (value["exit_code"], value["request"]["reason"]) == (0, "operator command")
    again = json.loads(shell.do("well", "--json", "--profile", "live", "--idempotency-key", "k").stdout)
    assert (again["id"], again["replayed"]) == (value["id"], True)
    assert len(shell.records("well")) == 2


def test_a_failed_command_pushes_its_exit_code_and_the_audits_head(shell: Shell) -> None:
    with Pushgateway() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            done = shell.do("failover", "--window", "day", "--profile", "test", env={"PUSHGATEWAY_URL": url})
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == 12
    codes = [body for path, body in server.put if "/command/failover" in path]
    assert ["md_runbook_exit_code 12.0" in body for body in codes] == [True]
    paths = [path for path, _ in server.put if "/command/failover" in path]
    assert "/window/day" in paths[0]
    assert "/profile/test" in paths[0]
    last = shell.do("audit", "head").stdout.strip().partition(":")
    head = f'md_runbook_audit_head{{hash="{last[2]}"}} {float(last[0])}'
    assert any(head in body for _, body in server.put)


def test_the_log_is_json_lines_with_time_session_config_account_and_feed(shell: Shell) -> None:
    secret = "planted-secret-4711"
    shell.do("well", "--log-dir", "here", "--reason", secret, env={"OPS_API_TOKEN": secret})
    lines = [json.loads(line) for line in (shell.root / "here" / "runbook.log").read_text().splitlines()]
    lines += [
        json.loads(line) for path in (shell.root / "here/runs").iterdir() for line in path.read_text().splitlines()
    ]
    assert len(lines) > 3
    for line in lines:
        assert line["at"].endswith("+08:00")
        assert line["session"] in ("day", "night", "closed", "unknown")  # unknown: the calendar has ended
        assert {"config", "account", "active_feed"} <= line.keys()
    everything = [path.read_bytes() for path in shell.root.rglob("*") if path.is_file()]
    assert not any(secret.encode() in content for content in everything)


def test_a_reader_that_leaves_early_changes_no_exit_code(shell: Shell) -> None:
    with shell.start("well") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(timeout=120) == 0, err


def test_the_operators_log_scan_goes_by_the_level_and_its_exit_code_by_the_count(shell: Shell) -> None:
    today = datetime.now(SHANGHAI)
    lines = [  # of two days, because midnight may come before the scan
        {"at": (today + timedelta(days=days)).isoformat(), "level": level, "logger": "x", "text": text}
        for days in range(2)
        for level, text in (("error", "no room"), ("info", "ERROR and CRITICAL are only words"))
    ]
    logs = shell.root / "logs/runbooks"
    logs.mkdir(parents=True)
    (logs / "gateway.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    typed = ("logscan", "--date", "today", "--keywords", "ERROR,CRITICAL", "--write-summary", "--max-total")
    assert shell.do(*typed, "1").returncode == 0
    done = shell.do(*typed, "0")
    assert done.returncode == 1, done.stderr
    (summary, *_) = logs.glob("log_scan_*.json")
    assert json.loads(summary.read_text())["by_keyword"] == {"ERROR": 1, "CRITICAL": 0}
    assert {record["action"] for record in shell.records("log-scan")} == {"log-scan"}


def test_jobs_and_audit_read_the_same_state(shell: Shell) -> None:
    assert shell.do("audit", "verify").returncode == 2  # nothing was recorded yet
    ran = shell.do("jobs", "run", "log-scan", "--reason", "by hand")
    assert "log-scan" in ran.stdout
    records = shell.records("log-scan")
    assert [record["event"] for record in records] == ["start", "stop"]
    assert records[0]["reason"] == "by hand"
    assert shell.do("jobs", "pause", "drill", "--reason", "holiday").returncode == 0
    listed = json.loads(shell.do("jobs", "--json").stdout)
    assert "holiday" in json.dumps(listed)
    assert shell.do("audit", "verify").returncode == 0
    assert "log-scan" in shell.do("audit", "list", "--action", "log-scan").stdout
    assert shell.do("jobs", "--simulate", "2026-10").returncode == 0


def test_secrets_are_cleared_where_there_are_none_and_not_pulled_without_vault(shell: Shell) -> None:
    shell.root.chmod(0o700)
    assert shell.do("secrets", "clear").returncode == 0
    assert shell.do("secrets", "pull").returncode == 11
    assert [record["exit_code"] for record in shell.records("secrets-pull")] == [None, 11]


def test_a_mock_day_from_start_to_stop(shell: Shell) -> None:
    shell.environment |= closed_days(shell.root)  # on a trading day a start after 8:55 is told so and ends with 16
    common = ("--mock", "--profile", "live", "--log-dir", "logs")
    try:
        up = shell.do("start", "--window", "day", "--config", "backup", *common)
        assert up.returncode == 0, up.stdout
        assert "marker  HEALTH=READY" in up.stdout
        health = json.loads(shell.do("check-feed-health", "--json", *common).stdout)
        lines = {feed["active_line"] for feed in health["result"]["details"]["feeds"]}
        assert lines == {"sim:backup"}
        assert health["request"]["config"] == "backup"
        assert shell.do("start", "--failover", *common).returncode in (0, 1)
        assert shell.do("subscribe", "--health", *common).returncode in (0, 1)
        again = shell.do("restart", "--reason", "why", *common)
        assert again.returncode == 0, again.stdout
        assert "marker  RESTART=OK" in again.stdout
    finally:
        down = shell.do("start", "--stop", *common)
    assert down.returncode == 0, down.stdout
    assert "marker  GRACEFUL_SHUTDOWN=OK" in down.stdout
    assert not (shell.root / "state/runbook/mock/active.env").exists()
    assert "reason=why" in (shell.root / "logs/start_live_env.log").read_text()
    assert shell.do("audit", "verify", "--log-dir", "logs").returncode == 0
