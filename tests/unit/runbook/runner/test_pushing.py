"""Exit codes reach the Pushgateway, now or later, and never change a result."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runbook.model import ActionResult
from runbook.runner import ExitCode, ExitCodePusher

CODE = ExitCode(command="failover", window="day", profile="live", exit_code=2, duration_s=1.5, finished_s=1_790_000_000)
GROUP = "/metrics/job/runbook/command/failover/profile/live/window/day"


class Receiver(ThreadingHTTPServer):
    """Takes what a Pushgateway takes; answers with ``status``."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.got]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.command, self.path, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = _take  # noqa: N815 - the library's names

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def pusher_to(url: str | None, directory: Path, **options: Any) -> Iterator[ExitCodePusher]:
    pusher = ExitCodePusher(url, directory, **options)
    try:
        yield pusher
    finally:
        pusher.close()


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_code_is_added_to_its_own_group(receiver: Receiver, tmp_path: Path) -> None:
    with pusher_to(receiver.url, tmp_path) as pusher:
        assert await pusher.push(CODE)
        assert await pusher.push(replace(CODE, exit_code=0))
    (method, path, failed), (_, _, fine) = receiver.got
    assert (method, path) == ("POST", GROUP)
    assert "\nmd_runbook_exit_code 2.0\n" in failed
    assert "\nmd_runbook_duration_seconds 1.5\n" in failed
    assert "last_success" not in failed
    assert "\nmd_runbook_last_success_timestamp_seconds 1.79e+09\n" in fine
    assert (pusher.sent, pusher.failed) == (2, 0)
    assert not list(tmp_path.glob("*.json"))


async def test_what_could_not_be_sent_goes_with_the_next_one(receiver: Receiver, tmp_path: Path, caplog: Any) -> None:
    with pusher_to(closed_port(), tmp_path) as pusher:
        assert not await pusher.push(CODE)
        assert not await pusher.push(replace(CODE, exit_code=12))  # the later one of a group counts
        assert not await pusher.push(replace(CODE, command="start"))
        assert pusher.failed >= 3
    assert "could not be pushed" in caplog.text
    with pusher_to(receiver.url, tmp_path) as pusher:
        assert await pusher.push(replace(CODE, command="stop"))
    bodies = {path: body for _, path, body in receiver.got}
    assert len(receiver.got) == 3
    assert "md_runbook_exit_code 12.0" in bodies[GROUP]
    assert not list(tmp_path.glob("*.json"))


async def test_a_refusal_of_the_server_counts_as_not_sent(receiver: Receiver, tmp_path: Path, caplog: Any) -> None:
    receiver.status = 500
    with pusher_to(receiver.url, tmp_path) as pusher:
        assert not await pusher.push(CODE)
        assert (pusher.sent, pusher.failed, len(list(tmp_path.glob("*.json")))) == (0, 1, 1)


async def test_what_waits_is_bounded(tmp_path: Path, caplog: Any) -> None:
    with pusher_to(closed_port(), tmp_path) as pusher:
        for number in range(130):
            await pusher.push(replace(CODE, command=f"c{number}"))
    assert len(list(tmp_path.glob("*.json"))) <= 101


async def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, caplog: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        pusher = ExitCodePusher(url, tmp_path, timeout_s=0.1)
        assert not await pusher.push(CODE)
        pusher.close()


async def test_it_is_pushed_although_nothing_can_be_kept(receiver: Receiver, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "state").write_text("not a directory")
    with pusher_to(receiver.url, tmp_path / "state") as pusher:
        assert await pusher.push(CODE)
    assert receiver.paths() == [GROUP]


async def test_a_damaged_file_is_passed_over(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pusher_to(receiver.url, tmp_path) as pusher:
        assert await pusher.push(CODE)
    assert receiver.paths() == [GROUP]
    assert not list(tmp_path.glob("*.json"))


async def test_odd_labels_keep_their_group(receiver: Receiver, tmp_path: Path) -> None:
    with pusher_to(receiver.url, tmp_path) as pusher:
        assert await pusher.push(replace(CODE, command="a/b"))
    assert "/command@base64/YS9i/" in receiver.paths()[0]


async def test_without_an_address_nothing_is_pushed_or_kept(tmp_path: Path) -> None:
    with pusher_to(None, tmp_path / "none") as pusher:
        assert await pusher.push(CODE)
        assert pusher.sent == 0
    assert not (tmp_path / "none").exists()


async def test_every_run_is_pushed_and_a_dry_run_apart(bench: Any, ask: Any, receiver: Receiver) -> None:
    async def fail(_context: Any, _parameters: Any) -> ActionResult:
        raise KeyError("x")

    bench.action("failover", fail)
    runner = bench.runner(runbook={"metrics": {"pushgateway_url": receiver.url}})
    await runner.run(ask("failover", window="night", profile="test"))
    await runner.run(ask("failover", dry_run=True))
    await runner.run(ask("nonsense"))  # never begun
    bench.audit.full = {"start"}
    await runner.run(ask("failover", profile="test"))
    group = "/metrics/job/runbook/command/failover"
    assert receiver.paths() == [
        f"{group}/profile/test/window/night",
        f"{group}-dry-run/profile/dev/window/none",
        f"{group}/profile/test/window/none",
    ]
    assert "md_runbook_exit_code 2.0" in receiver.got[0][2]
    assert "md_runbook_exit_code 11.0" in receiver.got[2][2]


async def test_a_pushgateway_that_is_down_changes_no_result(bench: Any, ask: Any, caplog: Any) -> None:
    async def fine(_context: Any, _parameters: Any) -> ActionResult:
        return ActionResult(exit_code=0, message="done")

    bench.action("failover", fine)
    runner = bench.runner(runbook={"metrics": {"pushgateway_url": closed_port(), "push_timeout_s": 0.5}})
    run = await runner.run(ask("failover"))
    assert (run.exit_code, runner.pusher.failed) == (0, 1)
    assert bench.audit.events == ["start", "stop"]


async def test_the_next_action_does_not_wait_for_a_slow_push(bench: Any, ask: Any, caplog: Any) -> None:
    async def fine(_context: Any, _parameters: Any) -> ActionResult:
        return ActionResult(exit_code=0, message="done")

    bench.action("failover", fine)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        runner = bench.runner(runbook={"metrics": {"pushgateway_url": url, "push_timeout_s": 1.0}})
        first = asyncio.create_task(runner.run(ask("failover")))
        while "stop" not in bench.audit.events:
            await asyncio.sleep(0.01)
        second = await runner.submit(ask("failover"))
        assert not second.refused
        assert not first.done()
        await first
