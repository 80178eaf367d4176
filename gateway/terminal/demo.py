"""What ``gateway demo`` shows: the live view while it runs, and the balance at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.model import LineState, LineStatus

Drops = Mapping[str, Mapping[str, int]]
"""Stop → reason → ticks: ``{"arbitrate": {"copy": 120}}``."""

_STATES = {
    LineState.STREAMING: "green",
    LineState.LOGGED_IN: "green",
    LineState.LOST: "bold red",
    LineState.STOPPED: "red",
}
_TOP = 8


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
    title: str = "Feedgate"


class DemoSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a demo; as JSON it has exactly these keys (``ticks_in`` is written ``in``)."""

    ticks_in: int = msgspec.field(name="in")
    out: int
    dropped: dict[str, dict[str, int]]
    lost: int | None
    """Ticks that were published and did not reach the consumer; None when none was watching."""
    rate: float
    """Ticks a second, from first to last."""
    p50_ms: float | None
    p99_ms: float | None
    lines: list[LineStatus]

    @property
    def balanced(self) -> bool:
        """Whether every tick that came in went out or was dropped for a counted reason."""
        return self.ticks_in == self.out + total(self.dropped)


def total(dropped: Drops) -> int:
    """All drops of all stops."""
    return sum(sum(reasons.values()) for reasons in dropped.values())


def view(facts: DemoFacts) -> RenderableType:
    """The whole view; 80 columns are enough."""
    below = Table.grid(expand=True, padding=(0, 1))
    below.add_column(ratio=1)
    below.add_column(ratio=1)
    below.add_row(_top(facts.top), _drops(facts.dropped))
    return Group(_figures(facts), lines_table(facts.lines), below)


def lines_table(lines: Sequence[LineStatus]) -> Table:
    """One row per line; below it, why a line is not up and how many subscriptions were refused."""
    table = _table("lines")
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
        )
        if line.restarts:
            notes.append(f"{line.line}: restarted {line.restarts} times")
        if line.reason and not line.state.is_up:
            notes.append(f"{line.line}: {line.reason}")
        if line.failed:
            notes.append(f"{line.line}: {line.failed:,} subscriptions refused")
    if notes:
        table.caption = Text("\n".join(notes), style="yellow")
        table.caption_justify = "left"
    return table


def summary_text(summary: DemoSummary) -> str:
    """The balance in a few lines of plain text."""
    dropped = total(summary.dropped)
    sign, verdict = ("=", "balanced") if summary.balanced else ("≠", "NOT BALANCED")
    text = [
        f"in {summary.ticks_in:,} {sign} out {summary.out:,} + dropped {dropped:,}   ({verdict})",
        "no consumer of ours was watching"
        if summary.lost is None
        else f"lost on the way to the consumer: {summary.lost:,}",
        f"rate {summary.rate:,.0f} ticks/s   latency p50 {_ms(summary.p50_ms)}, p99 {_ms(summary.p99_ms)}",
    ]
    text += [
        f"dropped at {stop}: {reason} {number:,}"
        for stop, reasons in summary.dropped.items()
        for reason, number in reasons.items()
        if number
    ]
    text += [
        f"line {line.line} ({line.role}): {line.state.value}, {line.ticks:,} ticks, "
        f"first with {line.published:,}, {line.restarts} restarts"
        for line in summary.lines
    ]
    return "\n".join(text)


def summary_json(summary: DemoSummary) -> str:
    """The summary as one JSON line without its line end."""
    return msgspec.json.encode(summary).decode()


def _figures(facts: DemoFacts) -> Panel:
    grid = Table.grid(expand=True, padding=(0, 2))
    for _ in range(4):
        grid.add_column(justify="left", no_wrap=True)
    minutes, seconds = divmod(int(facts.elapsed), 60)
    dropped = total(facts.dropped)
    grid.add_row(
        _figure("rate in", f"{facts.rate_in:,.0f}/s"),
        _figure("rate out", f"{facts.rate_out:,.0f}/s"),
        _figure("p50", _ms(facts.p50_ms)),
        _figure("p99", _ms(facts.p99_ms)),
    )
    grid.add_row(
        _figure("in", f"{facts.ticks_in:,}"),
        _figure("out", f"{facts.ticks_out:,}"),
        _figure("dropped", f"{dropped:,}"),
        _figure("in flight", f"{facts.in_flight:,}"),
    )
    return Panel(
        grid,
        title=Text(facts.title, style="bold"),
        title_align="left",
        subtitle=f"{minutes:02}:{seconds:02} · Ctrl-C ends it",
    )


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        expand=True,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _figure(name: str, value: str) -> Text:
    return Text.assemble((f"{name} ", "dim"), (value, "bold"))


def _top(contracts: Sequence[TopContract]) -> Table:
    table = _table("busiest contracts")
    table.add_column("instrument", no_wrap=True)
    table.add_column("ticks", justify="right", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    for contract in contracts[:_TOP]:
        last = "-" if contract.last is None else f"{contract.last:.10g}"
        table.add_row(Text(contract.instrument), f"{contract.ticks:,}", last)
    return table


def _drops(dropped: Drops) -> Table:
    table = _table("dropped, and why")
    table.add_column("stop", no_wrap=True)
    table.add_column("reason")
    table.add_column("ticks", justify="right", no_wrap=True)
    for stop, reasons in dropped.items():
        for reason, number in reasons.items():
            if number:
                table.add_row(stop, reason, f"{number:,}")
    if not table.row_count:
        table.add_row(Text("nothing", style="green"), "", "0")
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"
