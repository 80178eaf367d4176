"""``gateway run`` and ``gateway demo``: a gateway in the foreground, watched by a consumer of its own stream."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler

from gateway import heap
from gateway.app import Gateway
from gateway.bus.nats import NatsBus
from gateway.bus.opening import nats_options
from gateway.client import Client, TickStream
from gateway.clock import Clock, SystemClock
from gateway.codec import decode_any
from gateway.errors import FeedgateError, SettingsError
from gateway.latency import LatencyHistogram
from gateway.settings import AccountSettings, BusSettings, FeedSettings, MetricsSettings, Settings, load_settings
from gateway.terminal.demo import DemoFacts, DemoSummary, TopContract, summary_json, summary_text, view

_REDRAW_S = 0.5
_TOP = 8
_DEMO_PAUSE_S = 0.1
"""Recordings begin with hours of calm; a demo does not wait for them."""
_INTERRUPTED = 130


def demo_settings(*, rate: float, contracts: int, replay: Path | None, speed: float) -> Settings:
    """Two lines of one market, each in a process of its own, on a bundled server and free ports.

    As fast as possible (``rate`` 0) it is one line: then each would make ticks of its own, and have no peer.
    """
    accounts = {"primary": AccountSettings()}
    if rate or replay is not None:
        accounts["backup"] = AccountSettings()
    if replay is None:
        options: dict[str, Any] = {"rate": rate, "contracts": contracts}
        feed = FeedSettings(kind="sim", host="child", accounts=accounts, options=options)
    else:
        options = {"path": str(replay), "speed": speed, "loop": True, "max_pause_s": _DEMO_PAUSE_S}
        feed = FeedSettings(kind="replay", host="child", accounts=accounts, options=options)
    name = feed.kind or "sim"
    return Settings(feeds={name: feed}, bus=BusSettings(urls=[]), metrics=MetricsSettings(port=0))


async def demo(settings: Settings, *, seconds: float | None, kill_after: float | None, as_json: bool) -> int:
    """Run until Ctrl-C or for so many seconds; then print the summary. Returns 0 when its books balance.

    ``kill_after``: so many seconds after the start the active line's process gets a SIGKILL, to show what then happens.
    """
    watched = sys.stdout.isatty() and not as_json
    play = _Screenplay(
        title="Feedgate demo",
        seconds=seconds,
        kill_after=kill_after,
        watched=watched,
        consumed=True,
        as_json=as_json,
    )
    return await _watch(settings, play)


async def run(config: Path | None, env_files: Sequence[Path], *, view: bool | None, as_json: bool) -> int:
    """Run with the operator's settings until SIGINT or SIGTERM."""
    settings = load_settings(config, env_files)
    watched = sys.stdout.isatty() if view is None else view
    if not settings.feeds:
        raise SettingsError(
            ["no feed is configured; give --env-file with CTP_PRIMARY_* (.env.example) or --config with [feeds.NAME]"]
        )
    watched = watched and not as_json
    play = _Screenplay(title="Feedgate", seconds=None, watched=watched, consumed=watched, as_json=as_json)
    return await _watch(settings, play)


@dataclass(slots=True)
class _Consumer:
    """What a consumer of the stream sees: latency to the decoded tick, and loss."""

    stream: TickStream
    clock: Clock
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    ticks: int = 0

    async def run(self) -> None:
        async for chunk in self.stream.chunks():
            now = self.clock.wall_ns()
            self.ticks += len(chunk)
            for tick in chunk:
                self.latency.add(now - tick.recv_ns)


@asynccontextmanager
async def _consuming(gw: Gateway, settings: Settings, clock: Clock) -> AsyncIterator[_Consumer]:
    """A consumer over the same bus as everybody else's, on a connection of its own."""
    async with _client(gw, settings) as client, client.ticks("*", snapshot=False) as stream:
        consumer = _Consumer(stream, clock)
        task = asyncio.create_task(consumer.run(), name="consumer")
        try:
            yield consumer
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def _client(gw: Gateway, settings: Settings) -> AsyncIterator[Client]:
    if gw.url is None:
        yield Client(gw.bus, name=settings.name)
        return
    bus = NatsBus(nats_options(settings.bus, tuple(settings.bus.urls) or (gw.url,), settings.name))
    await bus.start()
    try:
        yield Client(bus, name=settings.name)
    finally:
        await bus.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Screenplay:
    """What a command shows."""

    title: str
    seconds: float | None
    kill_after: float | None = None
    """Seconds after which the active line's process is killed."""
    watched: bool
    """Draw the live view."""
    consumed: bool
    """Read the stream back as a consumer does. It costs the core's process as much as publishing."""
    as_json: bool


async def _watch(settings: Settings, play: _Screenplay) -> int:
    stop = _stop_on_signals()
    clock = SystemClock()
    console = Console()
    async with AsyncExitStack() as stack:
        gw = Gateway(settings)
        if not await _unless_stopped(stop, stack.enter_async_context(gw)):
            return _INTERRUPTED
        consumer = await stack.enter_async_context(_consuming(gw, settings, clock)) if play.consumed else None
        heap.settle()
        begun = clock.monotonic()
        if not play.as_json:
            _greet(console, gw, play.title)
        if play.kill_after is not None:
            killer = asyncio.get_running_loop().call_later(play.kill_after, _kill_active, gw, console, play.as_json)
            stack.callback(killer.cancel)
        ending = asyncio.ensure_future(_ending(gw, stop, play.seconds))
        with _screen(console, on=play.watched) as live:
            while not ending.done():
                if live is not None:
                    live.update(view(_facts(gw, consumer, clock.monotonic() - begun, play.title)), refresh=True)
                await asyncio.wait({ending}, timeout=_REDRAW_S if live is not None else None)
        elapsed = clock.monotonic() - begun
        rate = gw.balance().published / elapsed if elapsed else 0.0
        running = gw.lines()
        await gw.stop_lines()
        if consumer is not None:
            await _catch_up(gw, consumer)
        # what each line was doing, with what it had delivered in the end
        lines = [
            msgspec.structs.replace(before, ticks=after.ticks, published=after.published)
            for before, after in zip(running, gw.lines(), strict=True)
        ]
        latency = _latency(gw, consumer)
    await ending
    balance = gw.balance()
    summary = DemoSummary(
        ticks_in=balance.received,
        out=balance.published,
        dropped={stop_: dict(reasons) for stop_, reasons in balance.dropped.items()},
        lost=consumer.stream.lost if consumer is not None else None,
        rate=round(rate, 1),
        p50_ms=latency[0],
        p99_ms=latency[1],
        lines=lines,
    )
    if play.as_json:
        sys.stdout.write(summary_json(summary) + "\n")
    else:
        console.print(summary_text(summary), highlight=False, markup=False, soft_wrap=True)
    return 0 if summary.balanced else FeedgateError.exit_code


def _greet(console: Console, gw: Gateway, title: str) -> None:
    metrics = f"   metrics http://127.0.0.1:{gw.metrics_port}/metrics" if gw.metrics_port else ""
    console.print(f"{title}: bus {gw.url or 'in memory'}{metrics}", highlight=False, soft_wrap=True)
    if gw.url is not None:
        watch = f"watch it from another terminal: gateway tail 'SHFE.*' --url {gw.url}"
        console.print(watch, highlight=False, soft_wrap=True)


def _kill_active(gw: Gateway, console: Console, silent: bool) -> None:
    for line in gw.lines():
        pid = gw.line_pid(line.line)
        if line.role == "active" and pid is not None:
            os.kill(pid, signal.SIGKILL)
            if not silent:
                console.print(f"SIGKILL to {line.line} (process {pid})", style="bold red", highlight=False)


async def _unless_stopped(stop: asyncio.Event, work: Awaitable[object]) -> bool:
    """Whether ``work`` got done before somebody asked to stop; otherwise it is cancelled."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return False


async def _ending(gw: Gateway, stop: asyncio.Event, seconds: float | None) -> None:
    """Return at a signal or when the time is up; raise when the gateway breaks."""
    waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(gw.wait())]
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for one in waits:
            one.cancel()
        await asyncio.wait(waits)


async def _catch_up(gw: Gateway, consumer: _Consumer) -> None:
    """Let the consumer read what is still on its way, so that its loss is a loss and not a haste."""
    with suppress(TimeoutError):
        async with asyncio.timeout(2.0):
            while consumer.ticks + consumer.stream.lost < gw.balance().published:
                before = consumer.ticks
                await asyncio.sleep(0.05)
                if consumer.ticks == before:
                    return


def _latency(gw: Gateway, consumer: _Consumer | None) -> tuple[float | None, float | None]:
    """p50 and p99 in milliseconds: to the decoded tick when somebody consumes, to the post otherwise."""
    histogram = consumer.latency if consumer is not None else gw.view.latency
    if not histogram.count:
        return None, None
    return histogram.percentile(50) / 1e6, histogram.percentile(99) / 1e6


def _facts(gw: Gateway, consumer: _Consumer | None, elapsed: float, title: str) -> DemoFacts:
    balance = gw.balance()
    lines = gw.lines()
    p50_ms, p99_ms = _latency(gw, consumer)
    return DemoFacts(
        title=title,
        elapsed=elapsed,
        rate_in=gw.view.received_rate(),
        rate_out=gw.view.published_rate(),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        lines=lines,
        top=[
            TopContract(instrument=name, ticks=ticks, last=_last(payload)) for name, ticks, payload in gw.view.top(_TOP)
        ],
        ticks_in=balance.received,
        ticks_out=balance.published,
        in_flight=balance.in_flight,
        dropped=balance.dropped,
    )


def _last(payload: bytes) -> float | None:
    return decode_any(payload).last


def _stop_on_signals() -> asyncio.Event:
    """A command owns its loop, so it may have signal handlers; the library has none."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@contextmanager
def _screen(console: Console, *, on: bool) -> Iterator[Live | None]:
    """The live view; log lines appear above it instead of through it."""
    if not on:
        yield None
        return
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [RichHandler(console=console, show_path=False)]
    try:
        with Live(console=console, auto_refresh=False) as live:
            yield live
    finally:
        root.handlers[:] = before
