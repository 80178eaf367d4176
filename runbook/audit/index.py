"""The SQLite index of the audit: for questions, never the truth. It can be made anew from the files at any time.

It also remembers. A row is written once and not changed when the files change, so that ``verify`` can tell what was
cut off or written anew; only ``rebuild`` forgets.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runbook.audit.chain import RECORD_FIELDS, Entry, LineError, Position, unseal
from runbook.audit.errors import AuditError
from runbook.audit.files import INDEX, locked, records_after
from runbook.audit.query import Page, Query, conditions, microseconds

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, line BLOB NOT NULL, at_us INTEGER NOT NULL, run TEXT NOT NULL,
    event TEXT NOT NULL, action TEXT NOT NULL, operator TEXT NOT NULL, "trigger" TEXT NOT NULL, session TEXT NOT NULL,
    "window" TEXT NOT NULL, profile TEXT NOT NULL, config TEXT NOT NULL, exit_code INTEGER, text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_at ON records (at_us);
CREATE INDEX IF NOT EXISTS records_run ON records (run);
CREATE INDEX IF NOT EXISTS records_action ON records (action, seq);
PRAGMA user_version = 1;
"""
_COLUMNS: Final = 15
_VERSION: Final = 1
_BUSY_S: Final = 10.0


class AuditIndex:
    """Questions to the audit in ``directory``. All methods block; no connection stays open between calls.

    Safe in any thread and next to writers in other processes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def refresh(self, _position: Position | None = None) -> int:
        """Take in what was appended since; gives how many records. Fits ``AuditLog(after=…)``.

        A broken index is made anew. Raises AuditError when it cannot be written.
        """
        try:
            # under the lock no line is half-written or about to be taken back
            with locked(self._directory, exclusive=False):
                return self._take_in()
        except sqlite3.OperationalError as error:
            raise self._failed(error) from error
        except sqlite3.DatabaseError:
            return self.rebuild()

    def rebuild(self) -> int:
        """Make it anew from the files; gives how many records. Forgets what the files no longer have."""
        try:
            with locked(self._directory, exclusive=True):
                for name in (INDEX, f"{INDEX}-journal"):
                    (self._directory / name).unlink(missing_ok=True)
                return self._take_in()
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    def forget_before(self, seq: int) -> None:
        """Drop the rows of pruned records."""
        try:
            with self._open() as database:
                database.execute("DELETE FROM records WHERE seq < ?", (seq,))
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def page(self, query: Query | None = None, *, cursor: str = "", limit: int = 50) -> Page:
        """The newest records first. ``cursor`` is ``Page.next`` of the page before; raises AuditError for another."""
        if limit < 1:
            raise AuditError(f"a page of {limit} records is none; give 1 or more")
        if cursor and not cursor.isdigit():
            raise AuditError(f"{cursor!r} is no cursor of the audit; begin without one")
        where, values = conditions(query or Query())
        if cursor:
            where, values = [*where, "seq < ?"], [*values, int(cursor)]
        text = f"SELECT line FROM records{' WHERE ' if where else ''}{' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - fixed texts
        try:
            with self._open() as database:
                rows = database.execute(text, (*values, limit + 1)).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error
        entries = tuple(self._entry(row[0]) for row in rows[:limit])
        return Page(entries, str(entries[-1].seq) if len(rows) > limit else "")

    def entries(self, query: Query | None = None, *, chunk: int = 500) -> Iterator[Entry]:
        """All of them, newest first, read page by page: for exports. Records appended meanwhile are not among them."""
        cursor = ""
        while True:
            page = self.page(query, cursor=cursor, limit=chunk)
            yield from page.entries
            cursor = page.next
            if not cursor:
                return

    def _entry(self, line: object) -> Entry:
        try:
            return unseal(line if isinstance(line, bytes) else str(line).encode())
        except LineError as error:
            raise AuditError(
                f"the index of the audit in {self._directory} was changed ({error}); run `runbook audit verify`, "
                "then `runbook audit reindex`"
            ) from error

    def _take_in(self) -> int:
        with self._open() as database:
            last = database.execute("SELECT max(seq) FROM records").fetchone()[0] or 0
            rows = (_row(entry, found.raw) for entry, found in records_after(self._directory, last))
            marks = ", ".join("?" * _COLUMNS)
            return database.executemany(f"INSERT OR IGNORE INTO records VALUES ({marks})", rows).rowcount or 0  # noqa: S608 - question marks

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self._directory.is_dir():
            raise AuditError(f"there is no audit in {self._directory}")
        with contextlib.closing(sqlite3.connect(self._directory / INDEX, timeout=_BUSY_S)) as database:
            database.execute("PRAGMA synchronous = NORMAL")
            if database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                database.executescript(_SCHEMA)
            with database:
                yield database

    def _failed(self, error: Exception) -> AuditError:
        return AuditError(
            f"the index of the audit in {self._directory} cannot be used: {error}; "
            "the audit itself is in the files beside it: run `runbook audit reindex`"
        )


def indexed_hashes(directory: Path) -> dict[int, str] | None:
    """What the index remembers, by number; None when there is none. Reads only. Raises AuditError when it is broken."""
    path = directory / INDEX
    if not path.exists():
        return None
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        ) as database:
            return dict(database.execute("SELECT seq, hash FROM records"))
    except sqlite3.Error as error:
        raise AuditError(f"the index is broken ({error})") from error


def _row(entry: Entry, raw: bytes) -> tuple[object, ...]:
    record = entry.record
    fields = {name: getattr(record, name) for name in RECORD_FIELDS}
    try:
        at = microseconds(record.at)
    except ValueError:
        at = microseconds(entry.written)
    text = "\n".join(str(fields[name]) for name in ("action", "operator", "reason", "message", "output", "run"))
    parameters = "\n".join(f"{name}={value}" for name, value in record.parameters.items())
    named = (str(fields[name]) for name in ("run", "event", "action", "operator", "trigger", "session"))
    more = (str(fields[name]) for name in ("window", "profile", "config"))
    return (entry.seq, entry.hash, raw, at, *named, *more, record.exit_code, f"{text}\n{parameters}")
