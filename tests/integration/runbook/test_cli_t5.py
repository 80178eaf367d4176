"""The T-5 checkpoint against a real gateway on a real nats-server, at moments around a real opening."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway import FeedSettings, Gateway, LineState, Settings, connect
from gateway.client import Client
from gateway.model import SHANGHAI
from gateway.settings import AccountSettings, BusSettings, CatalogueSettings, MetricsSettings
from gateway.sources.sim_options import SimOptions
from gateway.testing.clock import ManualClock
from gateway.testing.nats import NatsServer
from runbook.actions.t5_checkpoint import T5Parameters, t5_checkpoint
from runbook.context import ActionContext
from runbook.model import ActionRequest, ActionResult, Trigger, Window
from runbook.settings import EscalationSettings, RunbookSettings

DAY = "2026-10-12"
CONTRACTS = 40


def at(text: str) -> ManualClock:
    moment = datetime.fromisoformat(f"{text}+08:00").astimezone(SHANGHAI)
    return ManualClock(wall_ns=round(moment.timestamp()) * 1_000_000_000)


class Pushgateway(HTTPServer):
    """Keeps what is put."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.put: list[tuple[str, str]] = []


class _Taking(BaseHTTPRequestHandler):
    server: Pushgateway

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.put.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def pushgateway() -> Iterator[Pushgateway]:
    with Pushgateway() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with NatsServer() as server:
        yield server


class Desk:
    """Asks for the checkpoint at moments of its choice."""

    def __init__(self, root: Path, url: str, pushgateway: Pushgateway) -> None:
        self.root, self.url, self.pushed = root, url, pushgateway
        self.settings = Settings()
        push = {"pushgateway_url": f"http://127.0.0.1:{pushgateway.server_port}"}
        self.runbook = RunbookSettings.model_validate(
            {"log_dir": root / "logs", "state_dir": root / "state", "metrics": push}
        )

        self.tells: list[str] = []
        self.fields: list[Mapping[str, Any]] = []
        self.blinks = 0
        """So many connections fail first."""
        self.escalation: dict[str, Any] = {}

    def connect(self) -> AbstractAsyncContextManager[Client]:
        if self.blinks:
            self.blinks -= 1
            return connect("nats://127.0.0.1:1", connect_timeout=1.0)
        return connect(self.url, connect_timeout=1.0)

    def tell(self, _stage: str, text: str, fields: Mapping[str, Any]) -> None:
        self.tells.append(text)
        self.fields.append(fields)

    async def checkpoint(
        self, moment: str, *, window: Window | None = "day", dry_run: bool = False, **parameters: Any
    ) -> ActionResult:
        request = ActionRequest(
            action="t5-checkpoint", operator="desk", trigger=Trigger.CLI, window=window, dry_run=dry_run
        )
        context = ActionContext(
            run="r",
            request=request,
            settings=self.settings,
            runbook=self.runbook.model_copy(update={"escalation": EscalationSettings(**self.escalation)}),
            tell=self.tell,
            clock=at(moment),
            log_dir=self.runbook.log_dir,
            connect=self.connect,
        )
        return await t5_checkpoint(context, T5Parameters(**parameters))

    @property
    def status(self) -> list[tuple[str, str]]:
        """Session and value of each push."""
        return [
            (path.split("/session/")[1].split("/")[0], body.rsplit(" ", 1)[1].strip()) for path, body in self.pushed.put
        ]

    @asynccontextmanager
    async def gateway(self, *missing: str) -> AsyncIterator[None]:
        known = [str(one.instrument) for one in SimOptions(contracts=CONTRACTS, quiet=0.0).market().contracts]
        path = self.root / "contracts.csv"
        rows = [name.partition(".")[::2] for name in (*known, *missing)]
        path.write_text("exchange,code\n" + "".join(f"{exchange},{code}\n" for exchange, code in rows))
        feed = FeedSettings(
            kind="sim",
            host="child",
            accounts={"primary": AccountSettings(), "backup": AccountSettings()},
            options={"contracts": CONTRACTS, "rate": 1000, "quiet": 0.0},
            catalogue=CatalogueSettings(kind="file", options={"path": str(path)}),
        )
        bus = BusSettings(urls=[self.url])
        self.settings = Settings(feeds={"sim": feed}, bus=bus, metrics=MetricsSettings(enabled=False))
        async with Gateway(self.settings) as gateway:
            async with asyncio.timeout(60):
                while not all(
                    line.state is LineState.STREAMING and line.confirmed + line.failed == line.wanted > 0
                    for line in gateway.lines()
                ):
                    await asyncio.sleep(0.02)
            yield


@pytest.fixture
def desk(tmp_path: Path, server: NatsServer, pushgateway: Pushgateway) -> Desk:
    return Desk(tmp_path, server.url, pushgateway)


async def test_everything_ready_before_and_at_t5_passes_and_says_so(desk: Desk) -> None:
    async with desk.gateway():
        early = await desk.checkpoint(f"{DAY} 08:50:00")
        sharp = await desk.checkpoint(f"{DAY} 08:55:30")
        later = await desk.checkpoint(f"{DAY} 10:00:00")
    assert [one.exit_code for one in (early, sharp, later)] == [0, 0, 0]
    assert desk.status == [("day", "1.0")] * 3
    assert "passed at" in later.message
    written = json.loads((desk.root / "logs" / early.output).read_text())
    assert written["ready"] is True
    assert written["due"] == f"{DAY}T08:55:00+08:00"
    assert [one["name"] for one in written["checks"]] == ["nats", "gateway", "lines", "coverage", "ledger"]


async def test_ready_too_late_is_missed(desk: Desk) -> None:
    async with desk.gateway():
        result = await desk.checkpoint(f"{DAY} 08:58:00")
    assert result.exit_code == 16
    assert "T-5 missed" in result.message
    assert desk.status == [("day", "0.0")]


async def test_a_night_passes_by_itself_and_not_for_the_day(desk: Desk) -> None:
    async with desk.gateway():
        night = await desk.checkpoint(f"{DAY} 20:50:00", window=None)
        day = await desk.checkpoint("2026-10-13 09:30:00", window=None)
    assert (night.exit_code, night.details["session"], night.details["trading_day"]) == (0, "night", 20261013)
    assert (day.exit_code, day.details["session"]) == (16, "day")
    assert desk.status == [("night", "1.0"), ("day", "0.0")]


async def test_coverage_below_the_threshold_is_not_ready(desk: Desk) -> None:
    async with desk.gateway("SHFE.nosuch2701"):
        below = await desk.checkpoint(f"{DAY} 08:50:00")
        enough = await desk.checkpoint(f"{DAY} 08:50:00", coverage_threshold=0.9)
    assert below.exit_code == 16
    assert "coverage" in below.message
    assert enough.exit_code == 0
    assert desk.status == [("day", "0.0"), ("day", "1.0")]


async def test_what_cannot_be_measured_is_not_ready(desk: Desk, server: NatsServer) -> None:
    without_gateway = await desk.checkpoint(f"{DAY} 08:50:00")
    await server.stop()
    without_nats = await desk.checkpoint(f"{DAY} 08:50:00")
    assert (without_gateway.exit_code, without_nats.exit_code) == (16, 16)
    ready = {one["name"]: one["ready"] for one in without_gateway.details["checks"]}
    assert ready == {"nats": True, "gateway": False, "lines": False, "coverage": False, "ledger": False}
    assert not any(one["ready"] for one in without_nats.details["checks"])
    assert desk.status == [("day", "0.0")] * 2


async def test_a_dry_run_measures_and_leaves_no_trace(desk: Desk) -> None:
    async with desk.gateway():
        result = await desk.checkpoint(f"{DAY} 08:50:00", dry_run=True)
    assert result.exit_code == 0
    assert desk.status == []
    assert not desk.runbook.state_dir.exists()
    assert not desk.runbook.log_dir.exists()


async def test_a_day_without_a_session_has_nothing_to_pass(desk: Desk) -> None:
    result = await desk.checkpoint("2026-10-04 08:50:00")
    assert result.exit_code == 1
    assert desk.status == []


async def test_a_pushgateway_that_is_away_does_not_make_a_passed_checkpoint_fail(desk: Desk) -> None:
    desk.runbook = RunbookSettings.model_validate(
        {**desk.runbook.model_dump(), "metrics": {"pushgateway_url": "http://127.0.0.1:1"}}
    )
    async with desk.gateway():
        result = await desk.checkpoint(f"{DAY} 08:50:00")
    assert result.exit_code == 0
    assert "could not be pushed" in result.message


async def test_what_is_not_ready_at_first_is_looked_at_again_before_t5_fails(desk: Desk) -> None:
    async with desk.gateway():
        desk.blinks = 1
        result = await desk.checkpoint(f"{DAY} 08:50:00")
    assert result.exit_code == 0, result.message
    assert any("`runbook start --profile dev` brings NATS up; looking again" in text for text in desk.tells)


async def test_after_three_failures_the_desk_is_told_once_and_a_success_begins_anew(desk: Desk) -> None:
    told = desk.root / "told"
    teller = desk.root / "tell.sh"
    teller.write_text(f'#!/bin/sh\necho "$1 $2" >> {told}\n')
    teller.chmod(0o700)
    desk.escalation = {"command": f"{teller} {{marker}} {{exit_code}}"}
    async with desk.gateway("SHFE.nosuch2701"):
        below = await desk.checkpoint(f"{DAY} 08:50:00")
        assert below.exit_code == 16
        assert told.read_text() == "t5_missed 16\n"
        assert sum("asked anew for 1 missing contracts" in text for text in desk.tells) == 2
        assert any("event=t5_missed" in str(fields.get("marker")) for fields in desk.fields)
        assert (await desk.checkpoint(f"{DAY} 08:50:00", coverage_threshold=0.9)).exit_code == 0
    assert (await desk.checkpoint(f"{DAY} 08:50:00", dry_run=True)).exit_code == 16
    assert told.read_text() == "t5_missed 16\n"
    assert json.loads((desk.runbook.state_dir / "failures.json").read_text()) == {}
