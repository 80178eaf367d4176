"""The ledger's file: tables, opening, and rows from and to values. SQLite, one writer, any number of readers.

``journal_mode=WAL`` lets readers work while the gateway writes and makes a commit one append to one file. With
``synchronous=FULL`` SQLite calls fsync on that file at every commit, so what was committed survives kill -9 and a
power cut; a torn last commit is recognised by its checksum and ignored (https://sqlite.org/wal.html, section 5).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from gateway.flow.gaps import CLOSED, MEASURED, OPENED, Gap, GapEvent, LedgerError, Mark, Past
from gateway.model import Instrument

FORMAT = 1
_BUSY_S = 5.0

_SCHEMA = """
BEGIN;
CREATE TABLE gap_rows (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    gap TEXT NOT NULL,
    event TEXT NOT NULL CHECK (event IN ('opened', 'closed', 'measured')),
    at_ns INTEGER NOT NULL,
    feed TEXT NOT NULL,
    instrument TEXT NOT NULL,
    trading_day INTEGER NOT NULL,
    session TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER,
    lost_volume INTEGER,
    reason TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX gap_rows_day ON gap_rows (trading_day, gap);
CREATE INDEX gap_rows_gap ON gap_rows (gap);
CREATE INDEX gap_rows_end ON gap_rows (end_ns) WHERE event = 'closed';
CREATE TRIGGER gap_rows_stay BEFORE UPDATE ON gap_rows BEGIN SELECT RAISE(ABORT, 'gap_rows is append-only'); END;
CREATE TRIGGER gap_rows_keep BEFORE DELETE ON gap_rows BEGIN SELECT RAISE(ABORT, 'gap_rows is append-only'); END;
CREATE TABLE notes (row INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE runs (
    run INTEGER PRIMARY KEY AUTOINCREMENT,
    started_ns INTEGER NOT NULL,
    alive_ns INTEGER NOT NULL,
    clean INTEGER NOT NULL
);
CREATE TABLE wanted (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    feed TEXT NOT NULL,
    added TEXT NOT NULL,
    removed TEXT NOT NULL
);
CREATE INDEX wanted_run ON wanted (run);
CREATE TABLE watched (
    run INTEGER NOT NULL,
    feed TEXT NOT NULL,
    trading_day INTEGER NOT NULL,
    session TEXT NOT NULL,
    from_ns INTEGER NOT NULL,
    to_ns INTEGER NOT NULL,
    contracts INTEGER NOT NULL,
    PRIMARY KEY (trading_day, run, feed, session, from_ns)
) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""

_GAP = """INSERT INTO gap_rows
    (gap, event, at_ns, feed, instrument, trading_day, session, start_ns, end_ns, lost_volume, reason, record)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_WATCHED = """INSERT INTO watched VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET to_ns = excluded.to_ns, contracts = excluded.contracts"""

_encode = msgspec.json.Encoder().encode
_decode_gap = msgspec.json.Decoder(Gap).decode
_decode_names = msgspec.json.Decoder(list[str]).decode


def full_or_failing(error: BaseException) -> bool:
    """Whether the disk is the trouble (full, over quota, failing), so that trying again later may help."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY)


def open_ledger(path: Path) -> sqlite3.Connection:
    """Open for writing; the file is made when there is none.

    Raises LedgerError when it is no ledger of ours, sqlite3.Error when SQLite or the disk fails.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if _format(connection, path) == 0:
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _format(connection: sqlite3.Connection, path: Path) -> int:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    foreign = found == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] > 0
    if foreign:
        raise LedgerError(f"{path} is an SQLite file, but not a gap ledger; name another path", path=str(path))
    if found > FORMAT:
        raise LedgerError(
            f"the gap ledger {path} has format {found}, this feedgate reads up to {FORMAT}; upgrade feedgate, or "
            "name another path",
            path=str(path),
        )
    return found


def open_reader(path: Path) -> sqlite3.Connection:
    """Open for reading, also while a gateway writes. Raises LedgerError when there is no ledger."""
    if not path.is_file():
        raise LedgerError(
            f"there is no gap ledger at {path}; a gateway makes it when it starts, --db names another one",
            path=str(path),
        )
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
    except sqlite3.Error as error:
        raise unreadable(path, error) from None
    try:
        found = _format(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise unreadable(path, error) from None
        raise
    if found == 0:
        connection.close()
        raise LedgerError(f"the gap ledger {path} is empty: its gateway could not write to it", path=str(path))
    return connection


def unreadable(path: Path, error: Exception) -> LedgerError:
    """A file that SQLite cannot use, in words."""
    return LedgerError(
        f"the gap ledger {path} cannot be used: {error}; check the path and its permissions. A damaged file is "
        "evidence: move it away, the gateway starts a new one",
        path=str(path),
    )


def append(connection: sqlite3.Connection, event: GapEvent) -> None:
    """One row. Part of the caller's transaction."""
    gap = event.gap
    connection.execute(
        _GAP,
        (
            gap.id,
            event.kind,
            event.at_ns,
            gap.feed,
            gap.instrument,
            gap.trading_day,
            gap.session,
            gap.start_ns,
            gap.end_ns,
            gap.lost_volume,
            gap.reason,
            _encode(gap).decode(),
        ),
    )


def append_note(connection: sqlite3.Connection, at_ns: int, text: str) -> None:
    """Something that a reader of the ledger must know. Part of the caller's transaction."""
    connection.execute("INSERT INTO notes (at_ns, text) VALUES (?, ?)", (at_ns, text))


def write_mark(
    connection: sqlite3.Connection,
    run: int | None,
    mark: Mark,
    before: Mapping[str, frozenset[Instrument]],
    started_ns: int,
) -> int:
    """The sign of life of a run, and how the wanted set differs from what was written ``before``.

    Returns the run's number, which the first mark draws. Part of the caller's transaction.
    """
    if run is None:
        run = connection.execute(
            "INSERT INTO runs (started_ns, alive_ns, clean) VALUES (?, ?, ?)", (started_ns, mark.alive_ns, mark.clean)
        ).lastrowid
        assert run is not None  # noqa: S101 - an INSERT has a row id
    else:
        connection.execute("UPDATE runs SET alive_ns = ?, clean = ? WHERE run = ?", (mark.alive_ns, mark.clean, run))
    for feed in mark.wanted.keys() | before.keys():
        new, old = mark.wanted.get(feed, frozenset()), before.get(feed, frozenset())
        if new is not old and new != old:
            connection.execute(
                "INSERT INTO wanted (run, at_ns, feed, added, removed) VALUES (?, ?, ?, ?, ?)",
                (run, mark.alive_ns, feed, _names(new - old), _names(old - new)),
            )
    for one in mark.watched:
        connection.execute(_WATCHED, (run, *one))
    return run


def _names(instruments: Iterable[Instrument]) -> str:
    return _encode(sorted(map(str, instruments))).decode()


def read_past(connection: sqlite3.Connection) -> Past | None:
    """What the last run left; None when there was none."""
    row = connection.execute("SELECT run, alive_ns, clean FROM runs ORDER BY run DESC LIMIT 1").fetchone()
    if row is None:
        return None
    run, alive_ns, clean = row
    wanted: dict[str, set[Instrument]] = {}
    query = "SELECT feed, added, removed FROM wanted WHERE run = ? ORDER BY row"
    with closing(connection.execute(query, (run,))) as rows:
        for feed, added, removed in rows:
            names = wanted.setdefault(feed, set())
            names.difference_update(map(Instrument.parse, _decode_names(removed)))
            names.update(map(Instrument.parse, _decode_names(added)))
    # a closed row stands for its gap even when the opened one was refused by a full queue
    query = """SELECT record FROM gap_rows AS one WHERE event = ? AND NOT EXISTS
        (SELECT 1 FROM gap_rows AS other WHERE other.gap = one.gap AND other.event IN (?, ?)) ORDER BY row"""
    with closing(connection.execute(query, (OPENED, CLOSED, MEASURED))) as rows:
        gaps = tuple(_decode_gap(record) for (record,) in rows)
    query = """SELECT feed, instrument, max(end_ns) FROM gap_rows
        WHERE event = 'closed' AND end_ns > ? GROUP BY feed, instrument"""
    with closing(connection.execute(query, (alive_ns,))) as rows:
        told = {(feed, Instrument.parse(name)): end_ns for feed, name, end_ns in rows}
    frozen = {feed: frozenset(names) for feed, names in wanted.items() if names}
    return Past(alive_ns, bool(clean), frozen, gaps, told)


def decode_gap(record: str) -> Gap:
    """A gap from its row."""
    return _decode_gap(record)
