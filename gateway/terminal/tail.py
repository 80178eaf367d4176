"""``gateway tail 'SHFE.rb*'``: ticks as they arrive, as a live table, as lines, or as JSON lines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.client import Client, Loss, TickStream, connect
from gateway.clock import Clock, SystemClock
from gateway.errors import FeedgateError
from gateway.model import Tick
from gateway.subjects import subscription_subject


class PatternError(FeedgateError):
    """A pattern on the command line is none."""

    code = "usage"
    exit_code = 64


_FRESH_MS = 10_000
_REDRAW_SECONDS = 0.25
_FRAME_ROWS = 6
"""Rows of the terminal that the table's frame and caption need."""


def run_tail(url: str, patterns: Sequence[str], **options: Any) -> int:
    """:func:`tail` for a command line, with a loop of its own. Ctrl-C is the usual end: 0."""
    with suppress(KeyboardInterrupt):
        return asyncio.run(tail(url, patterns, **options))
    return 0


async def tail(
    url: str | Sequence[str],
    patterns: Sequence[str],
    *,
    plain: bool,
    count: int | None,
    as_json: bool,
    out: TextIO,
    err: TextIO,
    name: str = "feedgate",
    **auth: Any,
) -> int:
    """Show ticks until ``count`` of them are shown, the reader of ``out`` goes away, or the task is cancelled.

    The last known ticks come first when gateway ``name`` answers. ``auth`` as for :func:`gateway.client.connect`.
    Returns the exit code. Raises BusError and PatternError, the latter before it connects.
    """
    for pattern in patterns:
        try:
            subscription_subject(pattern)
        except ValueError as error:
            raise PatternError(str(error), pattern=pattern) from None
    async with connect(url, name=name, **auth) as client:
        return await show(client, patterns, plain=plain, count=count, as_json=as_json, out=out, err=err)


async def show(
    client: Client,
    patterns: Sequence[str],
    *,
    plain: bool,
    count: int | None,
    as_json: bool,
    out: TextIO,
    err: TextIO,
    clock: Clock | None = None,
) -> int:
    """:func:`tail` over a client that is there already. Losses go to ``err``, one line each."""

    def told(loss: Loss) -> None:
        print(loss_line(loss), file=err, flush=True)

    lines = plain or as_json or not out.isatty()
    on_screen = not lines and err.isatty()  # a table on the same terminal counts losses in its caption instead
    stream = client.ticks(*patterns, snapshot="optional", on_loss=None if on_screen else told)
    try:
        async with stream:
            if lines:
                await _print(stream, count, as_json=as_json, out=out, clock=clock or SystemClock())
            else:
                await _draw(stream, count, out, clock or SystemClock())
    except BrokenPipeError:
        discard(out)
    return 0


def tick_line(tick: Tick, now_ns: int) -> str:
    """One tick in columns: time, instrument, last, volume, bid/ask, line, seq, age."""
    time, *cells = _cells(tick, now_ns)
    instrument, last, volume, quote, line, seq, age = cells
    return f"{time} {instrument:<16} {last:>10} {volume:>10} {quote:>19} {line:<12} {seq:>8} {age:>9}"


def tick_json(tick: Tick, now_ns: int) -> str:
    """One tick as a JSON object: the fields of Tick, ``instrument`` and ``latency_ms``."""
    row = {"instrument": str(tick.instrument)} | msgspec.structs.asdict(tick)
    row["latency_ms"] = round((now_ns - tick.recv_ns) / 1e6, 3)
    return msgspec.json.encode(row).decode()


def loss_line(loss: Loss) -> str:
    """One loss in words."""
    return f"lost {loss.ticks} of {loss.instrument}: seq {loss.first_seq} to {loss.last_seq}"


def table_of(ticks: Sequence[Tick], stream: TickStream, now_ns: int) -> Table:
    """The live table: one row per instrument."""
    table = Table(
        caption=Text(_caption(stream)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("time", no_wrap=True)
    table.add_column("instrument", no_wrap=True, style="bold")
    for title in ("last", "volume", "bid/ask"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("line", no_wrap=True)
    for title in ("seq", "latency"):
        table.add_column(title, justify="right", no_wrap=True)
    for tick in ticks:
        table.add_row(*map(Text, _cells(tick, now_ns)))  # Text: a name in brackets is no markup
    return table


async def _print(stream: TickStream, count: int | None, *, as_json: bool, out: TextIO, clock: Clock) -> None:
    write = tick_json if as_json else tick_line
    shown = 0
    async for ticks in stream.chunks():
        if count is not None:
            del ticks[count - shown :]
        now = clock.wall_ns()
        out.writelines(f"{write(tick, now)}\n" for tick in ticks)
        out.flush()
        shown += len(ticks)
        if shown == count:
            return


async def _draw(stream: TickStream, count: int | None, out: TextIO, clock: Clock) -> None:
    console = Console(file=out)
    latest: dict[tuple[str, str], Tick] = {}
    shown, drawn = 0, 0.0
    with Live(console=console, auto_refresh=False) as live:
        async for ticks in stream.chunks():
            if count is not None:
                del ticks[count - shown :]
            for tick in ticks:  # the ones seen last are kept at the end
                latest.pop((tick.exchange, tick.code), None)
                latest[tick.exchange, tick.code] = tick
            shown += len(ticks)
            if shown == count or clock.monotonic() - drawn >= _REDRAW_SECONDS:
                drawn = clock.monotonic()
                rows = list(latest.values())[-max(1, console.height - _FRAME_ROWS) :]
                rows.sort(key=lambda tick: (tick.exchange, tick.code))
                live.update(table_of(rows, stream, clock.wall_ns()), refresh=True)
            if shown == count:
                return


def _caption(stream: TickStream) -> str:
    parts = [f"{stream.yielded:,} ticks", f"{stream.lost:,} lost"]
    parts += [f"{stream.rejected:,} rejected"] if stream.rejected else []
    parts += [f"{stream.restarts} gateway restarts"] if stream.restarts else []
    parts += [loss_line(stream.losses[-1])] if stream.losses else []
    return " · ".join(parts)


def _cells(tick: Tick, now_ns: int) -> tuple[str, ...]:
    return (
        f"{tick.exchange_time:%H:%M:%S.%f}"[:-3],
        str(tick.instrument),
        _price(tick.last),
        f"{tick.volume:,}",
        f"{_price(tick.bid)}/{_price(tick.ask)}",
        tick.line,
        str(tick.seq),
        _age((now_ns - tick.recv_ns) / 1e6),
    )


def _price(price: float | None) -> str:
    return "-" if price is None else f"{price:.10g}"


def _age(ms: float) -> str:
    """Latency of a live tick; a snapshot of a quiet contract is old, and milliseconds would say nothing."""
    if ms < _FRESH_MS:
        return f"{ms:.1f} ms"
    seconds = ms / 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def discard(out: TextIO) -> None:
    """Point a broken standard output at nothing, or the interpreter complains when it flushes it at exit."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, out.fileno())
        os.close(nothing)
