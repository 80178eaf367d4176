"""The supervisor with real processes: nats-server, gateways of a synthetic market, signals, ports in use."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
import stat
from collections.abc import Callable
from typing import Any

import pytest

from gateway.client import connect
from gateway.testing.nats import NatsServer
from runbook.model import ActionResult, Exit
from runbook.supervisor.link import NoSupervisorError
from tests.integration.runbook.supervised import DEADLINE_S, SECRET, Desk, foreground, processes_of, until


async def test_start_brings_everything_up_in_order_and_stop_takes_it_down_in_order(desks: Callable[..., Desk]) -> None:
    desk = desks()
    result = await desk.do("start")
    assert result.exit_code == Exit.OK, result.message
    assert [row["stage"] for row in result.details["stages"]] == [
        "environment", "nats", "gateway", "subscriptions", "health", "t5",
    ]  # fmt: skip
    assert desk.markers() == ["HEALTH=READY"]
    status = await desk.status()
    assert status["state"] == "running"
    assert [(row["name"], row["class"], row["state"]) for row in status["processes"]] == [
        ("nats", "critical", "running"),
        ("gateway", "critical", "running"),
    ]
    assert stat.S_IMODE((desk.state / "supervisor.sock").stat().st_mode) == 0o600
    assert "sync_interval: always" in (desk.state / "nats" / "nats-server.conf").read_text()
    assert status["nats"]["monitor"].startswith("http://127.0.0.1:")
    async with connect(status["nats"]["url"], name="desk") as client:
        assert (await client.coverage())[0].ratio == 1.0

    again = await desk.do("start")
    assert again.exit_code == Exit.OK
    assert await desk.pid("gateway") == next(row["pid"] for row in status["processes"] if row["name"] == "gateway")

    desk.stages.clear()
    stopped = await desk.do("stop")
    assert stopped.exit_code == Exit.OK, stopped.message
    assert desk.markers() == ["UNSUBSCRIBED", "GRACEFUL_SHUTDOWN=OK"]
    assert [text for stage, text, _ in desk.stages if stage == "stop"][:2] == ["gateway is off", "nats is off"]
    await desk.gone()
    assert (await desk.do("stop")).message == "nothing runs"

    lines = desk.log()
    assert all(line["at"].endswith("+08:00") and line["session"] for line in lines)
    assert any(line["fields"].get("marker") == "HEALTH=READY" for line in lines)
    for file in desk.logs.iterdir():
        assert SECRET.encode() not in file.read_bytes(), file


async def test_no_secret_is_in_status_or_in_the_arguments_of_a_process(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    assert SECRET not in json.dumps(await desk.status())
    seen = processes_of(desk.directory)
    assert len(seen) >= 2
    assert not [line for _, line in seen if SECRET in line]


async def test_restart_keeps_consumers_connected_and_begins_a_later_epoch(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    status = await desk.status()
    nats, before = await desk.pid("nats"), await desk.pid("gateway")
    ticks: list[tuple[str, int, int]] = []
    async with connect(status["nats"]["url"], name="desk") as client:
        connection = client._bus.connection
        stream = client.ticks("SHFE.*")

        async def consume() -> None:
            async for tick in stream:
                ticks.append((str(tick.instrument), tick.epoch, tick.seq))  # noqa: PERF401 - looked at while it grows

        task = asyncio.create_task(consume())
        await until(lambda: len(ticks) > 20, "no ticks")
        first = ticks[-1][1]
        result = await desk.do("restart")
        assert result.exit_code == Exit.OK, result.message
        assert desk.markers()[-1] == "RESTART=OK"
        assert "UNSUBSCRIBED" not in desk.markers()
        await until(lambda: ticks[-1][1] > first, "no tick of the new epoch")
        after = len(ticks)
        await until(lambda: len(ticks) > after + 100, "the ticks of the new epoch do not go on")
        assert client._bus.connection == connection
        assert (stream.interruptions, stream.lost) == (0, 0)
        task.cancel()
        await asyncio.wait({task})
        await stream.aclose()
    epochs = [epoch for _, epoch, _ in ticks]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 2
    last: dict[tuple[str, int], int] = {}
    for name, epoch, seq in ticks:  # of each contract every tick, in both epochs, without a hole
        assert seq == last.get((name, epoch), seq - 1) + 1, (name, epoch, seq)
        last[name, epoch] = seq
    assert await desk.pid("nats") == nats
    assert await desk.pid("gateway") != before


async def test_a_killed_gateway_is_noticed_told_and_started_again(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    killed = await desk.pid("gateway")
    following: list[dict[str, Any]] = []

    async def follow() -> None:
        async for line in desk.link.logs(lines=0, follow=True):
            following.append(line)  # noqa: PERF401 - looked at while it grows

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await desk.status()
    os.kill(killed, signal.SIGKILL)

    async def back() -> bool:
        row = await desk.process("gateway")
        return row["state"] == "running" and row["pid"] not in (None, killed)

    await until(back, "the gateway does not come back")
    row = await desk.process("gateway")
    assert (row["restarts"], row["failures"]) == (1, 1)
    died = [line for line in desk.log() if line["event"] == "process_died"]
    assert "SIGKILL" in died[0]["text"]
    assert died[0]["level"] == "critical"
    await until(lambda: any(line["event"] == "process_died" for line in following), "a follower was not told")
    task.cancel()
    await asyncio.wait({task})


async def test_a_killed_nats_comes_back_where_it_was_and_the_gateway_finds_it(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    url = (await desk.status())["nats"]["url"]
    killed, gateway = await desk.pid("nats"), await desk.pid("gateway")
    os.kill(killed, signal.SIGKILL)

    async def back() -> bool:
        row = await desk.process("nats")
        return row["state"] == "running" and row["pid"] != killed

    await until(back, "nats does not come back")
    assert (await desk.status())["nats"]["url"] == url
    async with connect(url, name="desk") as client:
        await until(lambda: answers(client), "the gateway does not come back to NATS")
    assert await desk.pid("gateway") == gateway


async def answers(client: Any) -> bool:
    with contextlib.suppress(Exception):
        return bool((await client.status()).lines)
    return False


async def test_nothing_outlives_a_killed_supervisor_and_the_next_start_works(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    owned = processes_of(desk.directory)
    assert len(owned) >= 2
    os.kill((await desk.status())["pid"], signal.SIGKILL)
    await desk.gone()
    assert (await desk.do("stop")).message == "nothing runs"
    assert (await desk.do("start")).exit_code == Exit.OK


async def test_sigterm_ends_a_foreground_supervisor_in_order_with_0(desks: Callable[..., Desk]) -> None:
    desk = desks()
    notified = desk.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(notified))
        listener.setblocking(False)
        process = await foreground(desk, NOTIFY_SOCKET=str(notified))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DEADLINE_S):
            assert b"READY=1" in await loop.sock_recv(listener, 4096)
        await desk.status()
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        async with asyncio.timeout(DEADLINE_S):
            assert b"STOPPING=1" in await loop.sock_recv(listener, 4096)
    assert process.returncode == 0
    texts = [json.loads(line)["text"] for line in out.decode().splitlines()]
    order = ["HEALTH=READY", "UNSUBSCRIBED", "gateway is off", "nats is off", "GRACEFUL_SHUTDOWN=OK"]
    assert [text for text in texts if text in order] == order
    await desk.gone()


async def failing(desk: Desk, code: int) -> ActionResult:
    """A start that must fail with this code."""
    result = await desk.do("start")
    assert result.exit_code == code, result.message
    assert "HEALTH=READY" not in desk.markers()
    return result


async def test_a_nats_port_in_use_is_12_and_nothing_is_left(desks: Callable[..., Desk]) -> None:
    async with NatsServer() as other:
        desk = desks(more=f"[bus]\nbundled_port = {other.port}")
        result = await failing(desk, Exit.NATS)
        assert "address already in use" in result.message
        assert "nothing is left running" in result.message
        assert "next: " in result.message
        await desk.gone()
        assert other.pid is not None


async def test_a_nats_binary_that_fails_is_12_after_every_try_and_somebody_is_told(desks: Callable[..., Desk]) -> None:
    desk = desks()
    told = desk.directory / "told"
    teller = desk.directory / "tell.sh"
    teller.write_text(f'#!/bin/sh\necho "$1 $2" >> {told}\n')
    teller.chmod(0o700)
    desk.env.write_text(desk.env.read_text() + f"\nRUNBOOK_ESCALATION__COMMAND='{teller} {{marker}} {{exit_code}}'\n")
    broken = desk.directory / "nats-server"
    broken.write_text("#!/bin/sh\necho the licence has run out\nexit 7\n")
    broken.chmod(0o700)
    desk.launch = dataclasses.replace(desk.launch, nats_server=broken)
    result = await failing(desk, Exit.NATS)
    assert "the licence has run out" in result.message
    assert "after 2 tries" in result.message
    assert not told.exists()  # two failures so far; the third is that of another supervisor
    await desk.gone()
    again = await failing(desk, Exit.NATS)
    assert "no next node: the bundled server is alone" in again.message
    assert told.read_text() == "start_nats_failed 12\n"
    await desk.gone()


async def test_an_external_nats_that_refuses_is_12(desks: Callable[..., Desk]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        desk = desks(variables=f"NATS_URL=nats://127.0.0.1:{port}\nRUNBOOK_START__TRIES=1")
        result = await failing(desk, Exit.NATS)
        assert str(port) in result.message


async def test_an_external_nats_is_used_and_never_stopped(desks: Callable[..., Desk]) -> None:
    async with NatsServer() as server:
        desk = desks(variables=f"NATS_URL={server.url}")
        assert (await desk.do("start")).exit_code == Exit.OK
        assert [row["name"] for row in (await desk.status())["processes"]] == ["gateway"]
        assert (await desk.do("stop")).exit_code == Exit.OK
        assert server.pid is not None
        async with connect(server.url):
            pass


@pytest.mark.parametrize("more", ["[publish]\ncodec = 'morse'", "[bus]\nkind = 'memory'"])
async def test_bad_settings_are_11(desks: Callable[..., Desk], more: str) -> None:
    result = await failing(desks(more=more), Exit.ENVIRONMENT)
    assert ("codec" if "codec" in more else "bus.kind") in result.message


async def test_settings_that_only_the_gateway_refuses_are_11_at_once(desks: Callable[..., Desk]) -> None:
    desk = desks(options="wombats = 3")
    result = await failing(desk, Exit.ENVIRONMENT)
    assert "wombats" in result.message
    assert "failed at once" in result.message
    await desk.gone()


async def test_a_gateway_that_never_gets_ready_is_13_and_nothing_is_left(desks: Callable[..., Desk]) -> None:
    desk = desks(options="login_ms = 600000", variables="RUNBOOK_START__STAGE_TIMEOUT_S=5\nRUNBOOK_START__TRIES=1")
    result = await failing(desk, Exit.GATEWAY)
    assert "sim:primary" in result.message
    assert "nothing is left running" in result.message
    await desk.gone()


async def test_contracts_that_are_never_confirmed_are_14_and_what_mends_it_is_left_running(
    desks: Callable[..., Desk],
) -> None:
    desk = desks(
        more="[subscriptions]\nper_login_limit = 3",
        variables="RUNBOOK_START__STAGE_TIMEOUT_S=60\nRUNBOOK_START__TRIES=2\nRUNBOOK_ESCALATION__AFTER=2",
    )
    result = await failing(desk, Exit.SUBSCRIPTIONS)
    assert result.details["left_running"] == ["nats", "gateway"]
    assert "left running: nats, gateway" in result.message
    assert "every answer is in" in result.message
    assert "`runbook subscribe --profile dev --include SHFE." in result.message
    assert any("as `check-feed-health --mode enforce` does" in text for _, text, _ in desk.stages)
    status = await desk.status()
    assert (status["state"], status["failed_stage"]) == ("degraded", "subscriptions")
    await desk.do("stop")
    await desk.gone()


async def test_a_metrics_port_that_is_not_the_gateways_fails_the_start(desks: Callable[..., Desk]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        desk = desks(variables="RUNBOOK_START__STAGE_TIMEOUT_S=5\nRUNBOOK_START__TRIES=1")
        port = other.getsockname()[1]
        desk.config.write_text(desk.config.read_text().replace("port = 0", f"port = {port}"))
        result = await desk.do("start")
        assert result.exit_code not in (Exit.OK, Exit.WARNING)
        assert str(port) in result.message


async def test_a_prometheus_that_is_down_is_15_and_the_gateway_goes_on(desks: Callable[..., Desk]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        desk = desks(variables=f"OPS_PROMETHEUS_URL={url}\nRUNBOOK_START__TRIES=1")
        result = await failing(desk, Exit.METRICS)
        assert url in result.message
        assert result.details["left_running"] == ["nats", "gateway"]
        assert (await desk.process("gateway"))["state"] == "running"


async def test_of_two_starts_at_once_one_is_busy(desks: Callable[..., Desk]) -> None:
    desk = desks()
    results = await asyncio.gather(desk.do("start"), desk.do("start"))
    assert sorted(result.exit_code for result in results) == [Exit.OK, Exit.BUSY]


async def test_a_second_supervisor_for_a_state_directory_ends_with_75(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    process = await foreground(desk)
    _, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == Exit.BUSY
    assert "runs already" in err.decode()
    assert (await desk.status())["state"] == "running"


async def test_a_cancelled_start_undoes_what_it_began(desks: Callable[..., Desk]) -> None:
    desk = desks(options="login_ms = 600000")
    task = asyncio.create_task(desk.do("start"))
    await until(lambda: [1 for stage, _, _ in desk.stages if stage == "gateway"], "the gateway stage does not begin")
    await until(lambda: len(processes_of(desk.directory)) >= 2, "no processes")
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await desk.gone()


async def test_a_caller_that_dies_does_not_end_the_start(desks: Callable[..., Desk]) -> None:
    desk = desks()
    from runbook.supervisor.launch import running_supervisor

    await running_supervisor(desk.launch, desk.state, desk.logs)
    with desk.link.place.address() as address:
        _, writer = await asyncio.open_unix_connection(address)
    writer.write(b'{"do": "start"}\n')
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async def up() -> bool:
        return (await desk.status())["last"].get("exit_code") == 0

    await until(up, "the start does not come to its end")


async def test_what_is_asked_wrongly_is_refused(desks: Callable[..., Desk]) -> None:
    desk = desks()
    from runbook.supervisor.launch import running_supervisor

    await running_supervisor(desk.launch, desk.state, desk.logs)
    for line in (b"junk\n", b"[]\n", b'{"do": "fly"}\n', b'{"do": "start", "window": "noon"}\n'):
        with desk.link.place.address() as address:
            reader, writer = await asyncio.open_unix_connection(address)
        writer.write(line)
        answer = json.loads(await asyncio.wait_for(reader.readline(), DEADLINE_S))
        assert answer["done"]["exit_code"] == Exit.USAGE
        writer.close()
        await writer.wait_closed()
    assert (await desk.status())["state"] == "off"


async def test_a_dry_run_starts_nothing(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start", dry_run=True)).exit_code == Exit.OK
    with pytest.raises(NoSupervisorError):
        await desk.link.status()


async def test_restart_where_nothing_runs_says_what_to_do(desks: Callable[..., Desk]) -> None:
    refused = await desks().do("restart")
    assert refused.exit_code == Exit.GATEWAY
    assert "runbook start" in refused.message


async def test_a_start_right_after_a_stop_gets_a_supervisor_of_its_own(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    first = (await desk.status())["pid"]
    assert (await desk.do("stop")).exit_code == Exit.OK
    assert (await desk.do("start")).exit_code == Exit.OK
    assert (await desk.status())["pid"] != first


async def test_a_restart_with_broken_settings_is_11_and_leaves_the_gateway_alone(desks: Callable[..., Desk]) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    gateway = await desk.pid("gateway")
    desk.config.write_text(desk.config.read_text() + "\n[publish]\ncodec = 'morse'\n")
    result = await desk.do("restart")
    assert result.exit_code == Exit.ENVIRONMENT
    assert "codec" in result.message
    assert await desk.pid("gateway") == gateway
    assert (await desk.process("gateway"))["state"] == "running"


async def test_a_gateway_whose_settings_broke_meanwhile_is_degraded_and_not_tried_again(
    desks: Callable[..., Desk],
) -> None:
    desk = desks()
    assert (await desk.do("start")).exit_code == Exit.OK
    desk.config.write_text(desk.config.read_text().replace("rate = 200", "rate = 200\nwombats = 3"))
    os.kill(await desk.pid("gateway"), signal.SIGKILL)

    async def degraded() -> bool:
        return (await desk.process("gateway"))["state"] == "degraded"

    await until(degraded, "the gateway is not degraded")
    row = await desk.process("gateway")
    assert "wombats" in row["reason"]
    assert row["restarts"] == 1
    assert (await desk.status())["state"] == "degraded"
    assert any("DEGRADED" in line["text"] and line["level"] == "critical" for line in desk.log())
    desk.config.write_text(desk.config.read_text().replace("wombats = 3", ""))
    assert (await desk.do("start")).exit_code == Exit.OK


async def test_a_supervisor_in_the_middle_of_a_start_obeys_sigterm_and_leaves_nothing(
    desks: Callable[..., Desk],
) -> None:
    desk = desks(options="login_ms = 600000")
    process = await foreground(desk)
    await until(lambda: len(processes_of(desk.directory)) >= 3, "no gateway")
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), DEADLINE_S)
    await desk.gone()


async def test_a_foreground_start_that_fails_ends_with_its_exit_code(desks: Callable[..., Desk]) -> None:
    desk = desks(options="wombats = 3")
    process = await foreground(desk)
    out, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == Exit.ENVIRONMENT
    assert b"wombats" in out
    await desk.gone()
