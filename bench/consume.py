"""Consumers over NATS, in a process of their own: ``python -m bench.consume KIND [EVERY] LOAD``.

The gateway's ticks are read with the gateway's own client, losses tracked, as its users read them; the naive design's
with nats-py, as theirs would. ``KIND``: ``per_tick``, ``batch``, ``hot_pair`` or ``naive``; ``EVERY`` thins the
latencies that are kept.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import nats
from nats.aio.msg import Msg

from bench.checking import PairCheck
from bench.child import READY, load_from_arguments, say, until_stopped
from bench.control import Control
from bench.load import FEED, Load
from bench.tally import Tally
from gateway.client import BatchStream, TickStream, connect
from gateway.clock import SystemClock
from gateway.errors import ControlError


@asynccontextmanager
async def gateway_client(tally: Tally, load: Load, check: PairCheck | None) -> AsyncIterator[None]:
    """Count what a stream of ``gateway.client`` yields; ``check`` judges it too."""

    async def read(stream: TickStream | BatchStream) -> None:
        count = tally.tick
        async for ticks in stream.chunks():
            for tick in ticks:
                count(tick.code, tick.volume, tick.turnover, tick.pre_open_interest)
            if check is not None:
                check.ticks(ticks)

    async with connect(load.nats) as client:
        stream = client.batches(FEED) if load.form == "batch" else client.ticks(snapshot=False)
        await stream.open()
        with suppress(ControlError):
            await client.status()  # asked behind the subscription: any answer, even "nobody", means that it holds
        task = asyncio.create_task(read(stream))
        try:
            yield
            if check is not None:
                check.stream_said(
                    lost=stream.lost, repeats=stream.repeats, stale=stream.stale, rejected=stream.rejected
                )
        finally:
            await stream.aclose()
            await task


@asynccontextmanager
async def nats_client(tally: Tally, load: Load, _check: PairCheck | None) -> AsyncIterator[None]:
    """Count JSON objects with the vendor's names."""
    decode = msgspec.json.decode

    async def received(message: Msg) -> None:
        row = decode(message.data)
        tally.tick(row["InstrumentID"], row["Volume"], row["Turnover"], row["PreOpenInterest"])

    client = await nats.connect(load.nats)
    try:
        await client.subscribe("naive.tick.>", cb=received, pending_msgs_limit=0, pending_bytes_limit=0)
        await client.flush()
        yield
    finally:
        await client.close()


async def consume(kind: str, load: Load, *, every: int = 1) -> None:
    """Subscribe, say READY, count until the harness stops us, print the outcome."""
    control = Control(load.control)
    tally = Tally(control, SystemClock().wall_ns, warm=load.warm, every=every)
    reading = nats_client if kind == "naive" else gateway_client
    check = PairCheck(load) if kind == "hot_pair" else None
    async with reading(tally, load, check):
        say(READY)
        await until_stopped(control)
    outcome = tally.outcome(load.goal)
    if check is not None:
        check.close()
        outcome.wrong, outcome.first_wrong = check.wrong, check.first_wrong
        outcome.by_line = dict(check.by_line)
    say(msgspec.json.encode(outcome).decode())
    control.close()


if __name__ == "__main__":
    asyncio.run(consume(sys.argv[1], load_from_arguments(), every=int(sys.argv[2]) if len(sys.argv) > 3 else 1))
