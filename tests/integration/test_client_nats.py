"""The consumer's side against a real nats-server."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from pathlib import Path

import pytest

from gateway.client import connect
from gateway.errors import BusError, ControlError
from gateway.terminal.tail import tail
from gateway.testing.nats import NatsServer
from tests.integration.served import FAST, answered

ROOT = Path(__file__).parents[2]


async def test_thirty_thousand_last_ticks_arrive_in_pages_and_the_stream_goes_on(server, market) -> None:
    names = [f"SHFE.option{number}" for number in range(30_000)]
    for at in range(0, len(names), 1_000):
        market.publish(*names[at : at + 1_000])
    await market.bus.settle()
    async with connect(server.url) as client, client.ticks("SHFE.*") as stream:
        seen = set()
        async for ticks in stream.chunks():
            seen.update(tick.code for tick in ticks)
            if len(seen) == len(names):
                break
        market.publish(names[0])
        tick = await anext(stream)
        assert (str(tick.instrument), tick.seq) == (names[0], 2)
        assert (stream.lost, stream.rejected) == (0, 0)


async def test_a_server_restart_is_survived_and_what_was_missed_is_counted(server, market) -> None:
    async with connect(server.url, **FAST) as client, client.ticks("SHFE.*") as stream:
        market.publish("SHFE.rb2510")
        assert (await anext(stream)).seq == 1
        await server.kill()
        market.skip("SHFE.rb2510", 5)
        await server.start()
        await market.bus.wait_connected()
        await answered(client)
        market.publish("SHFE.rb2510")
        assert (await anext(stream)).seq == 7
        assert (stream.lost, stream.interruptions, stream.restarts) == (5, 1, 0)


async def test_requests_and_refusals_cross_the_wire(server, market) -> None:
    market.list_contracts("SHFE.rb2510", "DCE.m2601")
    async with connect(server.url) as client:
        assert (await client.subscribe("SHFE.*")).accepted_names == ["SHFE.rb2510"]
        assert [str(one.instrument) for one in await client.contracts()] == ["SHFE.rb2510", "DCE.m2601"]
        with pytest.raises(ControlError, match="no line 'x:y' here; the lines are: sim:primary"):
            await client.subscriptions(line="x:y")


async def test_no_gateway_and_no_server_are_told_apart(server) -> None:
    async with connect(server.url, name="other") as client:
        with pytest.raises(ControlError, match="is a gateway named 'other' running"):
            await anext(client.ticks("*"))
    url = server.url
    await server.stop()
    with pytest.raises(BusError, match="cannot be reached"):
        async with connect(url):
            pass


async def test_tail_shows_the_last_ticks_of_a_running_gateway(server, market) -> None:
    market.publish("SHFE.rb2510", "SHFE.rb2510", "DCE.m2601")
    out = io.StringIO()
    code = await tail(server.url, ["SHFE.*"], plain=False, count=1, as_json=True, out=out, err=io.StringIO())
    assert code == 0
    assert json.loads(out.getvalue())["seq"] == 2


TAIL = """
import sys
from gateway.terminal.tail import run_tail
sys.exit(run_tail(sys.argv[1], ["*"], plain=True, count=None, as_json=False, out=sys.stdout, err=sys.stderr))
"""


async def start_tail(server: NatsServer) -> asyncio.subprocess.Process:
    """``gateway tail`` in a process of its own, after its first line."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAIL, server.url, stdout=pipe, stderr=pipe, cwd=ROOT
    )
    async with asyncio.timeout(60):
        assert b"SHFE.rb2510" in await process.stdout.readline()
    return process


async def test_ctrl_c_ends_tail_without_a_traceback(server, market) -> None:
    market.publish("SHFE.rb2510")
    process = await start_tail(server)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_closed_pipe_ends_tail_without_a_traceback(server, market) -> None:
    market.publish("SHFE.rb2510")
    process = await start_tail(server)
    process._transport.get_pipe_transport(1).close()  # what ``| head -1`` does
    ended = asyncio.create_task(process.wait())
    async with asyncio.timeout(60):
        while not ended.done():
            market.publish("SHFE.rb2510")
            await asyncio.wait([ended], timeout=0.05)
    assert (process.returncode, await process.stderr.read()) == (0, b"")
