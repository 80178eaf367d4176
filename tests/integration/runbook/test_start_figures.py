"""What a start pushes to a real Pushgateway (Debian: prometheus-pushgateway)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbook.model import Exit
from tests.integration.runbook.supervised import Desk, foreground, until
from tests.ports import free_port

DEADLINE_S = 60.0
NAME = "md_session_startup_duration_s"


@pytest.fixture
def pushgateway(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("prometheus-pushgateway")
    if program is None:
        reason = "prometheus-pushgateway is not installed; apt-get install prometheus-pushgateway"
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "pushgateway.log").open("w") as log:
        words = [program, f"--web.listen-address=127.0.0.1:{port}", "--persistence.file="]  # no file
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline
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


def value(url: str, name: str, **labels: str) -> float | None:
    for line in scrape(url).splitlines():
        if line.startswith(f"{name}{{") and all(f'{key}="{wanted}"' in line for key, wanted in labels.items()):
            return float(line.rpartition(" ")[2])
    return None


async def test_a_start_pushes_how_long_it_took_and_one_that_only_checks_does_not(
    desks: Callable[..., Desk], pushgateway: str
) -> None:
    desk = desks(variables=f"PUSHGATEWAY_URL={pushgateway}")
    desk.pushgateway = pushgateway
    result = await desk.do("start", window="night")
    assert result.exit_code in (Exit.OK, Exit.T5_MISSED), result.message
    pushed = value(pushgateway, NAME, window="night", profile="dev")
    if result.exit_code == Exit.T5_MISSED:  # a night session is open right now
        assert pushed is None
        await desk.do("stop")
    else:
        assert pushed == result.details["startup_s"] > 0
        assert "the Pushgateway on" in " ".join(text for _, text, _ in desk.stages)
    again = await desk.do("start")
    assert again.exit_code == Exit.OK
    found = value(pushgateway, NAME, window="none", profile="dev")
    assert (found is None) == (not again.details["started"])


async def test_a_supervisor_in_the_foreground_pushes_its_codes_and_the_time_of_its_start(
    desks: Callable[..., Desk], pushgateway: str
) -> None:
    desk = desks(variables=f"PUSHGATEWAY_URL={pushgateway}")
    process = await foreground(desk)
    await until(lambda: value(pushgateway, NAME, window="none", profile="dev"), "nothing is pushed")
    assert value(pushgateway, "md_runbook_exit_code", command="start", profile="dev") == 0
    await desk.status()
    process.terminate()
    await process.communicate()
    assert value(pushgateway, "md_runbook_exit_code", command="stop", profile="dev") == 0
