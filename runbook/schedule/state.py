"""What the scheduler remembers over a restart: how far each job got, its last run, and pauses. A small SQLite file.

No moments are kept: the calendar decides those anew. Several processes may use the file at once; every call is one
transaction on its own connection, and on disk when it returns. Calls block for milliseconds: use a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.errors import FeedgateError
from gateway.model import SHANGHAI

FILE: Final = "jobs.sqlite"
"""Its name in the state directory."""

_VERSION: Final = 1
_WAIT_S: Final = 10.0
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS jobs (
    name TEXT PRIMARY KEY, handled_until TEXT NOT NULL, moment TEXT, at TEXT, outcome TEXT NOT NULL DEFAULT '',
    run TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '', paused_at TEXT,
    paused_by TEXT NOT NULL DEFAULT '', pause_reason TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID
"""
_COLUMNS: Final = "handled_until, moment, at, outcome, run, note, paused_at, paused_by, pause_reason"


class JobStateError(FeedgateError):
    """The file cannot be read or written; the message names it and the fix."""

    code = "job_state"
    exit_code = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Somebody stopped a job."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What is remembered of one job. Moments are aware, Shanghai."""

    handled_until: datetime
    """All moments up to this one are decided."""
    moment: datetime | None = None
    """The last one about which something was decided."""
    at: datetime | None = None
    """When that was."""
    outcome: str = ""
    """``run``, ``late``, ``missed``, ``paused``, ``refused``; empty: nothing yet."""
    run: str = ""
    """Id of the run that the runner gave."""
    note: str = ""
    pause: Pause | None = None


class JobStateStore:
    """The file; it is made when it is first needed, for its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self, names: Iterable[str], now: datetime) -> dict[str, JobState]:
        """The states of exactly these jobs; a new one begins at ``now``.

        One that is not named is forgotten, but for its pause: when it comes back it has no past to catch up with.
        """
        wanted = list(dict.fromkeys(names))
        with self._transaction() as connection:
            for name, state in self._read(connection).items():
                if name not in wanted and state.pause is None:
                    connection.execute("DELETE FROM jobs WHERE name = ?", (name,))
                elif name not in wanted:
                    self._write(connection, name, replace(state, handled_until=now))
            for name in wanted:
                connection.execute("INSERT OR IGNORE INTO jobs (name, handled_until) VALUES (?, ?)", (name, _text(now)))
            return {name: state for name, state in self._read(connection).items() if name in wanted}

    def states(self) -> dict[str, JobState]:
        """All that is known; empty when there is no file yet."""
        if not self.path.exists():
            return {}
        with self._transaction(writes=False) as connection:
            return self._read(connection)

    def record(self, name: str, *, moment: datetime, at: datetime, outcome: str, run: str = "", note: str = "") -> None:
        """Something was decided about the moments up to ``moment``."""
        with self._transaction() as connection:
            old = self._read(connection).get(name)
            handled = moment if old is None else max(moment, old.handled_until)
            pause = None if old is None else old.pause
            new = JobState(
                handled_until=handled, moment=moment, at=at, outcome=outcome, run=run, note=note, pause=pause
            )
            self._write(connection, name, new)

    def rewind(self, name: str, to: datetime) -> None:
        """The clock went back: moments after ``to`` are to come again."""
        with self._transaction() as connection:
            if (old := self._read(connection).get(name)) is not None and old.handled_until > to:
                self._write(connection, name, replace(old, handled_until=to))

    def pause(self, name: str, pause: Pause) -> None:
        """Stop a job; a second pause replaces the first."""
        with self._transaction() as connection:
            old = self._read(connection).get(name, JobState(handled_until=pause.at))
            self._write(connection, name, replace(old, pause=pause))

    def resume(self, name: str, now: datetime) -> bool:
        """Go on from ``now``: what fell into the pause stays undone. False when it was not paused."""
        with self._transaction() as connection:
            old = self._read(connection).get(name)
            if old is None or old.pause is None:
                return False
            self._write(connection, name, replace(old, pause=None, handled_until=max(old.handled_until, now)))
            return True

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
            with closing(sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                if version not in {0, _VERSION}:
                    raise JobStateError(
                        f"{self.path} was written by a newer runbook (version {version}, this one knows {_VERSION}); "
                        "install that one, or move the file away (pauses and last runs are forgotten then)",
                        path=str(self.path),
                    )
                if version == 0:
                    connection.execute(_TABLE)
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError, ValueError) as error:
            raise JobStateError(
                f"the state of the jobs in {self.path} cannot be used: {error}; make room or correct the permissions; "
                "if the file is damaged, move it away (pauses and last runs are forgotten then)",
                path=str(self.path),
            ) from error

    @staticmethod
    def _read(connection: sqlite3.Connection) -> dict[str, JobState]:
        rows = connection.execute(f"SELECT name, {_COLUMNS} FROM jobs")  # noqa: S608 - a constant
        return {
            name: JobState(
                handled_until=datetime.fromisoformat(handled),
                moment=_moment(moment),
                at=_moment(at),
                outcome=outcome,
                run=run,
                note=note,
                pause=None if paused is None else Pause(at=datetime.fromisoformat(paused), by=by, reason=reason),
            )
            for name, handled, moment, at, outcome, run, note, paused, by, reason in rows
        }

    @staticmethod
    def _write(connection: sqlite3.Connection, name: str, state: JobState) -> None:
        pause = state.pause
        connection.execute(
            f"INSERT OR REPLACE INTO jobs (name, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
            (
                name,
                _text(state.handled_until),
                None if state.moment is None else _text(state.moment),
                None if state.at is None else _text(state.at),
                state.outcome,
                state.run,
                state.note,
                None if pause is None else _text(pause.at),
                "" if pause is None else pause.by,
                "" if pause is None else pause.reason,
            ),
        )


def _text(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(SHANGHAI)
