"""``alert-smoke`` with the real Pushgateway and the real Prometheus (Debian: prometheus, prometheus-pushgateway)."""

from __future__ import annotations

import asyncio
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Client
from gateway.clock import SystemClock
from gateway.errors import BusError
from gateway.settings import Settings
from runbook.actions import alert_smoke as action
from runbook.actions.alert_smoke import SmokeParameters, alert_smoke
from runbook.context import ActionContext
from runbook.model import ActionRequest, Trigger
from runbook.settings import RunbookSettings
from tests import needing
from tests.ports import free_port

DEADLINE_S = 60.0
LABELS = 'command="alert-smoke"'

Start = Callable[..., str]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program on a port of its own and waits until it answers; ends it afterwards."""
    running: list[subprocess.Popen[bytes]] = []

    def starter(program: str, *arguments: str, ready: str) -> str:
        path = needing.program(program)
        port = free_port()
        log = tmp_path / f"{program}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [path, f"--web.listen-address=127.0.0.1:{port}", *arguments], stdout=file, stderr=file, cwd=tmp_path
            )
        running.append(process)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                get(f"http://127.0.0.1:{port}{ready}")
            except OSError:
                time.sleep(0.05)
            else:
                return f"http://127.0.0.1:{port}"

    yield starter
    for process in running:
        process.terminate()
    for process in running:
        process.wait()


@pytest.fixture
def pushgateway(start: Start) -> str:
    return start("prometheus-pushgateway", "--persistence.file=", ready="/-/ready")  # Debian's default is one for all


@pytest.fixture
def prometheus(start: Start, tmp_path: Path) -> Callable[[str], str]:
    """Makes a Prometheus that scrapes an address often."""

    def make(target: str) -> str:
        config = tmp_path / "prometheus.yml"
        host = target.removeprefix("http://")
        config.write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            f"scrape_configs: [{{job_name: push, honor_labels: true, static_configs: [{{targets: ['{host}']}}]}}]\n"
        )
        data = tmp_path / "data"
        return start("prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}", ready="/-/ready")

    return make


def pushed(url: str) -> float | None:
    lines = get(f"{url}/metrics").splitlines()
    found = [line for line in lines if line.startswith("md_runbook_exit_code{") and LABELS in line]
    return float(found[0].rpartition(" ")[2]) if found else None


@asynccontextmanager
async def nobody() -> AsyncIterator[Client]:
    raise BusError("nobody")
    yield


def context(tmp_path: Path, **metrics: Any) -> ActionContext:
    settings = RunbookSettings.model_validate({"state_dir": tmp_path / "state", "metrics": metrics})
    request = ActionRequest(action="alert-smoke", operator="li", trigger=Trigger.CLI)
    return ActionContext(
        run="r",
        request=request,
        settings=Settings(),
        runbook=settings,
        clock=SystemClock(),
        log_dir=tmp_path,
        connect=nobody,
    )


async def test_a_value_that_arrives_in_prometheus_is_reset_and_exits_0(
    pushgateway: str, prometheus: Callable[[str], str], tmp_path: Path
) -> None:
    url = prometheus(pushgateway)
    given = context(tmp_path, pushgateway_url=pushgateway, prometheus_url=url)
    for _ in range(2):  # the value of the first is not taken for that of the second
        result = await alert_smoke(given, SmokeParameters(wait_seconds=DEADLINE_S))
        assert (result.exit_code, result.details["reset"]) == (0, True), result.message
        assert pushed(pushgateway) == 0


async def test_a_prometheus_that_scrapes_something_else_exits_3_and_resets(
    pushgateway: str, prometheus: Callable[[str], str], tmp_path: Path
) -> None:
    url = prometheus(f"http://127.0.0.1:{free_port()}")
    result = await alert_smoke(
        context(tmp_path, pushgateway_url=pushgateway, prometheus_url=url), SmokeParameters(wait_seconds=0.5)
    )
    assert result.exit_code == 3
    assert "it has no such figure" in result.message
    assert pushed(pushgateway) == 0


@pytest.mark.parametrize("url", ["down", "unset", "no prometheus"])
async def test_a_prometheus_that_cannot_be_asked_exits_3_and_resets(pushgateway: str, tmp_path: Path, url: str) -> None:
    where = {"down": f"http://127.0.0.1:{free_port()}", "unset": None, "no prometheus": pushgateway}[url]
    result = await alert_smoke(
        context(tmp_path, pushgateway_url=pushgateway, prometheus_url=where), SmokeParameters(wait_seconds=0)
    )
    assert result.exit_code == 3
    assert pushed(pushgateway) == 0


async def test_without_a_pushgateway_it_exits_2(tmp_path: Path) -> None:
    down = f"http://127.0.0.1:{free_port()}"
    result = await alert_smoke(context(tmp_path, pushgateway_url=down, prometheus_url=down), SmokeParameters())
    assert result.exit_code == 2
    assert "the Pushgateway at" in result.message
    assert (await alert_smoke(context(tmp_path), SmokeParameters())).exit_code == 2


async def test_a_cancelled_one_leaves_no_value_behind(
    pushgateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = context(tmp_path, pushgateway_url=pushgateway, prometheus_url=f"http://127.0.0.1:{free_port()}")
    seen = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = action.read_values

    def read(*arguments: Any) -> list[float]:
        assert (pushed(pushgateway) or 0) >= 1000
        loop.call_soon_threadsafe(seen.set)
        return real(*arguments)

    monkeypatch.setattr(action, "read_values", read)
    task = asyncio.create_task(alert_smoke(given, SmokeParameters(wait_seconds=300)))
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pushed(pushgateway) == 0
