"""``python -m bench.console``: does a console with 200 listeners slow the gateway down?

Gateway, console and nats-server are processes of their own, the listeners are in this one. Windows without and with
listeners take turns; the ratio is taken between neighbours, and the middle one counts. Exit code 1 below 0.95.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.processes import BenchError, NatsServer
from gateway.client import Client, connect
from gateway.settings.process import process_environment

LEAST_RATIO: Final = 0.95
LISTENERS: Final = 200
START_S: Final = 60.0
SETTLE_S: Final = 2.0
_READ: Final = 1 << 16

SETTINGS: Final = """\
name = "bench"
[feeds.sim]
kind = "sim"
instruments = ["*"]
[feeds.sim.options]
contracts = {contracts}
rate = {rate}
quiet = 0.0
[feeds.sim.accounts.primary]
[bus]
urls = ["{url}"]
[metrics]
enabled = false
[runbook]
state_dir = "{place}/state"
log_dir = "{place}/logs"
"""


@dataclass(frozen=True)
class Window:
    """A stretch of time."""

    published: float
    """Ticks a second."""
    events: int
    """Server-sent events that came to all listeners together."""


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program of ours, ended in order."""
    environ = {
        name: value
        for name, value in process_environment().items()
        if not name.startswith(("FEEDGATE_", "RUNBOOK_", "OPS_", "NATS_", "CTP_"))
    }
    with tempfile.TemporaryFile("w+") as errors:
        started = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=errors, text=True, env=environ
        )
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.communicate()


def console_url(console: subprocess.Popen[str]) -> str:
    """What ``runbook serve`` prints. Raises BenchError."""
    assert console.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in console.stdout:
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise BenchError("runbook serve ended before it listened")


async def published(client: Client) -> int:
    """Ticks since the gateway's start."""
    return (await client.figures()).published


async def streaming(client: Client) -> None:
    """Wait until the gateway publishes."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                if await published(client):
                    return
            except Exception:  # noqa: BLE001, S110 - it is still starting
                pass
            await asyncio.sleep(0.2)


class Listeners:
    """Event streams that are read and counted."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.events = 0

    @asynccontextmanager
    async def listening(self, count: int) -> AsyncIterator[None]:
        """While the block runs; it begins when each has had its first event."""
        tasks: list[asyncio.Task[None]] = []
        first = [asyncio.Event() for _ in range(count)]
        try:
            tasks += [asyncio.create_task(self._listen(one)) for one in first]
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(one.wait() for one in first))
            yield
            if any(task.done() for task in tasks):
                raise BenchError("a listener was dropped")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, first: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        try:
            writer.write(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            while data := await reader.read(_READ):
                if found := data.count(b"event: "):
                    self.events += found
                    first.set()
        finally:
            writer.close()


async def window(client: Client, listeners: Listeners, seconds: float) -> Window:
    """Measure."""
    await asyncio.sleep(SETTLE_S)
    before, events, began = await published(client), listeners.events, time.monotonic()
    await asyncio.sleep(seconds)
    return Window((await published(client) - before) / (time.monotonic() - began), listeners.events - events)


async def measure(rate: float, contracts: int, rounds: int, seconds: float) -> list[tuple[Window, Window]]:
    """Pairs of windows: without, with."""
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="feedgate-bench-")))
        server = stack.enter_context(NatsServer(place))
        config = place / "bench.toml"
        config.write_text(SETTINGS.format(rate=rate, contracts=contracts, url=server.url, place=place))
        stack.enter_context(process("gateway", "run", "--config", str(config)))
        client = await stack.enter_async_context(connect(server.url, name="bench"))
        await streaming(client)
        console = stack.enter_context(
            process("runbook", "serve", "--settings", str(config), "--port", "0", "--no-jobs")
        )
        listeners = Listeners(await asyncio.to_thread(console_url, console))
        found = []
        for _ in range(rounds):
            alone = await window(client, listeners, seconds)
            async with listeners.listening(LISTENERS):
                found.append((alone, await window(client, listeners, seconds)))
        return found


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=__doc__)
    parser.add_argument("--rate", type=float, default=20_000.0, help="ticks a second of the market")
    parser.add_argument("--contracts", type=int, default=2_500, help="contracts of the market")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of windows")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    asked = parser.parse_args()
    pairs = asyncio.run(measure(asked.rate, asked.contracts, asked.rounds, asked.seconds))
    for alone, beside in pairs:
        share = beside.published / alone.published
        print(
            f"published {alone.published:10,.0f} ticks/s alone, {beside.published:10,.0f} with {LISTENERS} listeners "
            f"({beside.events:,} events), ratio {share:.3f}"
        )
    ratio = statistics.median(beside.published / alone.published for alone, beside in pairs)
    print(f"ratio {ratio:.3f}, at least {LEAST_RATIO} wanted")
    return 0 if ratio >= LEAST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
