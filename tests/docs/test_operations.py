"""docs/ops: what its pages tell an operator to type is typed here, page after page, on one system.

Blocks ``sh`` are run as they stand, on a synthetic market; only profile and ports are the test's own. The other ones,
and what the pages say: test_operations_names.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.documents import ROOT
from tests.docs.operators_pages import ENGLISH, OPS, typed
from tests.ports import free_port

LAST = OPS / "runbook.md"
"""Its day ends with the stop, so it is typed after the other pages."""
DEADLINE_S = 480
MARK = "@@@@ "
VIEWER, OPERATOR = "planted-viewer-token-5177", "planted-operator-token-5178"
SETTINGS = {
    "FEEDGATE_FEEDS__SIM__OPTIONS": '{"contracts":60,"rate":40}',
    "FEEDGATE_FEEDS__SIM__INSTRUMENTS": "SHFE.*",
    "FEEDGATE_FEEDS__SIM__ACCOUNTS__PRIMARY__USER_ID": "one",
    "FEEDGATE_FEEDS__SIM__ACCOUNTS__BACKUP__USER_ID": "two",
    "FEEDGATE_LEDGER__PATH": "state/gaps.sqlite",
    "OPS_API_TOKENS": f"viewer:look:{VIEWER},operator:desk:{OPERATOR}",
}
WARNS = {0, 1}
DEPENDS = {
    "runbook validate-env": WARNS,  # what it says of a machine
    "runbook doctor": WARNS | {2},
    "runbook start --window": WARNS | {16},  # the day of the test may have no session, or be late for it
    "runbook t5-checkpoint": WARNS | {16},
    "runbook check-feed-health": WARNS,  # a busy machine is late
    "runbook failover": WARNS,
    "runbook failback": WARNS,
    "runbook incident": WARNS,
    "runbook refresh-contracts": WARNS,
    "runbook log-scan": WARNS | {2},
    "runbook rollback": WARNS,
    "gateway top": WARNS | {2},
}
"""Exit codes that a command may end with, where it depends on day or machine; the others end with 0."""


@dataclass
class Desk:
    directory: Path
    environment: dict[str, str]
    ports: list[int]
    said: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """What each command printed, and its exit code."""

    def mine(self, text: str) -> str:
        for theirs, own in zip(("4222", "9100", "9180"), self.ports, strict=True):
            text = text.replace(f":{theirs}", f":{own}")
        return text.replace("=live", "=test").replace("--profile live", "--profile test")

    def type(self, commands: list[str]) -> None:
        """In one shell, as somebody at a terminal does."""
        script = "set -uo pipefail\n" + "".join(
            f"echo '{MARK}{number}'\n{self.mine(line)}\necho \"\n{MARK}status $?\"\n"
            for number, line in enumerate(commands)
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        for number, line in enumerate(commands):
            text, _, rest = done.stdout.partition(f"{MARK}{number}\n")[2].partition(f"{MARK}status ")
            code = int(rest.splitlines()[0])
            self.said.setdefault(line, []).append((code, text))


def program(directory: Path, name: str) -> None:
    """What pip makes of an entry point."""
    command = directory / name
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n', encoding="utf-8")
    command.chmod(0o755)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Everything typed: the other pages, then the day with its stop."""
    directory = tmp_path_factory.mktemp("desk")
    programs = tmp_path_factory.mktemp("programs")
    for name in ("gateway", "runbook"):
        program(programs, name)
    ports = [free_port() for _ in range(3)]
    places = ("FEEDGATE_BUS__BUNDLED_PORT", "FEEDGATE_METRICS__PORT", "OPS_API_PORT")
    settings = SETTINGS | {name: str(port) for name, port in zip(places, ports, strict=True)}
    file = directory / ".env.test"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    file.chmod(0o600)
    environment = {
        "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "FEEDGATE_PROFILE": "test",
        "OPS_API_TOKEN": VIEWER,
    }
    found = Desk(directory, environment, ports)
    try:
        found.type(["runbook start"])
        ((code, text),) = found.said["runbook start"]
        assert code in WARNS, text
        with (directory / "serve.txt").open("w") as out:
            console = subprocess.Popen(
                [programs / "runbook", "serve", "--no-jobs"], cwd=directory, env=environment, stdout=out, stderr=out
            )
            try:
                answers(f"http://127.0.0.1:{ports[2]}/healthz", console)
                commands = [line for page in [*(one for one in ENGLISH if one != LAST)] for line in typed(page, "sh")]
                found.type(list(dict.fromkeys(commands)))  # what two pages tell is done once
            finally:
                console.terminate()
                console.wait(DEADLINE_S)
        found.type([line for line in dict.fromkeys(typed(LAST, "sh")) if line not in found.said])
        yield found
    finally:
        if "runbook stop" not in {" ".join(line.split()[:2]) for line in found.said}:
            found.type(["runbook stop"])


def answers(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"nobody answers at {url}")


def allowed(line: str) -> set[int]:
    return next((codes for start, codes in DEPENDS.items() if line.startswith(start)), {0})


def text_of(desk: Desk, start: str) -> str:
    found = "".join(text for line, said in desk.said.items() if line.startswith(start) for _, text in said)
    assert found, f"no page has {start!r}"
    return found


def test_an_operator_who_types_the_pages_sees_what_they_say(desk: Desk) -> None:
    # one test, so that workers side by side do not make a system each
    every_command_ends_as_it_may(desk)
    the_pages_show_what_they_promise(desk)
    the_console_turns_away_who_may_not(desk)
    each_row_of_the_failure_matrix_has_its_record(desk)
    nothing_planted_was_said_or_logged(desk)
    nothing_is_left_running(desk)


def every_command_ends_as_it_may(desk: Desk) -> None:
    wrong = {line: said for line, said in desk.said.items() for code, _ in said if code not in allowed(line)}
    assert wrong == {}


def the_pages_show_what_they_promise(desk: Desk) -> None:
    assert "HEALTH=READY" in text_of(desk, "runbook check-feed-health --mode enforce")
    assert "sim:backup" in text_of(desk, "runbook failover --reason")
    assert "sim:primary" in text_of(desk, "runbook failback --reason")
    assert "INTACT" in text_of(desk, "runbook audit verify")
    assert "action=start" in text_of(desk, "runbook audit list")
    assert "GRACEFUL_SHUTDOWN=OK" in text_of(desk, "runbook stop")
    assert "md_nats_connected 1.0" in text_of(desk, "curl -sf http://127.0.0.1:9100/metrics | grep md_nats")
    assert "nats-server" in text_of(desk, "ps -eo")
    assert "SHFE" in text_of(desk, "gateway top --once")


def the_console_turns_away_who_may_not(desk: Desk) -> None:
    assert text_of(desk, "curl -s -o /dev/null -w").split() == ["401", "403"]
    assert json.loads(text_of(desk, "curl -s http://127.0.0.1:9180/readyz"))
    for address in ("metrics/summary", "health", "subscriptions"):
        (found,) = [line for line in desk.said if line.startswith("curl -sf -H") and f"/api/{address}" in line]
        assert json.loads(desk.said[found][0][1]), address


def each_row_of_the_failure_matrix_has_its_record(desk: Desk) -> None:
    page = (OPS / "failures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[[^\]]+\]\(#[\w-]+\) \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) == 6
    logs = desk.directory / "logs" / "runbooks"
    for row in rows:
        for name in re.findall(r"`(\w+\.log)`", row):
            assert (logs / name).is_file(), name
    assert list(logs.glob("*_startup.png"))


def nothing_planted_was_said_or_logged(desk: Desk) -> None:
    files = [path.read_bytes().decode("utf-8", "replace") for path in (desk.directory / "logs").rglob("*.log")]
    said = [text for every in desk.said.values() for _, text in every]
    assert len(files) > 5
    for token in (VIEWER, OPERATOR):
        assert not [text for text in (*files, *said) if token in text]


def nothing_is_left_running(desk: Desk) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
            what = (process / "cmdline").read_bytes()
        except OSError:
            continue
        assert where != desk.directory, what
