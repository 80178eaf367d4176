"""Facts as tables and lines, in colour or as plain text. With each colour goes a sign and a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.terminal.top.facts import Card, CoverageRow, Facts, SwitchRow, Verdict
from gateway.terminal.top.words import milliseconds, moment, number, percent, share, short_moment, sparkline

TITLE: Final = "Feedgate top"
WIDTH: Final = 100
"""Columns of a snapshot."""

SIGNS: Final[dict[Verdict, str]] = {"good": "✓", "warning": "!", "critical": "✗", "neutral": "○", "stale": "?"}
_STYLES: Final[dict[Verdict, str]] = {
    "good": "#22c55e",
    "warning": "#f97316",
    "critical": "bold #f43f5e",
    "neutral": "#94a3b8",
    "stale": "#f97316",
}
_FAINT: Final = "#94a3b8"
_SPARK: Final = "#38bdf8"
_STATES: Final = {"ready": "READY", "warnings": "READY, WITH WARNINGS", "not_ready": "NOT READY"}
_WIDE: Final = 96
_CARD: Final = 25
"""Columns that a card needs."""
_SHOWN: Final = 8
"""Switches and warnings in the view; a snapshot has all."""


def snapshot(facts: Facts, width: int = WIDTH) -> str:
    """All of it as plain text, products too; no control character but the line end."""
    out = StringIO()
    # no colour, no terminal, whatever the environment says about colours
    console = Console(
        file=out, width=width, color_system=None, force_terminal=False, no_color=True, legacy_windows=False
    )
    for block in (head(facts), Text(), says(facts), Text(), cards(facts, width)):
        console.print(block)
    console.print(details(facts, width, everything=True))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().rstrip().splitlines())


def head(facts: Facts) -> Text:
    """Who, when, which session."""
    sessions = ", ".join(f"{feed} {session}" for feed, session in facts.sessions.items()) or "session unknown"
    parts = [f"{facts.gateway} {facts.version or ''}".rstrip(), f"{facts.at[:10]} {facts.at[11:19]} Shanghai", sessions]
    return Text(f"{TITLE} · {' · '.join(parts)}", style="bold", overflow="ellipsis")


def says(facts: Facts) -> Text:
    """Sign, state and sentence."""
    text = Text(f"{SIGNS[facts.verdict]} {_STATES[facts.state]}", style=_STYLES[facts.verdict])
    return text.append(f": {facts.says}", style="not bold")


def cards(facts: Facts, width: int) -> RenderableType:
    """Three or six side by side."""
    across = 6 if width >= 6 * (_CARD + 2) else 3
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for _ in range(across):
        table.add_column(ratio=1)
    drawn = [_card(card, facts) for card in facts.cards]
    for at in range(0, len(drawn), across):
        table.add_row(*drawn[at : at + across])
    return table


def details(facts: Facts, width: int, *, products: bool = False, everything: bool = False) -> RenderableType:
    """Lines, warnings, coverage (by exchange, with ``products`` by product, or both), switches."""
    most = None if everything else _SHOWN
    blocks: list[RenderableType] = [_lines(facts, width)]
    blocks += _listed("Why it is not ready", facts.not_ready[1:] and facts.not_ready, most, "critical")
    blocks += _listed("Warnings", facts.warnings, most, "warning")
    if everything or not products:
        blocks.append(_coverage("Coverage by exchange", facts.exchanges, facts))
    if everything or products:
        blocks.append(_coverage("Coverage by product", facts.products, facts))
    blocks.append(_switches(facts.switches[:most], facts))
    return Group(*blocks)


# -- cards ---------------------------------------------------------------------------------------------


def _card(card: Card, facts: Facts) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{card.title} ", style=_FAINT)
    text.append(f"{SIGNS[card.verdict]} {card.word}\n", style=_STYLES[card.verdict])
    text.append(card.figure, style="bold")
    course = sparkline(facts.rates, 12) if card.name == "throughput" and card.verdict != "stale" else ""
    if course:
        text.append(f" {course}", style=_SPARK)
    elif card.note:
        text.append(f" · {card.note}", style=_FAINT)
    return text


# -- tables --------------------------------------------------------------------------------------------


def _lines(facts: Facts, width: int) -> RenderableType:
    over = facts.first_share_over_s
    title = "Lines" + _age(facts, "status")
    if not facts.lines:
        return Group(
            _title(title), Text("none; lines appear here when the gateway answers and has a feed", style=_FAINT)
        )
    narrow = width < _WIDE
    table = _table(
        *(("line", "fold"), ("acct" if narrow else "account", "fold"), ("role", ""), ("state", ""), ("since", "")),
        *(("rate/s", "right"), ("carried", "right"), ("first", "right"), ("drop" if narrow else "dropped", "right")),
        ("disc" if narrow else "disconnects", "right"),
    )
    since = short_moment if narrow else moment
    stale = facts.is_stale("figures")
    for row in facts.lines:
        carried = f"{row.carried}/{row.wanted}" if narrow else f"{row.carried:,}/{row.wanted:,}"
        mark = " silent" if row.silent else " suspect" if row.suspect else ""
        verdict: Verdict = "stale" if facts.is_stale("status") else row.verdict
        figures = [number(row.rate), share(row.first_share), number(row.dropped), number(row.disconnects)]
        rate, first, dropped, disconnects = [Text(one, style=_FAINT if stale else "") for one in figures]
        table.add_row(
            *(Text(row.line), Text(row.account), Text(row.role)),
            Text(f"{SIGNS[verdict]} {row.state}{mark}", style=_STYLES[verdict]),
            *(Text(since(row.since_ns, facts.at_ns)), rate, Text(carried), first, dropped, disconnects),
        )
    about = "since the start" if over is None else f"last {over:.0f} s"
    note = f"first: share of ticks brought first ({about}); dropped: before the core"
    faint = [Text(note + _age(facts, "figures"), style=_FAINT)]
    faint += [Text(f"{row.line}: {row.reason}", style=_FAINT) for row in facts.lines if row.reason]
    return Group(_title(title), table, *faint)


def _coverage(title: str, rows: Sequence[CoverageRow], facts: Facts) -> RenderableType:
    title += _age(facts, "coverage")
    if not rows:
        return Group(_title(title), Text("nothing is wanted, or it is not known yet", style=_FAINT))
    feeds = len({row.feed for row in rows}) > 1
    names = (
        [("feed", "fold")] * feeds + [("exchange", "fold")] + [("product", "fold")] * any(row.product for row in rows)
    )
    table = _table(
        *(*names, ("", ""), ("carried", "right"), ("wanted", "right"), ("ticking", "right"), ("quiet", "right")),
        *(("stalled", "right"), ("missing", "right")),
    )
    stale = facts.is_stale("coverage")
    for row in rows:
        cells = [row.feed] * feeds + [row.exchange] + [row.product] * (len(names) - feeds - 1)
        verdict: Verdict = "stale" if stale else row.verdict
        numbers = (row.carried, row.wanted, row.ticking, row.quiet, row.stalled, row.missing)
        table.add_row(
            *map(Text, cells),
            Text(f"{SIGNS[verdict]} {percent(row.ratio)}", style=_STYLES[verdict]),
            *(Text(f"{one:,}") for one in numbers),
        )
    return Group(_title(title), table)


def _switches(rows: Sequence[SwitchRow], facts: Facts) -> RenderableType:
    title = _title("Last switches" + _age(facts, "switches"))
    if not rows:
        return Group(title, Text("none since the gateway started", style=_FAINT))
    return Group(title, *(_switch(row, facts) for row in rows))


def _switch(row: SwitchRow, facts: Facts) -> Text:
    text = Text(f"{moment(row.at_ns, facts.at_ns)} ")
    verdict: Verdict = "good" if row.ok else "critical"
    text.append(f"{SIGNS[verdict]} {'done' if row.ok else 'FAILED'} ", style=_STYLES[verdict])
    text.append(f"{row.kind} {row.source or 'no line'} → {row.target or 'no line'}")
    took = "not measured" if row.latency_ms is None else milliseconds(row.latency_ms)
    text.append(f", {took} ({row.trigger}{': ' + row.reason if row.reason else ''})" if row.ok else f": {row.error}")
    return text


def _listed(title: str, texts: Sequence[str], most: int | None, verdict: Verdict) -> Iterator[RenderableType]:
    if not texts:
        return
    yield _title(title)
    for text in texts[:most]:
        yield Text(SIGNS[verdict], style=_STYLES[verdict]).append(f" {text}", style="not bold")
    if most is not None and len(texts) > most:
        yield Text(f"and {len(texts) - most} more", style=_FAINT)


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _age(facts: Facts, part: str) -> str:
    """Nothing while it is fresh."""
    one = next(one for one in facts.parts if one.name == part)
    if not one.stale:
        return ""
    return f" ({SIGNS['stale']} {'no answer yet' if one.age_s is None else f'stale, {one.age_s:.0f} s old'})"


def _table(*columns: tuple[str, str]) -> Table:
    """A column is its title and ``right``, ``fold`` (may take several lines) or nothing."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False, padding=0)
    for title, how in columns:
        table.add_column(
            title,
            justify="right" if how == "right" else "left",
            no_wrap=how != "fold",
            overflow="fold",
            header_style=_FAINT,
        )
    return table
