"""Rows, verdicts, the table in the terminal, in JSON and in docs/faults.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.faults.fault import Expected

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
COLUMNS = ("fault", "source", "lost", "duplicated", "notice ms", "recover ms", "gap recorded", "verdict")

DISAGREE_MS = 250.0
"""Between the stamps of the ticks and their arrival lies the way through the gateway, on a busy machine."""


class Row(msgspec.Struct, kw_only=True):
    """One measurement. ``None``: could not be measured, or there was nothing to measure."""

    fault: str
    source: str
    lost: int | None = None
    duplicated: int | None = None
    notice_ms: float | None = None
    recover_ms: float | None = None
    gap_recorded: str | None = None
    """``yes``: and it covers every tick that no line could deliver; ``no``; ``wrong``: it does not."""
    expected: str = ""
    ok: bool = False
    missed: int | None = None
    """Ticks that no line could deliver; not among ``lost``."""
    told: int | None = None
    """Ticks of which the consumer was told that it missed them."""
    foreign: int | None = None
    """Wrong ticks that came out."""
    made: int | None = None
    switch_ms: float | None = None
    takeover_ms: float | None = None
    """The same as the consumer saw it: last arrival from the old line to the first from the new one."""
    switch_error: str = ""
    """Why a switch failed, if one did."""
    line_back_ms: float | None = None
    """Until the lines carried everything again; null when that was not waited for."""
    attempts: int = 1
    """More than one: the machine stood still meanwhile, and the row was measured again."""
    overtaken: int = 0
    """Ticks that a line was late with, because the machine had no time for it, when another one came back."""
    noticed: str = ""
    """What the gateway said."""
    why: list[str] = []
    """What is not as expected."""


def judge(row: Row, expected: Expected, *, timed: bool = True) -> None:
    """Fill in ``expected``, ``why`` and ``ok``. What could not be measured is never as expected.

    Without ``timed`` what must happen must have happened, however long it took: the machine may be busy.
    """
    row.expected = expected.text()
    why = row.why
    if row.lost is None or row.duplicated is None or row.gap_recorded is None:
        why.append("not measured")
    elif not row.made:
        why.append("the market made nothing")
    _judge_ticks(row, expected, why)
    if expected.notice_ms is not None:
        _within(why, "noticed", row.notice_ms, expected.notice_ms, timed)
    _within(why, "recovered", row.recover_ms, expected.recover_ms, timed)
    if expected.switch_ms is not None:
        _within(why, "switched", row.switch_ms, expected.switch_ms, timed)
        _within(why, "taken over", row.takeover_ms, expected.switch_ms, timed)
        if timed and abs((row.switch_ms or 0) - (row.takeover_ms or 0)) > DISAGREE_MS:
            why.append(f"the event says {row.switch_ms} ms, the consumer saw {row.takeover_ms} ms")
        if row.switch_error:
            why.append(f"a switch failed: {row.switch_error}")
    wanted = "yes" if expected.gap else "no"
    if row.gap_recorded not in (None, wanted):
        why.append(f"gap recorded: {row.gap_recorded}, expected {wanted}")
    row.ok = not why


def only_late(row: Row, expected: Expected) -> bool:
    """Whether all that must happen happened, too late."""
    again = msgspec.structs.replace(row, why=[])
    judge(again, expected, timed=False)
    return again.ok and not row.ok


def _judge_ticks(row: Row, expected: Expected, why: list[str]) -> None:
    lost = row.lost or 0
    if expected.told:
        if lost > (row.told or 0):
            why.append(f"{lost} ticks lost, the consumer was told of {row.told}")
    elif lost > expected.lost:
        why.append(f"{lost} ticks lost")
    if row.missed and not expected.gap:
        why.append(f"for {row.missed} ticks no line was able, which this fault should not bring about")
    if row.duplicated:
        why.append(f"{row.duplicated} ticks twice")
    if (row.foreign or 0) > expected.foreign:
        why.append(f"{row.foreign} wrong ticks came out")


def _within(why: list[str], what: str, found: float | None, most: float, timed: bool) -> None:
    if found is None:
        why.append(f"not {what}, or not measured")
    elif timed and found > most:
        why.append(f"{what} only after {found:,.0f} ms")


def _cells(row: Row) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:,.0f}"

    verdict = "as expected" if row.ok else " ".join("; ".join(row.why).split()).replace("|", "/")
    return (
        row.fault, row.source, number(row.lost), number(row.duplicated), number(row.notice_ms),
        number(row.recover_ms), row.gap_recorded or "–", verdict,
    )  # fmt: skip


def show(rows: Sequence[Row], console: Console) -> None:
    """The table for people."""
    table = Table(title="faults", title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("lost", "duplicated", "notice ms", "recover ms") else "left")
    for row in rows:
        table.add_row(*_cells(row), style=None if row.ok else "red")
    console.print(table)
    for row in rows:
        if not row.ok:
            console.print(f"{row.fault} ({row.source}): {'; '.join(row.why)}; expected: {row.expected}", markup=False)


def write_json(rows: Sequence[Row], path: Path) -> None:
    """The list of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(list(rows)), indent=2) + b"\n")


def markdown(rows: Sequence[Row]) -> str:
    """The table of docs/faults.md."""
    head = ("fault", "source", "lost", "duplicated", "notice ms", "recover ms", "gap recorded", "expected", "verdict")
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(["---"] * len(head)) + "|"]
    for row in rows:
        cells = _cells(row)
        lines.append("| " + " | ".join((*cells[:-1], row.expected, cells[-1])) + " |")
    return "\n".join(lines)


def write_document(rows: Sequence[Row], path: Path) -> None:
    """Put the table between the markers. Raises ValueError when they are not there."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{path} needs the lines {BEGIN} and {END}, once each")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{markdown(rows)}\n{END}{after}", encoding="utf-8")
