"""``runbook serve`` as a process: what it prints, how it ends, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[4]
OURS = ("RUNBOOK_", "FEEDGATE_", "CTP_", "SOPT_", "NATS_", "OPS_", "VAULT_", "PUSHGATEWAY", "DRILL_", "ACTIVE_FEED")
DEADLINE_S = 60.0


def command(place: Path, *flags: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environ |= {
        "RUNBOOK_STATE_DIR": str(place / "state"),
        "RUNBOOK_LOG_DIR": str(place / "logs"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    } | variables
    return [sys.executable, "-m", "runbook", "serve", *flags], environ


def refused(place: Path, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words, environ = command(place, *flags, **variables)
    return subprocess.run(
        words, env=environ, cwd=place, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@contextmanager
def serving(place: Path, *flags: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its address and what it printed."""
    words, environ = command(place, *flags, **variables)
    with subprocess.Popen(
        words, env=environ, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            printed = ""
            while "Ctrl-C" not in printed:
                line = process.stdout.readline()
                assert line, process.communicate()
                printed += line
            found = re.search(r"http://\S+", printed)
            assert found
            yield process, found.group(), printed
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_who_may_come_in_and_ends_in_order_when_asked(
    tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path, "--port", "0", "--mock") as (process, url, printed):
        assert "mock environment" in printed
        assert "everybody on this machine may operate" in printed
        assert "jobs run by the calendar" in printed
        with httpx.Client(base_url=url) as client, client.stream("GET", "/api/events") as live:
            lines = live.iter_lines()
            assert next(lines).startswith("retry:")
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 503
            process.send_signal(number)
            for _ in lines:
                pass
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        assert errors == ""
    assert stat.S_IMODE((tmp_path / "state" / "mock" / "console" / "session.key").stat().st_mode) == 0o600


def test_with_tokens_it_says_how_many_and_shows_none(tmp_path: Path) -> None:
    token = "a-token-of-the-settings"
    with serving(tmp_path, "--port", "0", "--no-jobs", OPS_API_TOKENS=f"viewer:vera:{token}") as (
        process,
        url,
        printed,
    ):
        assert "1 token: log in" in printed
        assert "--no-jobs" in printed
        assert token not in printed
        assert httpx.get(f"{url}/api/status", params={"token": token}).status_code == 401
        assert httpx.get(f"{url}/api/status", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    logs = "".join(path.read_text() for path in (tmp_path / "logs").rglob("*.log"))
    assert token not in logs
    asked = [line for line in logs.splitlines() if '"runbook.web.visits"' in line]
    assert re.search(r"GET /api/status 401 \d+ ms from 127.0.0.1 by -", asked[0])
    assert re.search(r"GET /api/status 200 \d+ ms from 127.0.0.1 by vera", asked[1])


def test_a_port_that_is_taken_is_named_with_the_fix(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = refused(tmp_path, "--port", str(port), "--no-jobs")
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}: another program listens there" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_public_address_without_tokens_is_refused_with_the_exit_code_of_settings(tmp_path: Path) -> None:
    ended = refused(tmp_path, "--host", "0.0.0.0")
    assert (ended.returncode, ended.stdout) == (11, "")
    assert "OPS_API_TOKENS" in ended.stderr
    assert "RUNBOOK_API__ALLOW_PUBLIC=true" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_public_address_without_tokens_is_served_when_the_settings_say_so_in_words(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", "--port", "0", "--no-jobs", RUNBOOK_API__ALLOW_PUBLIC="true") as (
        _,
        url,
        printed,
    ):
        assert "whoever reaches it may operate" in printed
        assert httpx.get(f"{url}/api/status").status_code == 200
