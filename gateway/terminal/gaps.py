"""``gateway gaps --date D``: what was missed on a trading day, and when anybody kept watch."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

import msgspec

from gateway.clock import Clock, SystemClock
from gateway.errors import FeedgateError
from gateway.flow.gaphistory import GapDay, read_day
from gateway.flow.gapjson import GapRow, gap_row, gap_totals, note_rows, parse_day, watched_row
from gateway.flow.gaps import Gap, LedgerError
from gateway.flow.phases import shanghai

_MOST_ROWS = 40
"""More gaps than that are shown by outage."""
_WIDTH = 80
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_COLUMNS = GapRow.__struct_fields__


class DateError(FeedgateError):
    """A date on the command line is none."""

    code = "usage"
    exit_code = 64


def ledger_file(path: Path | None) -> Path:
    """The ledger to read. Raises LedgerError when nobody named one."""
    if path is None:
        raise LedgerError(
            "no gap ledger is named; give --db FILE, or set FEEDGATE_LEDGER__PATH (ledger.path) as for the gateway"
        )
    return path


def show_gaps(
    date: str | None,
    *,
    db: Path,
    feed: str | None = None,
    as_json: bool = False,
    as_csv: bool = False,
    out: TextIO | None = None,
    clock: Clock | None = None,
) -> int:
    """Print the gaps of a trading day (``20250829`` or ``2025-08-29``; None: the latest one that the ledger knows).

    Returns 0 also when there are gaps: the command answers, it does not judge. Raises DateError and LedgerError.
    """
    stream = out if out is not None else sys.stdout
    day = read_day(db, None if date is None else _day(date), feed)
    if as_json:
        json.dump(gaps_json(day), stream, indent=2, ensure_ascii=False)
        stream.write("\n")
    elif as_csv:
        writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        rows = (msgspec.to_builtins(gap_row(gap)) for gap in day.gaps)
        writer.writerows(row | {"lines": _lines(row["lines"])} for row in rows)
    else:
        now = (clock or SystemClock()).wall_ns()
        stream.writelines(f"{line}\n" for line in gaps_text(day, now, feed))
    return 0


def gaps_json(day: GapDay) -> dict[str, Any]:
    """The day as JSON values: ``trading_day known totals gaps watched notes``. Times in Shanghai and as nanoseconds."""
    values: dict[str, Any] = {
        "trading_day": day.trading_day,
        "known": day.known,
        "totals": gap_totals(day.gaps),
        "gaps": [gap_row(gap) for gap in day.gaps],
        "watched": [watched_row(one) for one in day.watched],
        "notes": note_rows(day),
    }
    return {name: msgspec.to_builtins(value) for name, value in values.items()}


def gaps_text(day: GapDay, now_ns: int, feed: str | None = None) -> list[str]:
    """The day for people, at most 80 columns."""
    what = f"feed {feed}, " if feed else ""
    if not day.known:
        if day.trading_day == 0:
            return [f"{what}nothing known: the ledger has not kept watch over any session yet"]
        return [f"{what}trading day {_dashed(day.trading_day)}: nothing known about this day"]
    lines = [f"{what}trading day {_dashed(day.trading_day)}, times in Shanghai", ""]
    today = f"{shanghai(now_ns):%m-%d}"
    if not day.gaps:
        lines.append("no gap recorded")
    elif len(day.gaps) <= _MOST_ROWS:
        lines += _table([_cells(gap, today) for gap in day.gaps], "contract")
    else:
        key = lambda gap: (gap.outage_ns, gap.feed, gap.session)  # noqa: E731 - used twice, on the next line
        outages = [list(group) for _, group in groupby(sorted(day.gaps, key=key), key=key)]
        lines += _table([_outage_cells(group, today) for group in outages], "contracts")
        lines.append("one row an outage; --csv and --json list every contract")
    if day.gaps:
        lines += ["", _total_line(day.gaps)]
        lines += [f"  {_cut(reason, _WIDTH - 12)} ({count})" for reason, count in _reasons(day.gaps)]
    lines.append("")
    lines += [
        f"watched {one.session:<5} {_span(one.from_ns, one.to_ns, today)}  {one.feed}, {one.contracts} contracts"
        for one in day.watched
    ] or ["watched: nobody kept watch on this day; the gaps were written afterwards"]
    lines += [f"note {_time(at_ns, today)[:-4]} {text}" for at_ns, text in day.notes]
    return lines


# -- rows ----------------------------------------------------------------------------------------------


def _lines(lines: dict[str, str]) -> str:
    return "; ".join(f"{line}: {reason}" for line, reason in lines.items())


def _cells(gap: Gap, today: str) -> tuple[str, ...]:
    return (
        _cut(gap.instrument, 20),
        gap.session,
        _time(gap.start_ns, today),
        _end(gap.end_ns, gap.start_ns, today),
        _duration(gap.end_ns, gap.start_ns),
        _lost(gap),
    )


def _outage_cells(gaps: Sequence[Gap], today: str) -> tuple[str, ...]:
    first = min(gap.start_ns for gap in gaps)
    ends = [gap.end_ns for gap in gaps]
    last = None if None in ends else max(end for end in ends if end is not None)
    known = [gap.lost_volume for gap in gaps if gap.lost_volume is not None]
    lost = f"{sum(known):,}{'+?' if len(known) < len(gaps) else ''}" if known else "?"
    name = f"{_cut(gaps[0].feed, 10)} {len(gaps):,}"
    return (name, gaps[0].session, _time(first, today), _end(last, first, today), _duration(last, first), lost)


def _table(rows: Sequence[tuple[str, ...]], first: str) -> list[str]:
    head = (first, "sess.", "from", "to", "for", "lost")
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    right = (4, 5)
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]


def _total_line(gaps: Sequence[Gap]) -> str:
    totals = gap_totals(gaps)
    parts = [_count(totals.gaps, "gap"), _count(totals.contracts, "contract")]
    parts += [f"{totals.open:,} still open"] if totals.open else []
    parts += [f"longest {_seconds(totals.longest_s)}"] if totals.longest_s is not None else []
    parts.append(f"lost volume {totals.lost_volume:,}")
    if totals.lost_volume_unknown:
        parts[-1] += f" (unknown in {totals.lost_volume_unknown:,})"
    return " · ".join(parts)


def _reasons(gaps: Sequence[Gap]) -> list[tuple[str, int]]:
    """The most frequent reasons first, five at most."""
    counts: dict[str, int] = {}
    for gap in gaps:
        counts[gap.reason] = counts.get(gap.reason, 0) + 1
    return sorted(counts.items(), key=lambda one: -one[1])[:5]


# -- words ---------------------------------------------------------------------------------------------


def _day(text: str) -> int:
    try:
        return parse_day(text)
    except ValueError as error:
        raise DateError(f"--date {error}", date=text) from None


def _dashed(day: int) -> str:
    return f"{day // 10000}-{day // 100 % 100:02}-{day % 100:02}"


def _time(moment_ns: int, today: str) -> str:
    """``09:30:01.250``, with month and day in front when that is not today."""
    moment = shanghai(moment_ns)
    date = f"{moment:%m-%d}"
    return f"{'' if date == today else date + ' '}{moment:%H:%M:%S.%f}"[:-3]


def _span(from_ns: int, to_ns: int, today: str) -> str:
    return f"{_time(from_ns, today)[:-4]} to {_end(to_ns, from_ns, today)[:-4]}"


def _end(moment_ns: int | None, start_ns: int, today: str) -> str:
    """The date again only when it is another one than the start's."""
    if moment_ns is None:
        return "open"
    same = f"{shanghai(start_ns):%m-%d}" == f"{shanghai(moment_ns):%m-%d}"
    return _time(moment_ns, f"{shanghai(moment_ns):%m-%d}" if same else today)


def _duration(end_ns: int | None, start_ns: int) -> str:
    return "-" if end_ns is None else _seconds((end_ns - start_ns) / 1e9)


def _seconds(seconds: float) -> str:
    for position, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            smaller, name = (_UNITS[position + 1]) if position + 1 < len(_UNITS) else (1, "s")
            return f"{int(seconds // size)} {unit} {int(seconds % size // smaller)} {name}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _lost(gap: Gap) -> str:
    if gap.lost_volume is None:
        return "?"
    return f"{'≤ ' if gap.skipped else ''}{gap.lost_volume:,}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
