"""The operators' log files as views of the audit: a line of text per record, made from the audit and from nothing else.

Source of the names and of what goes where: the operators' contract, §5 and §9.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from runbook.audit.chain import Entry, Position
from runbook.audit.errors import AuditError
from runbook.audit.files import locked, records_after, sync_directory, write_all, write_file
from runbook.audit.query import microseconds

_SEQ: Final = re.compile(rb"(?:^|\n)[^\n ]+ seq=([0-9]+) [^\n]*\n\Z")
_BARE: Final = re.compile(r"[\w.:/@+,%-]+")
_LONGEST: Final = 1 << 17
"""More than any view line: texts of a record are cut long before."""


@dataclass(frozen=True, slots=True)
class View:
    """One file: records of these actions. A name matches itself and, with ``-`` or ``_`` and more, its kin."""

    file: str
    actions: frozenset[str]

    def shows(self, entry: Entry) -> bool:
        """Whether the record belongs into it. Notes of the audit itself belong into all of them."""
        action = entry.record.action.replace("_", "-")
        return bool(entry.chain) or any(action == name or action.startswith(f"{name}-") for name in self.actions)


VIEWS: Final = (
    View(
        "startup_audit.log",
        frozenset({"start", "stop", "restart", "validate-env", "secrets", "rotate", "rollback", "doctor"}),
    ),
    View("start_live_env.log", frozenset({"start", "stop", "restart", "failover", "failback", "drill"})),
    View("health_check.log", frozenset({"check-feed-health", "health", "health-check"})),
    View(
        "subscription_audit.log",
        frozenset({"subscribe", "refresh-contracts", "check-feed-health", "health", "health-check"}),
    ),
    View("t5_checkpoint.log", frozenset({"t5", "t5-checkpoint", "checkpoint"})),
)


def render(entry: Entry) -> list[str]:
    """The record as lines without line feeds: time, fields as ``name=value``, message last.

    Values with blanks, quotes or control characters are written as JSON strings, so no text can begin a line.
    """
    record = entry.record
    fields: list[tuple[str, object]] = [
        ("seq", entry.seq),
        ("event", record.event),
        ("action", record.action),
        ("session", record.session),
        ("window", record.window),
        ("profile", record.profile),
        ("config", record.config),
        ("mode", record.mode),
        ("operator", record.operator),
        ("trigger", record.trigger),
        ("dry_run", "true" if record.dry_run else ""),
        ("exit_code", record.exit_code),
        ("started_at", record.started_at),
        ("finished_at", record.finished_at),
        ("reason", record.reason),
        ("output", record.output),
        ("run", record.run),
        *((f"parameters.{name}", value) for name, value in sorted(record.parameters.items())),
        ("message", record.message),
    ]
    words = [f"{_value(name)}={_value(value)}" for name, value in fields if value is not None and value != ""]
    # the writer finds its place again by the first two words
    at = record.at if _BARE.fullmatch(record.at) else entry.written
    return [" ".join([at, *words])]


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False).translate(_UNSEEN)


_UNSEEN: Final = {code: f"\\u{code:04x}" for code in (0x7F, 0x85, 0x2028, 0x2029, 0x202A, 0x202B, 0x202D, 0x202E)}
"""What JSON leaves as it is and some viewers take for the end of a line, or turn around."""


class ViewWriter:
    """Keeps the views in ``log_dir`` up to date with the audit in ``directory``. All methods block.

    Any number of writers may run: each looks up the last number in a view and appends what is newer, so nothing is
    written twice and what a crash left out comes with the next update.
    """

    def __init__(self, directory: Path, log_dir: Path, views: Sequence[View] = VIEWS) -> None:
        self._directory = directory
        self._log_dir = log_dir
        self._views = tuple(views)

    def update(self, _position: Position | None = None) -> None:
        """Append what is new. Fits ``AuditLog(after=…)``. A view with a torn or foreign end is made anew.

        Raises AuditError when a view cannot be written.
        """
        with self._writing() as state:
            entries = self._since(_done(state))
            for view in self._views:
                end = self._end(view)
                if end is None:
                    self._write_anew(view, self._since(0), "")
                else:
                    self._append(view, [entry for entry in entries if entry.seq > end and view.shows(entry)])
            if entries:
                # written last: after a crash the same records are looked at again, and the ends of the views decide
                os.pwrite(state, b"%020d" % entries[-1].seq, 0)

    def rebuild(self, *, since: str = "") -> None:
        """Make all views anew, from records of ``since`` (RFC 3339) on; with 30 days this is their retention.

        Each file is replaced in one step. Raises AuditError.
        """
        with self._writing() as state:
            entries = self._since(0)
            for view in self._views:
                self._write_anew(view, entries, since)
            if entries:
                os.pwrite(state, b"%020d" % entries[-1].seq, 0)

    def rebuild_days(self, now: datetime, days: int = 30) -> None:
        """``rebuild`` from the beginning of the day that was ``days`` ago."""
        self.rebuild(since=(now - timedelta(days=days)).date().isoformat())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[int]:
        """Holds the lock file, in which the last number is that all views have seen."""
        try:
            self._log_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._log_dir / ".views.lock", os.O_RDWR | os.O_CREAT, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise AuditError(
                f"the views of the audit in {self._log_dir} cannot be written: {error.strerror or error}; "
                "check space and rights there, then `runbook audit views`"
            ) from error

    def _since(self, seq: int) -> list[Entry]:
        with locked(self._directory, exclusive=False):
            return [entry for entry, _ in records_after(self._directory, seq)]

    def _end(self, view: View) -> int | None:
        """The number in its last line; 0 for an empty or missing view, None when it cannot be told."""
        path = self._log_dir / view.file
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _LONGEST))
                data = file.read()
        except FileNotFoundError:
            return 0
        if not data:
            return 0
        match = _SEQ.search(data)
        return int(match[1]) if match else None

    def _append(self, view: View, entries: Sequence[Entry]) -> None:
        data = _text(entries)
        if not data:
            return
        descriptor = os.open(self._log_dir / view.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def _write_anew(self, view: View, entries: Sequence[Entry], since: str) -> None:
        border = microseconds(since) if since else 0
        shown = [entry for entry in entries if view.shows(entry) and microseconds(entry.written) >= border]
        write_file(self._log_dir / view.file, _text(shown))
        sync_directory(self._log_dir)


def _done(state: int) -> int:
    digits = os.pread(state, 20, 0)
    return int(digits) if digits.isdigit() else 0


def _text(entries: Sequence[Entry]) -> bytes:
    return "".join(f"{line}\n" for entry in entries for line in render(entry)).encode()
