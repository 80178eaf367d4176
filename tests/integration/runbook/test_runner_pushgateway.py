"""Exit codes in a real Pushgateway (Debian: prometheus-pushgateway)."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runbook.runner import ExitCode, ExitCodePusher
from tests import needing
from tests.ports import free_port

CODE = ExitCode(command="failover", window="day", profile="live", exit_code=2, duration_s=1.5, finished_s=1_790_000_000)
DEADLINE_S = 60.0


@pytest.fixture
def pushgateway(tmp_path: Path) -> Iterator[str]:
    program = needing.program("prometheus-pushgateway")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("w") as log:
        words = [program, f"--web.listen-address=127.0.0.1:{port}", "--persistence.file="]  # no file
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            try:
                scrape(url)
                break
            except OSError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


def scrape(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def value(text: str, name: str, **labels: str) -> float | None:
    for line in text.splitlines():
        if line.startswith(f"{name}{{") and all(f'{key}="{wanted}"' in line for key, wanted in labels.items()):
            return float(line.rpartition(" ")[2])
    return None


async def test_each_command_window_and_profile_has_its_own_code(pushgateway: str, tmp_path: Path) -> None:
    pusher = ExitCodePusher(pushgateway, tmp_path / "unsent")
    assert await pusher.push(replace(CODE, exit_code=0))
    assert await pusher.push(CODE)
    assert await pusher.push(replace(CODE, command="start", window="night", exit_code=12))
    assert await pusher.push(replace(CODE, command="odd/name", exit_code=1))
    text = scrape(pushgateway)
    name = "md_runbook_exit_code"
    assert value(text, name, command="failover", window="day", profile="live") == 2
    assert value(text, name, command="start", window="night", profile="live") == 12
    assert value(text, name, command="odd/name") == 1
    assert value(text, "md_runbook_duration_seconds", command="failover") == 1.5
    # a failure does not take the last success away
    assert value(text, "md_runbook_last_success_timestamp_seconds", command="failover") == 1_790_000_000
    assert value(text, "md_runbook_last_success_timestamp_seconds", command="start") is None
    pusher.close()
