"""A day of the gap ledger as values for JSON and CSV: what ``gateway gaps`` prints and the control service answers.

Moments are there twice: as ISO 8601 in Shanghai with milliseconds, for people, and as Unix nanoseconds (``…_ns``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from gateway.flow.phases import shanghai

if TYPE_CHECKING:  # the ledger's reader brings SQLite along, which a consumer has no use for
    from gateway.flow.gaphistory import GapDay
    from gateway.flow.gaps import Gap, Watched


class GapRow(msgspec.Struct, frozen=True, kw_only=True):
    """One gap, as its latest row says. ``None``: not known (yet)."""

    id: str
    feed: str
    instrument: str
    """``SHFE.rb2510``"""
    trading_day: int
    """``YYYYMMDD``"""
    session: str
    """``day`` or ``night``"""
    start: str
    end: str | None
    """None: open, or open when its gateway went away."""
    duration_s: float | None
    open_s: float | None
    """Without the breaks."""
    lost_volume: int | None
    """Contracts traded between the last tick before and the first one after; 0 is a proof that nothing is missing."""
    exact: bool | None
    """Whether ``lost_volume`` is exact; else it is an upper bound. None without a ``lost_volume``."""
    ending: str
    """``covered``, ``session over``, ``no longer wanted`` or ``feed removed``; empty while open."""
    reason: str
    """Why the last line that carried it stopped."""
    lines: dict[str, str]
    """Each line of the feed → why it did not carry the contract, as of the start."""
    last_tick_before: str | None
    first_tick_after: str | None
    start_ns: int
    end_ns: int | None


class GapTotals(msgspec.Struct, frozen=True, kw_only=True):
    """A whole day in numbers."""

    gaps: int
    contracts: int
    open: int
    """Gaps without an end."""
    longest_s: float | None
    """Of those that have ended."""
    lost_volume: int
    """Of the gaps of which it is known."""
    lost_volume_unknown: int
    """Gaps of which it is not."""


class WatchedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Gaps of this feed and session would have been noticed from here to there."""

    feed: str
    trading_day: int
    session: str
    from_ns: int
    to_ns: int
    contracts: int
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")


class NoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says about itself: rows that are missing, steps of the clock."""

    at: str
    text: str


def gap_row(gap: Gap) -> GapRow:
    """One gap with the times that people read and the durations that follow from them."""
    return GapRow(
        id=gap.id,
        feed=gap.feed,
        instrument=gap.instrument,
        trading_day=gap.trading_day,
        session=gap.session,
        start=iso(gap.start_ns),
        end=None if gap.end_ns is None else iso(gap.end_ns),
        duration_s=None if gap.end_ns is None else round((gap.end_ns - gap.start_ns) / 1e9, 3),
        open_s=None if gap.open_ns is None else round(gap.open_ns / 1e9, 3),
        lost_volume=gap.lost_volume,
        exact=gap.skipped == 0 if gap.lost_volume is not None else None,
        ending=gap.ending,
        reason=gap.reason,
        lines=gap.lines,
        last_tick_before=None if gap.before is None else iso(gap.before.recv_ns),
        first_tick_after=None if gap.after is None else iso(gap.after.recv_ns),
        start_ns=gap.start_ns,
        end_ns=gap.end_ns,
    )


def gap_totals(gaps: Sequence[Gap]) -> GapTotals:
    """Counted over these gaps: one pass, nothing kept."""
    known = [gap.lost_volume for gap in gaps if gap.lost_volume is not None]
    return GapTotals(
        gaps=len(gaps),
        contracts=len({(gap.feed, gap.instrument) for gap in gaps}),
        open=sum(not gap.closed for gap in gaps),
        longest_s=max((round((gap.end_ns - gap.start_ns) / 1e9, 3) for gap in gaps if gap.end_ns), default=None),
        lost_volume=sum(known),
        lost_volume_unknown=len(gaps) - len(known),
    )


def watched_row(watched: Watched) -> WatchedRow:
    """One stretch of watch with the times that people read."""
    return WatchedRow(**watched._asdict(), since=iso(watched.from_ns), until=iso(watched.to_ns))


def note_rows(day: GapDay) -> list[NoteRow]:
    """All notes of a day, in the order in which they were written."""
    return [NoteRow(at=iso(at_ns), text=text) for at_ns, text in day.notes]


def iso(moment_ns: int) -> str:
    """Wall clock in Shanghai: ``2025-08-29T09:30:10.000+08:00``."""
    return shanghai(moment_ns).isoformat(timespec="milliseconds")


def parse_day(text: str) -> int:
    """``20250829`` or ``2025-08-29`` as a number. Raises ValueError for what is no day."""
    digits = re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)", text, re.ASCII)
    try:
        year, month, day = map(int, digits.groups()) if digits else (0, 0, 0)
        return int(f"{datetime(year, month, day):%Y%m%d}")  # noqa: DTZ001 - a day, not a moment
    except ValueError:
        raise ValueError(f"{text!r} is not a day; write 20250829 or 2025-08-29") from None
