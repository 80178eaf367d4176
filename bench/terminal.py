"""The report as tables that fit on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from bench.report import Report, table_rows

KEYS = ("case", "offered")
SPEED = (*KEYS, "ticks/s", "p50 ms", "p99 ms", "p99.9 ms", "lost")
COST = (*KEYS, "line", "core", "server", "consumer", "feeder")
WORDS = {True: "pass", False: "FAIL", None: "not measured"}


def show(report: Report, console: Console) -> None:
    """Measurements, ratios, targets, and what was left out."""
    rows = list(table_rows(report))
    head = f"source: {report.source} · rounds: {report.rounds} (medians)"
    console.print(grid(head, SPEED, [row[: len(SPEED)] for row in rows]))
    cost = [(*row[: len(KEYS)], *row[len(SPEED) :]) for row in rows]
    console.print(grid("CPU µs a tick by process (the gateway's own are line and core)", COST, cost))
    ratios = [
        (name, *(f"{figure:.3f}" for figure in (spread.median, spread.min, spread.max)))
        if spread
        else (name, "not measured", "", "")
        for name, spread in report.ratios.items()
    ]
    console.print(grid("ratios inside a round", ("ratio", "median", "min", "max"), ratios))
    targets = [
        (one.name, one.wanted, "" if one.value is None else f"{one.value:,.3f}", WORDS[one.passed])
        for one in report.targets
    ]
    console.print(grid("targets, for 2 cores shared with all processes", ("target", "wanted", "measured", ""), targets))
    for machine in report.machine.get("looks", ()):
        console.print(f"machine: {machine}", highlight=False, markup=False)
    for what, why in report.left_out.items():
        console.print(f"left out: {what}: {why}", highlight=False, markup=False)


def grid(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table with names on the left, figures on the right, and a line where the case changes."""
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if name in (*KEYS, "ratio", "target") else "right")
    previous = ""
    for row in rows:
        if columns[0] == KEYS[0] and previous not in ("", row[0]):
            table.add_section()
        table.add_row(*row)
        previous = row[0]
    return table
