"""What a tick costs its consumer: ``python -m bench.receive [per_tick|batch] [--rounds 3] [--instruments 100]``.

Only the receiving side is measured, and in CPU time, so it can be repeated on a machine that others use too. A plain
socket publishes prepared ticks through a real nats-server, as fast as a window of ticks under way allows; a fresh
process reads them with ``gateway.client``, losses tracked, and tells its own CPU time (user and system) from the first
measured tick to the last. Nothing may be lost.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from bench.child import READY, load_from_arguments, say, stopped, until_stopped
from bench.control import CONSUMED, PHASE, RUN, STOP, Control
from bench.load import EXCHANGE, FEED, Load, code_of
from bench.processes import BenchError, Child, NatsServer, end_in_order
from bench.raw import SAMPLE, connect, expect
from gateway import client
from gateway.codec import CODECS, encode_market
from gateway.errors import ControlError
from gateway.model import Instrument
from gateway.subjects import batch_subject, tick_subject

EPOCH = 1_735_780_200_123
BATCH = 256
_SEQ_AT = struct.Struct(">I")


class Cost(msgspec.Struct):
    """One measurement of one consumer."""

    cpu_us: float
    """A tick, user and system time of the whole process."""
    rate: float
    received: int
    lost: int
    rejected: int


def _rounds_of_ticks(load: Load) -> Iterator[bytes]:
    """Frames of one tick per instrument, or of one batch, with rising ``seq``; patched rather than encoded."""
    origin = CODECS["msgpack"].origin(EPOCH, "bench:primary", "primary")
    ticks = [msgspec.structs.replace(SAMPLE, exchange=EXCHANGE, code=code_of(i)) for i in range(load.instruments)]
    payloads = [origin.payload(0xABCDEF01, 1_735_780_200_123_000_000, encode_market(tick)) for tick in ticks]
    at = payloads[0].index(_SEQ_AT.pack(0xABCDEF01))
    if load.form == "batch":
        subject = batch_subject(FEED)
        frames = []
        for start in range(0, len(payloads), BATCH):
            body = CODECS["msgpack"].batch(payloads[start : start + BATCH])
            frames.append(f"PUB {subject} {len(body)}\r\n".encode() + body + b"\r\n")
    else:
        frames = [
            f"PUB {tick_subject(Instrument(tick.exchange, tick.code))} {len(payload)}\r\n".encode() + payload + b"\r\n"
            for tick, payload in zip(ticks, payloads, strict=True)
        ]
    block = bytearray(b"".join(frames))
    places, here = [], block.find(payloads[0][:at])
    while here >= 0:
        places.append(here + at)
        here = block.find(payloads[0][:at], here + 1)
    seq = 0
    while True:
        seq += 1
        for place in places:
            _SEQ_AT.pack_into(block, place, seq)
        yield bytes(block)


def _publish(load: Load, control: Control) -> None:
    words = control.words
    with connect(load.nats) as link:
        say(READY)
        while words[PHASE] < RUN and not stopped(control):
            time.sleep(0.001)
        offered = 0
        for block in _rounds_of_ticks(load):
            while offered - words[CONSUMED] > load.window:
                if stopped(control):
                    return
                time.sleep(0.0002)
            if offered >= load.goal or stopped(control):
                break
            link.sendall(block)
            offered += load.instruments
        link.sendall(b"PING\r\n")
        expect(link, b"PONG\r\n")
        while not stopped(control):
            time.sleep(0.01)


async def _consume(load: Load, control: Control) -> None:
    words = control.words
    async with client.connect(load.nats) as reader:
        stream = reader.batches(FEED) if load.form == "batch" else reader.ticks(snapshot=False)
        cost = Cost(0.0, 0.0, 0, 0, 0)

        async def read() -> None:
            received, began, cpu = 0, 0.0, 0.0
            async for ticks in stream.chunks():
                received += len(ticks)
                words[CONSUMED] = received
                if not began and received >= load.warm:
                    warm, began, cpu = received, time.monotonic(), time.process_time()
                if received >= load.goal:
                    measured = received - warm
                    cost.cpu_us = (time.process_time() - cpu) / measured * 1e6
                    cost.rate = measured / (time.monotonic() - began)
                    cost.received = received
                    return

        await stream.open()
        with suppress(ControlError):
            await reader.status()
        task = asyncio.create_task(read())
        say(READY)
        await asyncio.wait(
            [task, waiting := asyncio.create_task(until_stopped(control))], return_when="FIRST_COMPLETED"
        )
        waiting.cancel()
        await stream.aclose()
        await task
        cost.lost, cost.rejected = stream.lost, stream.rejected
        say(msgspec.json.encode(cost).decode())


def measure(form: str, *, instruments: int, total: int) -> Cost:
    """One measurement with processes and a server of its own. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="feedgate-bench-") as name, NatsServer(Path(name)) as server:
        path = Path(name) / "control"
        control = Control.create(path)
        total = -(-total // instruments) * instruments
        warm = -(-20_000 // instruments) * instruments
        load = Load(control=str(path), instruments=instruments, warm=warm, total=total, nats=server.url, form=form)
        text = msgspec.json.encode(load).decode()
        children = [Child(role, ["bench.receive", role, text], Path(name), {}) for role in ("consume", "publish")]
        try:
            for child in children:
                child.expect(READY, 20)
            control.words[PHASE] = RUN
            return msgspec.json.decode(children[0].line(120), type=Cost)
        finally:
            control.words[PHASE] = STOP
            for child in children:
                child.close()
            control.close()


def main() -> None:
    """A child of a measurement, or the harness."""
    if len(sys.argv) > 2 and sys.argv[1] in ("consume", "publish"):
        load = load_from_arguments()
        control = Control(load.control)
        if sys.argv[1] == "publish":
            _publish(load, control)
        else:
            asyncio.run(_consume(load, control))
        control.close()
        return
    parser = argparse.ArgumentParser(prog="python -m bench.receive", description=__doc__)
    parser.add_argument("form", nargs="?", choices=["per_tick", "batch"], help="both when left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--total", type=int, default=400_000, help="ticks that are measured in each round")
    given = parser.parse_args()
    end_in_order()
    for form in [given.form] if given.form else ["per_tick", "batch"]:
        costs = []
        for _ in range(given.rounds):
            cost = measure("batch" if form == "batch" else "tick", instruments=given.instruments, total=given.total)
            if cost.lost or cost.rejected or not cost.received:
                raise BenchError(f"{form}: not all ticks arrived: {cost}")
            costs.append(cost)
        each = ", ".join(f"{cost.cpu_us:.2f}" for cost in costs)
        print(
            f"{form:9} {statistics.median(cost.cpu_us for cost in costs):5.2f} µs of CPU a tick ({each}) at"
            f" {statistics.median(cost.rate for cost in costs):,.0f} ticks/s"
        )


if __name__ == "__main__":
    main()
