"""The live view of ``gateway demo`` and ``gateway run``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.model import SHANGHAI, LineState, LineStatus
from gateway.terminal.event_log import Entry
from gateway.terminal.summary import Drops, count, ms, total

_STATES = {
    LineState.STREAMING: "green",
    LineState.LOGGED_IN: "green",
    LineState.LOST: "bold red",
    LineState.REFUSED: "bold red",
    LineState.STOPPED: "red",
}
_TOP = 8
_EVENTS = 6
_FIGURES_HEIGHT = 5
_HEAD = 2
"""Rows of a table before its first: the headers and a rule."""
_ROOMY = 30
"""From this height on a blank row stands before each table."""
_NOTES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TopContract:
    """One of the busiest contracts; ``ticks`` since the start."""

    instrument: str
    ticks: int
    last: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFacts:
    """One moment of a running demo. Rates are ticks a second, latencies are callback to consumer."""

    elapsed: float
    rate_in: float
    rate_out: float
    p50_ms: float | None
    p99_ms: float | None
    lines: Sequence[LineStatus]
    top: Sequence[TopContract]
    ticks_in: int
    ticks_out: int
    in_flight: int
    dropped: Drops
    lost: int | None = None
    missing: int | None = None
    doubled: int | None = None
    """These three as in :class:`gateway.terminal.summary.DemoSummary`, as of now."""
    switches: int = 0
    events: Sequence[Entry] = ()
    """Oldest first."""
    title: str = "Feedgate"


def view(facts: DemoFacts, height: int | None = None) -> RenderableType:
    """The whole view in at most ``height`` rows (None: as many as it likes); 80 columns are enough.

    With two lines 22 rows show everything; with less, the busiest contracts go first, then the older events.
    """
    rest = 1_000 if height is None else height
    air: list[RenderableType] = [Text()] if rest >= _ROOMY else []
    head = _HEAD + len(air)
    lines = lines_table(facts.lines)
    parts: list[RenderableType] = [_figures(facts), *air, lines]
    rest -= _FIGURES_HEIGHT + len(air) + _rows(lines)
    shown = min(_EVENTS, rest - head)
    if shown > 0:
        parts += [*air, _events(facts.events, shown)]
        rest -= head + max(1, min(shown, len(facts.events)))
    below = min(_TOP, rest - head)
    if below > 0:
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(_top(facts.top, below), _drops(facts.dropped, below))
        parts += [*air, grid]
    return Group(*parts)


def lines_table(lines: Sequence[LineStatus]) -> Table:
    """One row per line; below it, why a line is not up, what was restarted, how many subscriptions were refused."""
    table = _table()
    for title in ("line", "account", "role", "state"):
        table.add_column(title, no_wrap=True)
    for title in ("ticks", "first", "subscribed"):
        table.add_column(title, justify="right", no_wrap=True)
    notes: list[str] = []
    for line in lines:
        table.add_row(
            line.line,
            line.account,
            Text(line.role, style="bold" if line.role == "active" else "dim"),
            Text(line.state.value, style=_STATES.get(line.state, "yellow")),
            f"{line.ticks:,}",
            f"{line.published:,}",
            f"{line.confirmed:,}/{line.wanted:,}",
            style="" if line.state.is_up else "red",
        )
        about = []
        if line.reason and not line.state.is_up:
            about.append(line.reason)
        if line.restarts:
            about.append("restarted once" if line.restarts == 1 else f"restarted {line.restarts:,} times")
        if line.failed:
            about.append(f"{line.failed:,} subscriptions refused")
        if about:
            notes.append(f"{line.line}: {'; '.join(about)}")
    if len(notes) > _NOTES:
        notes[_NOTES - 1 :] = [f"and {len(notes) - _NOTES + 1} more lines with something to tell"]
    if notes:
        table.caption = Text("\n".join(notes), style="yellow", no_wrap=True, overflow="ellipsis")
        table.caption_justify = "left"
    return table


def _rows(table: Table) -> int:
    notes = str(table.caption).count("\n") + 1 if table.caption else 0
    return _HEAD + table.row_count + notes


def _figures(facts: DemoFacts) -> Panel:
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in range(4):
        grid.add_column(justify="left", no_wrap=True)
    minutes, seconds = divmod(int(facts.elapsed), 60)
    grid.add_row(
        _figure("rate in", f"{facts.rate_in:,.0f}/s"),
        _figure("rate out", f"{facts.rate_out:,.0f}/s"),
        _figure("p50", ms(facts.p50_ms)),
        _figure("p99", ms(facts.p99_ms)),
    )
    grid.add_row(
        _figure("in", f"{facts.ticks_in:,}"),
        _figure("out", f"{facts.ticks_out:,}"),
        _figure("dropped", f"{total(facts.dropped):,}"),
        _figure("in flight", f"{facts.in_flight:,}"),
    )
    grid.add_row(
        _fault("missing", facts.missing),
        _fault("doubled", facts.doubled),
        _fault("lost", facts.lost),
        _figure("switches", f"{facts.switches:,}"),
    )
    return Panel(
        grid,
        title=Text(facts.title, style="bold"),
        title_align="left",
        subtitle=f"{minutes:02}:{seconds:02} · Ctrl-C ends it",
    )


def _table() -> Table:
    return Table(
        expand=True, box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold cyan", border_style="dim"
    )


def _figure(name: str, value: str, style: str = "bold") -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, style))


def _fault(name: str, number: int | None) -> Text:
    return _figure(name, count(number), "bold" if number is None else "bold red" if number else "bold green")


def _events(entries: Sequence[Entry], rows: int) -> Table:
    table = _table()
    table.add_column("time", no_wrap=True)
    table.add_column("event", no_wrap=True, overflow="ellipsis", ratio=1)
    for entry in list(entries)[-rows:]:
        at = datetime.fromtimestamp(entry.at_ns / 1e9, SHANGHAI)
        table.add_row(Text(f"{at:%H:%M:%S}", style="dim"), Text(entry.text, style=entry.style))
    if not entries:
        table.add_row("", Text("nothing happened so far", style="dim"))
    return table


def _top(contracts: Sequence[TopContract], rows: int) -> Table:
    table = _table()
    table.add_column("busiest contracts", no_wrap=True)
    table.add_column("ticks", justify="right", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    for contract in contracts[:rows]:
        last = "-" if contract.last is None else f"{contract.last:.10g}"
        table.add_row(Text(contract.instrument), f"{contract.ticks:,}", last)
    return table


def _drops(dropped: Drops, rows: int) -> Table:
    table = _table()
    table.add_column("dropped at", no_wrap=True)
    table.add_column("because", no_wrap=True)
    table.add_column("ticks", justify="right", no_wrap=True)
    found = [(stop, reason, number) for stop, reasons in dropped.items() for reason, number in reasons.items()]
    for stop, reason, number in sorted(found, key=lambda row: -row[2])[:rows]:
        if number:
            table.add_row(stop, reason, f"{number:,}")
    if not table.row_count:
        table.add_row(Text("nothing", style="green"), "", "0")
    return table
