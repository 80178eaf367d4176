"""One exclusive action at a time, across processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

log = logging.getLogger(__name__)

_MODE: Final = 0o600
_MOST: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has the lock. From a file that people can read while the action runs."""

    pid: int
    run: str
    action: str
    operator: str
    since: str

    def __str__(self) -> str:
        return f"{self.action} of {self.operator} (run {self.run}, process {self.pid}) since {self.since}"


class ExclusiveLock:
    """``flock`` on a file that also says who holds it.

    The kernel frees it when its holder ends in whatever way, SIGKILL included, so it is never stale; what a dead holder
    wrote into it is overwritten by the next. It belongs to an open file, so two runners in one process exclude each
    other as well. A child made with ``fork`` alone would inherit it; one started with ``subprocess`` does not.
    The file is never removed: two processes would then hold locks on two files. Local disks only. All calls are short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, holder: Holder) -> bool:
        """Take it for this holder, or return False at once. Raises OSError when the file cannot be opened."""
        if self._fd is not None:
            return False
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(asdict(holder)).encode() + b"\n", 0)
        except OSError as error:  # a full disk does not make the lock any weaker
            log.warning("%s: who holds the lock cannot be written: %s", self.path, error.strerror)
        return True

    def holder(self) -> Holder | None:
        """Who wrote himself into the file last; None when it is empty or unreadable. Says nothing about being held."""
        try:
            with self.path.open("rb") as file:
                written: Mapping[str, Any] = json.loads(file.read(_MOST))
            return Holder(**written)
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def release(self) -> None:
        """Give it back; nothing when it is not held."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
        os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()
