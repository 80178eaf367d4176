"""Exit codes of the operators' contract (§2), each provoked for real: the command as a process, and its exit code.

Here: 0, 1, 2, 11 to 16, 41 to 46 and 124. Elsewhere:

* 64 and 75: ``test_cli.py`` (a blocked plugin's command, two commands at once), ``test_operations.py`` (unknown flags)
* 2, cancelled by a signal, and 11, nothing can be recorded: ``test_cli.py``
* 12, 13, 14 and 15 in the supervisor alone: ``test_supervisor.py``; 75, a second supervisor: the same file
* 77: ``tests/unit/runbook/cli/test_loading.py`` and ``…/runner/test_runner.py``, without a process: whoever may type
  the command may do anything that the runbook does; the API alone has roles
* 3 of ``alert-smoke``: ``test_alert_smoke.py``
* 124 of a hung action, and the drill's codes from a course that is played: ``tests/unit/runbook/runner``, ``…/drill``
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from gateway.model import SHANGHAI
from gateway.sources.sim_options import SimOptions
from tests.day.wall import Wall
from tests.integration.runbook.test_cli import Shell
from tests.integration.runbook.vault_server import Bao

CONTRACTS = 20
FEED = """
name = "codes"
[feeds.sim]
instruments = ["*"]
{feed}
[feeds.sim.options]
contracts = 20
rate = 200
quiet = 0.0
{options}
[feeds.sim.accounts.primary]
[feeds.sim.accounts.backup]
[metrics]
port = 0
{more}
"""
PLUGIN = """
import asyncio
from gateway.hookspecs import hookimpl
from runbook.hookspecs import ActionKind


async def hang(_context, _parameters):
    await asyncio.Event().wait()


@hookimpl(optionalhook=True)
def runbook_actions():
    return [ActionKind(name="hang", title="hang", build=lambda: hang, timeout_s=0.5)]
"""


class Desk:
    """Somebody with a feed of a synthetic market, and a directory of their own."""

    def __init__(self, root: Path) -> None:
        self.shell = Shell(root)
        self.root = root
        self.env = {"RUNBOOK_START__TRIES": "1", "RUNBOOK_START__STAGE_TIMEOUT_S": "60"}
        self.feed()

    def feed(self, *, feed: str = "", options: str = "", more: str = "") -> None:
        (self.root / "feed.toml").write_text(FEED.format(feed=feed, options=options, more=more))

    def market(self, *unknown: str) -> None:
        """The contract list: what the synthetic market has, and what it has not."""
        market = SimOptions(contracts=CONTRACTS, quiet=0.0).market()
        names = [str(one.instrument).replace(".", ",", 1) for one in market.contracts]
        (self.root / "contracts.csv").write_text("\n".join(("exchange,code", *names, *unknown, "")))
        self.feed(feed='catalogue = { kind = "file", options = { path = "contracts.csv" } }')

    def runbook(self, *words: str, **env: str) -> CompletedProcess[str]:
        return self.shell.do(*words, "--settings", "feed.toml", env=self.env | env)

    def start(self, *words: str, **env: str) -> CompletedProcess[str]:
        return self.runbook("start", *words, **env)

    def recorded(self, action: str, code: int) -> None:
        """The run's end is in the audit, with its code."""
        assert self.shell.records(action)[-1]["exit_code"] == code

    def log(self, name: str) -> str:
        return (self.root / "logs" / "runbooks" / name).read_text()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    done = desk.runbook("stop")
    assert "nothing is left" in done.stdout or done.returncode in (0, 14), done.stdout


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def test_0_1_and_2_of_start_health_and_stop(desk: Desk) -> None:
    desk.market("SHFE,rb2601")
    up = desk.start(RUNBOOK_HEALTH__COVERAGE_THRESHOLD="0.9")
    assert up.returncode == 1, up.stdout
    assert "warning: " in up.stdout
    desk.recorded("start", 1)
    enough = desk.runbook("check-feed-health", "--coverage-threshold", "0.9")
    assert enough.returncode == 1, enough.stdout
    below = desk.runbook("check-feed-health", "--coverage-threshold", "0.999")
    assert below.returncode == 2, below.stdout
    desk.recorded("check-feed-health", 2)
    assert desk.runbook("stop").returncode == 0
    desk.market()
    assert desk.start().returncode == 0
    assert desk.runbook("check-feed-health").returncode == 0
    assert desk.runbook("stop").returncode == 0


def test_11_of_a_half_filled_account_counted_over_starts_until_somebody_is_told(desk: Desk) -> None:
    told = desk.root / "told"
    (desk.root / "tell.sh").write_text(f'#!/bin/sh\necho "$1 $2" >> {told}\n')
    (desk.root / "tell.sh").chmod(0o700)
    half = {
        "CTP_PRIMARY_BROKER_ID": "9999",
        "RUNBOOK_START__TRIES": "2",
        "RUNBOOK_ESCALATION__COMMAND": f"{desk.root / 'tell.sh'} {{marker}} {{exit_code}}",
    }
    first = desk.start(**half)
    assert first.returncode == 11, first.stdout
    assert "CTP_PRIMARY_" in first.stdout
    assert "reading the settings anew and verifying them" in first.stdout
    assert not told.exists()
    again = desk.start(**half)
    assert again.returncode == 11
    assert "`runbook secrets pull --profile dev`" in again.stdout
    assert told.read_text() == "start_environment_failed 11\n"
    desk.recorded("start", 11)
    assert "exit_code=11" in desk.log("startup_audit.log")


def test_11_of_a_file_that_is_mended_meanwhile_becomes_0(desk: Desk) -> None:
    env = desk.root / ".env"
    env.write_text("FEEDGATE_PUBLISH__CODEC=morse\n")
    mender = desk.root / "mend.sh"
    mender.write_text(f"#!/bin/sh\n: > {env}\n")
    mender.chmod(0o700)
    how = {"RUNBOOK_ESCALATION__COMMAND": str(mender), "RUNBOOK_ESCALATION__AFTER": "1", "RUNBOOK_START__TRIES": "2"}
    done = desk.start("--env-file", ".env", **how)
    assert done.returncode == 0, done.stdout
    assert "the settings can be used now" in done.stdout


def test_11_is_over_once_the_missing_password_was_pulled_from_vault(desk: Desk) -> None:
    desk.root.chmod(0o700)
    front = "tcp://127.0.0.1:1"
    env = desk.root / ".env"
    env.write_text(f"CTP_PRIMARY_BROKER_ID=9999\nCTP_PRIMARY_USER_ID=7\nCTP_PRIMARY_MD_ADDRESS={front}\n")
    env.chmod(0o600)
    (desk.root / "feed.toml").write_text('name = "codes"\n[metrics]\nport = 0\n')
    vault_dir = desk.root / "vault"
    vault_dir.mkdir()
    with Bao(vault_dir) as vault, socket.create_server(("127.0.0.1", 0)) as other:
        vault.put("ctp/live", CTP_PRIMARY_PASSWORD="word-of-vault")
        settings = vault.settings()
        assert settings.token is not None
        more = {
            "VAULT_ADDR": str(settings.addr),
            "VAULT_TOKEN": settings.token.get_secret_value(),
            "RUNBOOK_START__TRIES": "3",
            # the next stage fails, so that nothing logs in anywhere
            "FEEDGATE_BUS__BUNDLED_PORT": str(other.getsockname()[1]),
        }
        done = desk.start("--env-file", ".env", **more)
    assert "CTP_PRIMARY_PASSWORD" in done.stdout
    assert "secrets refreshed: 1 variable of secret/ctp/live" in done.stdout
    assert "the settings can be used now" in done.stdout
    assert done.returncode == 12, done.stdout
    assert "word-of-vault" not in done.stdout


def test_12_of_a_nats_server_that_fails(desk: Desk) -> None:
    # the command looks for the server beside its own interpreter
    beside = desk.root / "bin"
    beside.mkdir()
    (beside / "python").symlink_to(sys.executable)
    (beside / "nats-server").write_text("#!/bin/sh\necho the licence has run out\nexit 7\n")
    (beside / "nats-server").chmod(0o700)
    desk.shell.environment["PYTHONPATH"] += os.pathsep + os.pathsep.join(path for path in sys.path if path)
    desk.shell.python = str(beside / "python")
    done = desk.start()
    assert done.returncode == 12, done.stdout
    assert "the licence has run out" in done.stdout
    desk.recorded("start", 12)


def test_12_of_a_port_in_use(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = desk.start(FEEDGATE_BUS__BUNDLED_PORT=str(other.getsockname()[1]))
    assert done.returncode == 12, done.stdout
    assert "address already in use" in done.stdout
    assert "nothing is left running" in done.stdout


def test_13_of_a_gateway_that_never_gets_ready(desk: Desk) -> None:
    desk.feed(options="login_ms = 600000")
    done = desk.start(RUNBOOK_START__STAGE_TIMEOUT_S="8", RUNBOOK_ESCALATION__AFTER="1")
    assert done.returncode == 13, done.stdout
    assert "fronts checked" in done.stdout
    desk.recorded("start", 13)
    assert "action=health-gateway" in desk.log("health_check.log")


def test_14_of_a_coverage_below_the_threshold(desk: Desk) -> None:
    desk.market("SHFE,rb2601", "SHFE,rb2602", "SHFE,rb2603")
    done = desk.start(RUNBOOK_ESCALATION__AFTER="1")
    assert done.returncode == 14, done.stdout
    assert "`runbook subscribe --profile dev --include " in done.stdout
    desk.recorded("start", 14)
    assert "action=subscribe-start" in desk.log("subscription_audit.log")


@pytest.mark.parametrize("variable", ["OPS_PROMETHEUS_URL", "PUSHGATEWAY_URL"])
def test_15_of_monitoring_that_is_configured_and_down(desk: Desk, closed_port: int, variable: str) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    done = desk.start(**{variable: url}, RUNBOOK_ESCALATION__AFTER="1")
    assert done.returncode == 15, done.stdout
    assert f"{url} is not ready" in done.stdout
    assert f"nc -vz 127.0.0.1 {closed_port}" in done.stdout
    desk.recorded("start", 15)


def test_16_of_a_start_after_t5(desk: Desk, tmp_path: Path) -> None:
    # 8:57 of a trading day, two minutes after T-5
    desk.env |= Wall(tmp_path / "wall", datetime(2026, 11, 24, 8, 57, tzinfo=SHANGHAI)).environment
    done = desk.start("--window", "day", RUNBOOK_ESCALATION__AFTER="1")
    assert done.returncode == 16, done.stdout
    assert "T-5 missed" in done.stdout
    desk.recorded("start", 16)
    assert "action=t5-start" in desk.log("t5_checkpoint.log")
    checked = desk.runbook("t5-checkpoint", "--window", "day")
    assert checked.returncode == 16, checked.stdout
    assert "T-5 missed" in checked.stdout


class Backlog(HTTPServer):
    """Consumers whose backlog is too high for one account, once the health command has run so many times."""

    def __init__(self, calls: Path, account: str, after: int) -> None:
        super().__init__(("127.0.0.1", 0), _Figures)
        self.calls, self.account, self.after = calls, account, after

    def text(self) -> str:
        called = len(self.calls.read_text()) if self.calls.exists() else 0
        rows = []
        for account in ("primary", "backup"):
            waiting = 9999 if account == self.account and called >= self.after else 0
            rows.append(f'consumer_backlog_messages{{feed="sim",account="{account}"}} {waiting}\n')
        return "# TYPE consumer_backlog_messages gauge\n" + "".join(rows)


class _Figures(BaseHTTPRequestHandler):
    server: Backlog

    def do_GET(self) -> None:
        body = self.server.text().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@dataclass(frozen=True)
class Case:
    """``sick_at``: the call of the health command that begins to fail. ``behind``: see :class:`Backlog`."""

    code: int
    sick_at: int | None = None
    behind: tuple[str, int] = ("nobody", 0)


CASES = (
    Case(41, sick_at=1),
    Case(42, behind=("primary", 0)),
    Case(43, behind=("backup", 0)),
    Case(44, sick_at=2),
    Case(45, behind=("primary", 2)),
    Case(46, sick_at=3),
    Case(0),
)


def test_41_to_46_of_a_live_drill(desk: Desk) -> None:
    assert desk.start().returncode == 0
    found = [_drilled(desk, case) for case in CASES]
    assert found == [case.code for case in CASES]
    assert [record["exit_code"] for record in desk.shell.records("drill") if record["event"] == "stop"] == found


def _drilled(desk: Desk, case: Case) -> int:
    calls, health = desk.root / "calls", desk.root / "health.sh"
    calls.unlink(missing_ok=True)
    # one letter for each call; sick from the call on that is to fail
    sick = f"[ $(wc -c < {calls}) -ge {case.sick_at} ] && exit 2" if case.sick_at else ":"
    health.write_text(f"#!/bin/sh\nprintf x >> {calls}\n{sick}\nexit 0\n")
    health.chmod(0o700)
    with Backlog(calls, *case.behind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            source = f"http://127.0.0.1:{server.server_port}/metrics"
            env = {"DRILL_HEALTH_CMD": str(health), "DRILL_METRICS_SOURCE": source}
            words = ("--observe", "0.5", "--patience", "3", "--reason", f"to see {case.code}", "--json")
            done = desk.runbook("drill", *words, **env)
        finally:
            server.shutdown()
            thread.join()
    assert json.loads(done.stdout)["exit_code"] == done.returncode, done.stdout
    return done.returncode


def test_124_of_an_action_that_hangs(desk: Desk) -> None:
    (desk.root / "site" / "testplugin.py").write_text(PLUGIN)
    done = desk.shell.do("hang")
    assert done.returncode == 124, done.stdout
    desk.recorded("hang", 124)
