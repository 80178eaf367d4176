"""A process that lives and answers nothing: it is noticed, told, recorded and started again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.client import connect
from gateway.errors import FeedgateError
from gateway.testing.nats import NatsServer
from runbook.audit import verify
from runbook.model import Exit
from tests.integration.runbook.supervised import Desk, foreground, until

QUICK = "RUNBOOK_START__FROZEN_S=3\nRUNBOOK_START__STAGE_TIMEOUT_S=60"


def audited(desk: Desk) -> list[dict[str, Any]]:
    found = []
    for path in sorted((desk.state / "audit").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            value = json.loads(line)
            found.append(value.get("record", value))
    return found


async def events(desk: Desk, event: str) -> list[dict[str, Any]]:
    return [line for line in desk.log() if line["event"] == event]


async def back(desk: Desk, name: str, before: int) -> dict[str, Any] | None:
    row = await desk.process(name)
    return row if row["state"] == "running" and row["pid"] not in (None, before) else None


async def test_a_frozen_gateway_is_noticed_recorded_and_restarted_with_debug(desks: Callable[..., Desk]) -> None:
    desk = desks(variables=QUICK + "\nRUNBOOK_ESCALATION__AFTER=1")
    assert (await desk.do("start")).exit_code == Exit.OK
    frozen, nats = await desk.pid("gateway"), await desk.pid("nats")
    os.kill(frozen, signal.SIGSTOP)

    async def degraded() -> bool:
        status = await desk.status()
        return status["state"] == "degraded" and "does not answer" in status["silent"].get("gateway", "")

    await until(degraded, "nobody notices that the gateway is silent")
    row = await until(lambda: back(desk, "gateway", frozen), "the gateway does not come back")
    assert row["restarts"] == 1
    assert row["class"] == "critical"

    async def well() -> bool:
        return (await desk.status())["state"] == "running" and bool(await events(desk, "well_again"))

    await until(well, "it is not well again")
    told = await events(desk, "process_frozen")
    assert [line["level"] for line in told] == ["critical"]
    assert f"FROZEN: gateway (process {frozen}) lives, but its control service does not answer" in told[0]["text"]
    assert (await events(desk, "escalation"))[0]["fields"]["marker"] == "event=process_escalation"
    notes = [one for one in audited(desk) if one["event"] == "note" and one["action"] == "health-gateway"]
    assert [(one["exit_code"], one["operator"]) for one in notes] == [(13, "supervisor"), (0, "supervisor")]
    assert "FROZEN" in notes[0]["message"]
    assert "FROZEN" in (desk.logs / "health_check.log").read_text()
    assert await desk.pid("nats") == nats
    command = Path(f"/proc/{row['pid']}/cmdline").read_bytes().split(b"\0")
    assert command[command.index(b"--log-level") + 1] == b"DEBUG"
    async with connect((await desk.status())["nats"]["url"], name="desk") as client:
        assert (await client.status()).lines


async def test_a_frozen_nats_is_restarted_and_the_gateway_is_not_blamed(desks: Callable[..., Desk]) -> None:
    desk = desks(variables=QUICK)
    assert (await desk.do("start")).exit_code == Exit.OK
    frozen, gateway = await desk.pid("nats"), await desk.pid("gateway")
    os.kill(frozen, signal.SIGSTOP)
    await until(lambda: back(desk, "nats", frozen), "NATS does not come back")
    url = (await desk.status())["nats"]["url"]

    async def answers() -> bool:
        async with connect(url, name="desk") as client:
            return bool((await client.status()).lines)

    await until(lambda: quietly(answers), "the gateway does not come back to NATS")
    assert await desk.pid("gateway") == gateway
    assert [line["text"][:12] for line in await events(desk, "process_frozen")] == ["FROZEN: nats"]
    assert next(one["exit_code"] for one in audited(desk) if one["action"] == "start-nats") == Exit.NATS


async def quietly(answers: Callable[[], Any]) -> bool:
    try:
        return bool(await answers())
    except FeedgateError:
        return False


async def test_an_external_nats_that_goes_away_is_told_and_not_touched(desks: Callable[..., Desk]) -> None:
    async with NatsServer() as server:
        desk = desks(variables=f"{QUICK}\nNATS_URL={server.url}")
        assert (await desk.do("start")).exit_code == Exit.OK
        gateway = await desk.pid("gateway")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await until(lambda: events(desk, "nats_away"), "nobody notices that NATS is away")
            status = await desk.status()
            assert status["state"] == "degraded"
            assert "does not answer" in status["silent"]["nats"]
        finally:
            os.kill(server.pid, signal.SIGCONT)

        async def well() -> bool:
            return (await desk.status())["state"] == "running"

        await until(well, "it is not well again")
        assert await desk.pid("gateway") == gateway
        notes = [one for one in audited(desk) if one["action"] == "start-nats"]
        assert notes[0]["exit_code"] == Exit.NATS


async def test_a_start_finds_a_frozen_gateway_and_starts_it_again(desks: Callable[..., Desk]) -> None:
    desk = desks(variables="RUNBOOK_START__FROZEN_S=600\nRUNBOOK_START__STAGE_TIMEOUT_S=15\nRUNBOOK_START__TRIES=3")
    assert (await desk.do("start")).exit_code == Exit.OK
    frozen = await desk.pid("gateway")
    os.kill(frozen, signal.SIGSTOP)
    desk.stages.clear()
    result = await desk.do("start")
    assert result.exit_code == Exit.OK, result.message
    assert any("it runs and does not answer" in text for stage, text, _ in desk.stages if stage == "gateway")
    assert any("with --debug" in text for stage, text, _ in desk.stages if stage == "gateway")
    assert await desk.pid("gateway") != frozen


async def test_a_foreground_start_and_its_stop_are_on_record(desks: Callable[..., Desk]) -> None:
    desk = desks()
    process = await foreground(desk)

    async def up() -> bool:
        return await quietly(desk.status) and (await desk.status())["last"].get("exit_code") == 0

    await until(up, "it does not come up")
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    runs = [(one["event"], one["action"], one["exit_code"]) for one in audited(desk)]
    assert runs == [("start", "start", None), ("stop", "start", 0), ("start", "stop", None), ("stop", "stop", 0)]
    view = (desk.logs / "startup_audit.log").read_text()
    assert view.count("action=start") == 2
    assert verify(desk.state / "audit").exit_code == 0
