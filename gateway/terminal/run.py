"""``gateway run`` and ``gateway demo``: a gateway in the foreground, watched by a consumer of its own stream."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from gateway import heap
from gateway.app import Gateway
from gateway.clock import Clock, SystemClock
from gateway.codec import decode_any
from gateway.errors import FeedgateError, SettingsError
from gateway.settings import AccountSettings, BusSettings, FeedSettings, MetricsSettings, Settings, load_settings
from gateway.terminal.consumer import Consumer, consuming
from gateway.terminal.demo import DemoFacts, TopContract, view
from gateway.terminal.foreground import ending, screen, stop_on_signals, unless_stopped
from gateway.terminal.logs.program import ProgramLogs
from gateway.terminal.market_check import SETTLE_NS, MarketCheck
from gateway.terminal.summary import DemoSummary, summary_json, summary_text

_log = logging.getLogger(__name__)

_REDRAW_S = 0.5
_TOP = 8
_GREETING = 3
"""Rows of the screen that the view leaves to what stands above it."""
_DEMO_PAUSE_S = 0.1
"""Recordings begin with hours of calm; a demo does not wait for them."""
_CARRIED_S = 1.0
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


Beside = Callable[[Gateway], AbstractAsyncContextManager[str]]
"""Something that runs beside a gateway in the foreground, and a line about it for the greeting."""


async def demo(
    settings: Settings,
    *,
    seconds: float | None,
    kill_after: float | None,
    as_json: bool,
    beside: Beside | None = None,
    title: str = "Feedgate demo",
) -> int:
    """Run until Ctrl-C or for so many seconds; then print the summary.

    ``kill_after``: so many seconds after the start, but not before all lines carry all for a second, the active line's
    process gets a SIGKILL, to show what then happens.
    Returns 0 when the books balance and nothing of the synthetic market is missing or doubled, 2 otherwise.
    """
    feeds = list(settings.feeds.values())
    alone = len(feeds) == 1 and feeds[0].kind == "sim"
    check = await asyncio.to_thread(MarketCheck.of, feeds[0].options) if alone else None
    play = _Screenplay(
        title=title,
        seconds=seconds,
        kill_after=kill_after,
        watched=sys.stdout.isatty() and not as_json,
        consumed=True,
        as_json=as_json,
        check=check,
        beside=beside,
    )
    return await _watch(settings, play)


async def run(
    config: Path | None, env_files: Sequence[Path], *, view: bool | None, as_json: bool, logs: ProgramLogs | None = None
) -> int:
    """Run with the operator's settings until SIGINT or SIGTERM. ``logs`` are set up as the settings say."""
    settings = load_settings(config, env_files)
    if logs is not None:
        logs.settle(settings)
    records = logs is not None and logs.json
    watched = (sys.stdout.isatty() if view is None else view) and not records
    if not settings.feeds:
        raise SettingsError(
            ["no feed is configured; give --env-file with CTP_PRIMARY_* (.env.example) or --config with [feeds.NAME]"]
        )
    watched = watched and not as_json
    play = _Screenplay(
        title="Feedgate", seconds=None, watched=watched, consumed=watched, as_json=as_json, records=records
    )
    return await _watch(settings, play)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Screenplay:
    """What a command shows."""

    title: str
    seconds: float | None
    kill_after: float | None = None
    """Seconds after which the active line's process is killed, or later: a second after all lines subscribed."""
    watched: bool
    """Draw the live view."""
    consumed: bool
    """Read the stream back as a consumer does. It costs the core's process as much as publishing."""
    as_json: bool
    records: bool = False
    """Say everything as a record of the log: stdout is for these alone."""
    check: MarketCheck | None = None
    beside: Beside | None = None


async def _watch(settings: Settings, play: _Screenplay) -> int:
    stop = stop_on_signals()
    clock = SystemClock()
    console = Console()
    async with AsyncExitStack() as stack:
        gw = Gateway(settings)
        if not await unless_stopped(stop, stack.enter_async_context(gw)):
            return _INTERRUPTED
        consumer = None
        if play.consumed:
            consumer = await stack.enter_async_context(consuming(gw, settings, clock, play.check))
        beside = await stack.enter_async_context(play.beside(gw)) if play.beside is not None else ""
        heap.settle()
        begun = clock.monotonic()
        if not play.as_json:
            for text in filter(None, (*_greeting(gw, play.title), beside)):
                _say(console, text, play)
        if play.kill_after is not None:
            shown = None if play.watched or play.as_json else console
            killer = asyncio.create_task(_kill_active(gw, play.kill_after, consumer, clock, shown), name="killer")
            stack.callback(killer.cancel)
        end = asyncio.ensure_future(ending(gw, stop, play.seconds))
        with screen(console, on=play.watched) as live:
            while not end.done():
                if live is not None:
                    facts = _facts(gw, consumer, clock.monotonic() - begun, play.title)
                    live.update(view(facts, console.height - _GREETING), refresh=True)
                await asyncio.wait({end}, timeout=_REDRAW_S if live is not None else None)
        elapsed = clock.monotonic() - begun
        due_ns = clock.wall_ns() - SETTLE_NS
        summary = await _sum_up(gw, consumer, elapsed, due_ns)
    await end
    if play.as_json:
        sys.stdout.write(summary_json(summary) + "\n")
    else:
        _say(console, summary_text(summary), play)
    return 0 if summary.whole else FeedgateError.exit_code


async def _sum_up(gw: Gateway, consumer: Consumer | None, elapsed: float, due_ns: int) -> DemoSummary:
    """Stop the lines, let the consumer read the rest, and count. ``due_ns``: what was due before should be here."""
    rate = gw.balance().published / elapsed if elapsed else 0.0
    running = gw.lines()
    if consumer is not None:
        await consumer.events.aclose()  # that lines stop now is no news
    await gw.stop_lines()
    if consumer is not None:
        await consumer.catch_up(gw)
    # what each line was doing, with what it had delivered in the end
    lines = [
        msgspec.structs.replace(before, ticks=after.ticks, published=after.published)
        for before, after in zip(running, gw.lines(), strict=True)
    ]
    p50_ms, p99_ms = _latency(gw, consumer)
    balance = gw.balance()
    return DemoSummary(
        ticks_in=balance.received,
        out=balance.published,
        dropped={stop_: dict(reasons) for stop_, reasons in balance.dropped.items()},
        lost=consumer.stream.lost if consumer is not None else None,
        missing=consumer.missing(due_ns) if consumer is not None else None,
        doubled=consumer.doubled if consumer is not None else None,
        rate=round(rate, 1),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        switches=list(consumer.log.switches) if consumer is not None else None,
        lines=lines,
    )


def _say(console: Console, text: str, play: _Screenplay) -> None:
    if play.records:
        _log.info("%s", text)
    else:
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _greeting(gw: Gateway, title: str) -> list[str]:
    metrics = f"   http://127.0.0.1:{gw.metrics_port}/metrics" if gw.metrics_port else ""
    lines = [f"{title}: {gw.url or 'bus in memory'}{metrics}"]
    return lines if gw.url is None else [*lines, f"in another terminal: gateway tail 'SHFE.*' --url {gw.url}"]


async def _kill_active(
    gw: Gateway, after_s: float, consumer: Consumer | None, clock: Clock, console: Console | None
) -> None:
    """Once, and not before every line has carried all for a second: a backup that just begins cannot take over all."""
    begun = clock.monotonic()
    await gw.settled()
    await asyncio.sleep(max(after_s - (clock.monotonic() - begun), _CARRIED_S))
    for line in gw.lines():
        pid = gw.line_pid(line.line)
        if line.role != "active" or pid is None:
            continue
        os.kill(pid, signal.SIGKILL)
        told = f"SIGKILL to {line.line} (process {pid})"
        if consumer is not None:
            consumer.log.note(clock.wall_ns(), told, "bold red")
        if console is not None:
            console.print(told, style="bold red", highlight=False)


def _latency(gw: Gateway, consumer: Consumer | None) -> tuple[float | None, float | None]:
    """p50 and p99 in milliseconds: to the decoded tick when somebody consumes, to the post otherwise."""
    histogram = consumer.latency if consumer is not None else gw.view.latency
    if not histogram.count:
        return None, None
    return histogram.percentile(50) / 1e6, histogram.percentile(99) / 1e6


def _facts(gw: Gateway, consumer: Consumer | None, elapsed: float, title: str) -> DemoFacts:
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
        lost=consumer.stream.lost if consumer is not None else None,
        missing=consumer.missing() if consumer is not None else None,
        doubled=consumer.doubled if consumer is not None else None,
        switches=len(consumer.log.switches) if consumer is not None else 0,
        events=tuple(consumer.log.entries) if consumer is not None else (),
    )


def _last(payload: bytes) -> float | None:
    return decode_any(payload).last
