"""The writer of the audit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.clock import Clock
from runbook.audit.chain import Position, key_id, seal, stamp
from runbook.audit.errors import AuditError
from runbook.audit.files import INDEX, AuditFile, file_name, locked, parse_name, sync_directory, write_all
from runbook.audit.head import write_head
from runbook.audit.index import AuditIndex
from runbook.audit.retention import Pruned, leftovers, prunable
from runbook.audit.tail import (
    Tail,
    break_between,
    drop_empty_file,
    move_torn_aside,
    pending_torn,
    read_tail,
    told,
    torn_note,
    trusted_head,
)
from runbook.model import AuditRecord

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 4 << 20
"""A file is closed before it grows beyond this."""
_SHORTEST_KEY: Final = 16


@dataclass(slots=True)
class _End:
    """Where the next line goes."""

    seq: int
    prev: str
    file: AuditFile | None
    size: int


class AuditLog:
    """Appends to the chain in ``directory``, which is made when missing.

    Any number of logs, in any number of threads and processes, may write to one directory: each append locks it and
    reads its tail anew. All methods block (they wait for the lock and for the disk); call them in a thread.

    ``after`` is called with the position of every new record, in the caller's thread and outside the lock: index,
    views, and whoever keeps head hashes elsewhere. What such a function raises is logged; the record stands.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        key: bytes | None = None,
        max_bytes: int = MAX_BYTES,
        after: Sequence[Callable[[Position], object]] = (),
        lock_wait_s: float = 10.0,
    ) -> None:
        if key is not None and len(key) < _SHORTEST_KEY:
            raise AuditError(f"the audit key has {len(key)} bytes; use at least {_SHORTEST_KEY} random ones")
        self.directory = directory
        self._clock = clock
        self._key = key
        self._max_bytes = max_bytes
        self._after = tuple(after)
        self._lock_wait_s = lock_wait_s

    def append(self, record: AuditRecord) -> Position:
        """Write one record. Returns once it is on the disk: file, head and, for a new file, directory are synced.

        Raises AuditError when it cannot be written; then nothing of it stays in the file, but after an I/O error
        while syncing the directory it may. What a crash or a stranger left at the end is told in ``note`` records,
        which go before this one.
        """
        written: list[Position] = []
        try:
            self._make_directory()
            with locked(self.directory, exclusive=True, wait_s=self._lock_wait_s):
                end = self._settled(record, written)
                written.append(self._write(end, record))
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._tell(written)
        return written[-1]

    def prune(self, keep_days: int, by: AuditRecord) -> Pruned:
        """Remove whole files whose last record was written more than ``keep_days`` ago, never the newest file.

        A ``pruned`` record made from ``by`` (a ``note``: who, when, why) is written first and holds the last hash of
        each file, so that ``verify`` knows what was retention. Files that do not verify are evidence and stay, and so
        do all after them. Raises AuditError: keep_days below the least, nothing can be written, a damaged file is due.
        """
        written: list[Position] = []
        try:
            with locked(self.directory, exclusive=True, wait_s=self._lock_wait_s):
                end = self._settled(by, written)
                for file in leftovers(self.directory):
                    (self.directory / file).unlink()
                pruned = prunable(self.directory, self._clock, keep_days, self._key)
                if pruned.files:
                    note = replace(by, event="note", message=pruned.message)
                    written.append(self._write(end, note, chain=pruned.chain))
                    for entry in pruned.files:
                        (self.directory / entry.name).unlink()
                sync_directory(self.directory)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._tell(written)
        if pruned.files and (self.directory / INDEX).exists():
            AuditIndex(self.directory).forget_before(pruned.files[-1].last + 1)
        return pruned

    def _make_directory(self) -> None:
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self.directory.parent)

    def _settled(self, record: AuditRecord, written: list[Position]) -> _End:
        """The end of the chain, once torn lines are moved aside and everything odd has its note."""
        tail, torn = read_tail(self.directory)
        if torn:
            move_torn_aside(self.directory, tail, torn)
            tail, _ = read_tail(self.directory)
        self._check_key(tail)
        head, head_damage = trusted_head(self.directory, tail, self._key)
        drop_empty_file(self.directory, head)
        # after a break no number is used twice: a witness who knows record 10 will never be shown another record 10
        seq = max(tail.seq, head.seq if head else 0) + 1
        prev = head.hash if tail.damage and head else tail.hash
        end = _End(seq, prev, tail.file, tail.size)
        broken = break_between(tail, head, head_damage)
        if broken:
            logger.error("the audit in %s does not fit together: %s", self.directory, broken["why"])
            message = f"the audit was damaged or changed: {broken['why']}"
            written.append(self._write(end, self._note(record, message), chain=broken))
        for path in pending_torn(self.directory):
            note = torn_note(path)
            logger.warning("a torn line of %s was moved to %s", note["file"], note["kept"])
            message = f"a writer died within a line: {note['bytes']} bytes of {note['file']} are kept in {note['kept']}"
            written.append(self._write(end, self._note(record, message), chain=note))
            path.rename(told(path))
            sync_directory(path.parent)
        return end

    def _check_key(self, tail: Tail) -> None:
        if tail.key and self._key is None:
            raise AuditError(
                f"the audit in {self.directory} is sealed with a key (id {tail.key}), and no key is set; "
                "set the audit key as for the other commands",
                key=tail.key,
            )

    def _note(self, record: AuditRecord, message: str) -> AuditRecord:
        return replace(
            record,
            run="audit",
            event="note",
            at=stamp(self._clock.wall_ns()),
            action="audit",
            operator="audit",
            reason="",
            parameters={},
            dry_run=False,
            started_at="",
            finished_at="",
            exit_code=None,
            message=message,
            output="",
        )

    def _write(self, end: _End, record: AuditRecord, chain: Mapping[str, Any] | None = None) -> Position:
        """Append one line and move ``end`` on. Raises OSError with the file as it was."""
        written = stamp(self._clock.wall_ns())
        data, digest = self._seal(end, record, written, "", chain)
        name = end.file.name if end.file else ""
        full = end.size + len(data) > self._max_bytes
        new = end.file is None or full or written[:4] + written[5:7] > end.file.month
        if new:
            name = file_name(end.seq, written)
            data, digest = self._seal(end, record, written, name, chain)
        offset = 0 if new else end.size
        position = Position(end.seq, digest, name, offset, written)
        self._commit(position, data, new=new)
        end.seq, end.prev, end.size, end.file = end.seq + 1, digest, offset + len(data), parse_name(name)
        return position

    def _seal(
        self, end: _End, record: AuditRecord, written: str, file: str, chain: Mapping[str, Any] | None
    ) -> tuple[bytes, str]:
        return seal(record, seq=end.seq, prev=end.prev, written=written, key=self._key, file=file, chain=chain)

    def _commit(self, position: Position, data: bytes, *, new: bool) -> None:
        path = self.directory / position.file
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if new else 0)
        descriptor = os.open(path, flags, 0o640)
        try:
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
                if new:
                    sync_directory(self.directory)
                write_head(self.directory, position, self._key)
            except OSError:
                self._undo(descriptor, path, position.offset, new=new)
                raise
        finally:
            os.close(descriptor)
        sync_directory(self.directory)

    def _undo(self, descriptor: int, path: Path, size: int, *, new: bool) -> None:
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
            if new:
                path.unlink()
                sync_directory(self.directory)
        except OSError:
            logger.exception("a half-written audit line stays in %s; the next writer moves it aside", path)

    def _tell(self, written: Sequence[Position]) -> None:
        for position in written:
            for function in self._after:
                try:
                    function(position)
                except Exception:
                    logger.exception("record %d is in the audit, but %r failed", position.seq, function)

    def _failed(self, error: OSError) -> AuditError:
        what = error.strerror or str(error)
        return AuditError(
            f"the audit in {self.directory} cannot be written: {what}; "
            f"check space and rights there (df -h {self.directory}), then repeat",
            path=str(self.directory),
            errno=error.errno,
        )

    @property
    def key_name(self) -> str:
        """Id of the key, as in the lines; empty: no key."""
        return key_id(self._key) if self._key else ""
