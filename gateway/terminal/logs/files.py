"""Log files that turn over by size and by day."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.clock import Clock, SystemClock
from gateway.model import SHANGHAI

MOST_BYTES: Final = 10 << 20
MOST_IN_ALL: Final = 500 << 20
LEAST_BYTES: Final = 64 << 10
"""A smaller file goes on over midnight: a piece a day of a few lines helps nobody."""
_DAY_S: Final = 86_400
_NS: Final = 1_000_000_000


class RotatingFile:
    """Text, a line at a time: ``NAME``, and what was turned over as ``NAME.YYYYMMDD.N``.

    The day is the one in Shanghai on which the piece began; ``N`` counts from 1, the youngest has the highest. A piece
    ends when the next line would make it too large, and with the first line of another day unless it is small.

    Every write is one append to a local file, so several processes may write to the same name: no line is torn, and one
    turns the file over for all, under the lock ``.NAME.lock``, which also has the day and is never waited for. A disk
    that takes nothing stops nobody: lines that could not be written are counted in ``lost``, and a line of their own
    says so as soon as the disk takes something. For one thread at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        most_bytes: int = MOST_BYTES,
        most_in_all: int = MOST_IN_ALL,
        days: int | None = None,
        least_bytes: int = LEAST_BYTES,
        missing: Callable[[str], str] = str,
        clock: Clock | None = None,
    ) -> None:
        """``most_in_all``: the oldest pieces are removed beyond so many bytes; ``days``: and those older than that.

        ``missing`` makes a line of the text that says how many were lost, and why.
        """
        self.path = path
        self.lost = 0
        self._missing = missing
        self._told = 0
        self._why = ""
        self._most = most_bytes
        self._in_all = most_in_all
        self._days = days
        self._least = min(least_bytes, most_bytes)
        self._clock = clock or SystemClock()
        self._lock = path.with_name(f".{path.name}.lock")
        self._piece = re.compile(re.escape(path.name) + r"\.(\d{8})\.(\d+)(\.gz)?")
        self._descriptor: int | None = None
        self._inode = 0
        self._size = 0
        self._day = ""
        self._torn = False

    def write(self, line: str) -> bool:
        """Append a line; the end of line is added. False when it is lost."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._append(data)
        except OSError as error:
            self.lost += 1
            self._why = error.strerror or str(error)
            self.close()
            return False
        if self.lost > self._told:
            lost, self._told = self.lost - self._told, self.lost
            self.write(self._missing(f"{lost} lines could not be written to {self.path}: {self._why}"))
        return True

    def close(self) -> None:
        """Close it; the next write opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _append(self, data: bytes) -> None:
        descriptor = self._open()
        if self._size and (self._size + len(data) > self._most or self._over(self._size)):
            self._turn(len(data))
            descriptor = self._open()
        if self._torn:
            data = b"\n" + data  # what a full disk cut off stays a line of its own
        written = os.write(descriptor, data)
        self._size += written
        while written < len(data):
            self._torn = True
            more = os.write(descriptor, data[written:])
            self._size += more
            written += more
        self._torn = False

    def _open(self) -> int:
        """Ours, unless another process has turned it over."""
        if self._descriptor is not None:
            try:
                status = self.path.stat()
                if status.st_ino == self._inode:
                    self._size = status.st_size  # others append too
                    return self._descriptor
            except FileNotFoundError:
                pass
            self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
        self._descriptor = os.open(self.path, flags, 0o640)
        status = os.fstat(self._descriptor)
        self._inode, self._size = status.st_ino, status.st_size
        self._day = self._begun(new=not self._size)
        return self._descriptor

    def _over(self, size: int) -> bool:
        """Whether its day is over, and it is worth a piece."""
        return size >= self._least and self._day != self._today()

    def _begun(self, *, new: bool) -> str:
        """The day on which the file began, by the lock file: a clock that was set, or a copy, changes its times."""
        try:
            if new:
                self._lock.write_text(self._today())
            elif re.fullmatch(r"\d{8}", day := self._lock.read_text("ascii", "replace")):
                return day
            else:
                self._lock.write_text(self._today())
        except OSError:
            pass
        return self._today()

    def _turn(self, coming: int) -> None:
        """Make a piece of it, unless somebody else does so at this moment."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = self.path.stat()
            due = status.st_size + coming > self._most or self._over(status.st_size)
            if status.st_ino == self._inode and due:
                number = 1 + max((number for day, number, _ in self._pieces() if day == self._day), default=0)
                self.path.rename(self.path.with_name(f"{self.path.name}.{self._day}.{number}"))
                self._prune()
        except (BlockingIOError, FileNotFoundError):
            return
        finally:
            os.close(lock)
        self.close()

    def _pieces(self) -> list[tuple[str, int, Path]]:
        """Oldest first."""
        found = ((self._piece.fullmatch(path.name), path) for path in self.path.parent.iterdir())
        return sorted((match[1], int(match[2]), path) for match, path in found if match)

    def _prune(self) -> None:
        total = 0
        oldest = _day_of(self._clock.wall_ns() / _NS - self._days * _DAY_S) if self._days is not None else ""
        for day, _, path in reversed(self._pieces()):
            with contextlib.suppress(OSError):  # another process was faster, or may not remove it
                total += path.stat().st_size
                if total > self._in_all or day < oldest:
                    path.unlink()

    def _today(self) -> str:
        return _day_of(self._clock.wall_ns() / _NS)


def _day_of(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, SHANGHAI):%Y%m%d}"
