"""The audit's head on the Pushgateway, without keeping a record waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.loader import Plugins
from runbook.app import Files, Runbook, load
from runbook.app.heads import HeadPusher
from runbook.audit import Position
from runbook.model import ActionRequest, Trigger
from runbook.runner import Run


class Receiver(HTTPServer):
    """Takes pushes; holds them up until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[str] = []
        self.go_on = threading.Event()
        self.asked = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.set()
        self.server.go_on.wait(10)
        self.server.bodies.append(body)
        self.send_response(200)
        self.end_headers()

    do_POST = do_PUT  # noqa: N815 - the name that http.server asks for

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


def position(seq: int) -> Position:
    return Position(seq, f"{seq:064x}", "audit.jsonl", 0, "2026-11-21T08:45:00.000+08:00")


def test_the_latest_head_is_sent_and_nobody_waits_for_the_one_before(receiver: Receiver) -> None:
    pusher = HeadPusher(receiver.url, timeout_s=60)
    pusher(position(1))
    assert receiver.asked.wait(60)
    for seq in range(2, 50):
        pusher(position(seq))  # returns although the first push hangs
    assert receiver.bodies == []
    receiver.go_on.set()
    pusher.close()
    assert len(receiver.bodies) == 2
    assert f'md_runbook_audit_head{{hash="{49:064x}"}} 49.0' in receiver.bodies[-1]


def test_an_absent_pushgateway_costs_nobody_a_record(caplog: pytest.LogCaptureFixture) -> None:
    pusher = HeadPusher("http://127.0.0.1:1", timeout_s=1)
    pusher(position(1))
    pusher.close()
    pusher.close()
    pusher(position(2))
    assert "could not be pushed" in caplog.text


@pytest.mark.parametrize(
    ("parameters", "variables", "exit_code"),
    [({"missed": "2026-11-20T08:55:00+08:00"}, {}, 16), ({}, {"CTP_PRIMARY_USER_ID": "half"}, 11)],
    ids=["missed", "refused settings"],
)
def test_a_checkpoint_that_was_not_made_takes_the_figure_to_0(
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameters: dict[str, str],
    variables: dict[str, str],
    exit_code: int,
) -> None:
    receiver.go_on.set()
    monkeypatch.chdir(tmp_path)
    environ = {"PUSHGATEWAY_URL": receiver.url, **variables}

    async def ask() -> Run:
        async with Runbook(load(Files(), environ), plugins=Plugins.load(entry_points=False)) as runbook:
            request = ActionRequest(
                action="t5-checkpoint",
                parameters=parameters,
                operator="schedule",
                trigger=Trigger.SCHEDULE,
                reason="job day-t5 was missed",
                window="day",
            )
            return await runbook.run(request)

    assert asyncio.run(ask()).exit_code == exit_code
    assert any("md_t5_checkpoint_status 0.0" in body for body in receiver.bodies)
