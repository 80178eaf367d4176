"""What a command in the foreground needs: signals, an end, and a screen."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler
from rich.text import Text

from gateway.app import Gateway
from gateway.model import SHANGHAI
from gateway.terminal.logs.handlers import FILE


def stop_on_signals() -> asyncio.Event:
    """Set at SIGINT or SIGTERM. A command owns its loop, so it may have signal handlers; the library has none."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def unless_stopped(stop: asyncio.Event, work: Awaitable[object]) -> bool:
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


async def ending(gw: Gateway, stop: asyncio.Event, seconds: float | None) -> None:
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


@contextmanager
def screen(console: Console, *, on: bool) -> Iterator[Live | None]:
    """The live view; log lines appear above it instead of through it."""
    if not on:
        yield None
        return
    root = logging.getLogger()
    before = root.handlers[:]
    kept = [handler for handler in before if handler.name == FILE]
    root.handlers[:] = [RichHandler(console=console, show_path=False, log_time_format=_shanghai), *kept]
    try:
        with Live(console=console, auto_refresh=False) as live:
            yield live
    finally:
        root.handlers[:] = before


def _shanghai(at: datetime) -> Text:
    return Text(f"{at.astimezone(SHANGHAI):%H:%M:%S}")
