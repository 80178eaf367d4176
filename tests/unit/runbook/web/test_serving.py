"""Where the console listens, and what it refuses before anything is started."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from runbook.web.serving import ServeError, Wanted, _why, listen, serve
from tests.unit.runbook.web.consoles import TOKENS, runbook_in


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(ServeError, match="1 to 65535"):
        listen("127.0.0.1", port)


def test_a_free_port_is_found() -> None:
    with listen("127.0.0.1", 0) as sock:
        assert sock.getsockname()[1] > 0


def test_a_port_that_is_taken_is_refused_with_the_fix() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ServeError, match=r"another program listens there.*--port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ServeError, match="this machine has no such address"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "above 1023"), (errno.EADDRINUSE, "OPS_API_PORT"), (errno.ENOBUFS, "use another address")],
)
def test_why_it_cannot_listen_ends_with_what_to_do(number: int, words: str) -> None:
    assert words in _why(OSError(number, "text"))


async def test_nothing_is_started_for_a_public_address_without_tokens(tmp_path: Path) -> None:
    told: list[object] = []
    async with runbook_in(tmp_path) as runbook:
        with pytest.raises(SettingsError, match="ALLOW_PUBLIC"):
            await serve(runbook, Wanted(host="0.0.0.0", port=0), told.append)
    assert told == []


@pytest.mark.parametrize("jobs", [True, False])
async def test_it_listens_runs_the_jobs_that_are_wanted_and_ends_without_leaving_a_task(
    tmp_path: Path, jobs: bool
) -> None:
    stop = asyncio.Event()
    seen = []

    def ready(told: object) -> None:
        seen.append(told)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert ("job scheduler" in names) is jobs
        stop.set()

    before = asyncio.all_tasks()
    await serve(runbook_in(tmp_path, tokens=TOKENS), Wanted(port=0, jobs=jobs), ready, stop=stop)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    told = seen[0]
    assert told.url.startswith("http://127.0.0.1:")
    assert told.access == "3 tokens: log in, or send Authorization: Bearer"
    assert ("by the calendar" in told.jobs) is jobs
