# ruff: noqa: INP001, T201 - a program by itself, and it prints
"""Reads ticks of Feedgate without holes and repeats, and prints one line a tick.

``python consumer.py nats://127.0.0.1:4222 'SHFE.rb*'``: the server, a shell glob over EXCHANGE.CODE (everything) and
the gateway's name (feedgate). Ctrl-C ends it. Standard output, "-" for what the exchange did not send::

    epoch seq EXCHANGE.CODE trading_day exchange_ns last volume bid ask line

Standard error: what was lost, and totals at the end. ``consumer.c`` beside this file prints the same.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

from gateway.client import Loss, connect
from gateway.model import Tick


def shown(price: float | None) -> str:
    """A price as C's ``%.10g`` writes it."""
    return "-" if price is None else f"{price:.10g}"


def line_of(tick: Tick) -> str:
    """What is printed of a tick."""
    bid, ask = (prices[0] if prices else None for prices in (tick.bid_prices, tick.ask_prices))
    head = f"{tick.epoch} {tick.seq} {tick.instrument} {tick.trading_day} {tick.exchange_ns}"
    return f"{head} {shown(tick.last)} {tick.volume} {shown(bid)} {shown(ask)} {tick.line}"


def report(loss: Loss) -> None:
    """What was published and did not arrive."""
    print(f"lost {loss.instrument}: {loss.first_seq} to {loss.last_seq}", file=sys.stderr)


async def main(url: str, pattern: str = "*", gateway: str = "feedgate") -> None:
    """Print until Ctrl-C."""
    async with connect(url, name=gateway) as client, client.ticks(pattern, on_loss=report) as stream:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        reading = asyncio.create_task(read(stream.chunks()))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await stream.aclose()  # the reader ends with its stream
        await reading
        print(
            f"taken {stream.yielded}, repeats {stream.repeats}, lost {stream.lost}, stale {stream.stale}, "
            f"rejected {stream.rejected}, restarts {stream.restarts}, interruptions {stream.interruptions}",
            file=sys.stderr,
        )


async def read(chunks: AsyncIterator[list[Tick]]) -> None:
    """Print what comes."""
    async for ticks in chunks:
        print(*map(line_of, ticks), sep="\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
