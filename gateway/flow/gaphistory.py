"""Reads a gap ledger: the gaps of a trading day, and when anybody kept watch. Works while a gateway writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.flow.gapschema import decode_gap, open_reader, unreadable
from gateway.gaps import GapDay, Watched

__all__ = ["GapDay", "read_day"]


def read_day(path: Path, trading_day: int | None = None, feed: str | None = None) -> GapDay:
    """The gaps of a trading day, of the latest one known when None (0 when nothing is known at all).

    Blocking. Raises LedgerError when there is no ledger at ``path`` or it cannot be read.
    """
    try:
        with closing(open_reader(path)) as connection:
            connection.execute("BEGIN")  # one state of the file for all queries
            return _read(connection, trading_day, feed)
    except sqlite3.Error as error:
        raise unreadable(path, error) from None


def _read(connection: sqlite3.Connection, trading_day: int | None, feed: str | None) -> GapDay:
    day = trading_day
    if day is None:
        latest = "SELECT max(day) FROM (SELECT max(trading_day) AS day FROM {} WHERE ? IS NULL OR feed = ?)"
        found = [
            connection.execute(latest.format(table), (feed, feed)).fetchone()[0] for table in ("watched", "gap_rows")
        ]
        day = max((one for one in found if one is not None), default=0)
    query = "SELECT gap, record FROM gap_rows WHERE trading_day = ? AND (? IS NULL OR feed = ?) ORDER BY row"
    records = dict(connection.execute(query, (day, feed, feed)).fetchall())  # the last row of each gap
    gaps = sorted(map(decode_gap, records.values()), key=lambda gap: (gap.start_ns, gap.feed, gap.instrument))
    query = """SELECT feed, trading_day, session, from_ns, to_ns, contracts FROM watched
        WHERE trading_day = ? AND (? IS NULL OR feed = ?) ORDER BY from_ns, feed"""
    watched = tuple(Watched(*row) for row in connection.execute(query, (day, feed, feed)))
    moments = [one.from_ns for one in watched] + [gap.start_ns for gap in gaps]
    ends = [one.to_ns for one in watched] + [gap.end_ns or gap.start_ns for gap in gaps]
    notes: list[tuple[int, str]] = []
    if moments:
        query = "SELECT at_ns, text FROM notes WHERE at_ns BETWEEN ? AND ? ORDER BY row"
        # a note is written when the disk works again, or when a recovery looks back: up to an hour later
        notes = connection.execute(query, (min(moments), max(ends) + 3_600_000_000_000)).fetchall()
    return GapDay(trading_day=day, gaps=tuple(gaps), watched=watched, notes=tuple(notes))
