"""Runs on disk: those that go on, so that a crash is found; those that ended, for second requests."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from runbook.runner.run import Run, run_from_json

log = logging.getLogger(__name__)

_DIR_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


@dataclass(slots=True)
class OpenRun:
    """A run that goes on: a file that its process has locked. Who can lock the file has found a dead run."""

    id: str
    path: Path
    fd: int
    last: Run | None = None
    """As written last; None when it was cut off."""

    def write(self, run: Run) -> None:
        """Add the run as it is now. Raises OSError."""
        os.write(self.fd, json.dumps(run.as_json()).encode() + b"\n")
        os.fsync(self.fd)

    def close(self, *, forget: bool) -> None:
        """Let go of it. Not forgotten, it is found as dead by the next look."""
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        if forget:
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(fd)


class RunStore:
    """Three directories below ``root``: ``open``, ``runs`` and ``keys``. Blocking; several processes may use them.

    Its methods raise OSError (a full disk, no permission) unless they say otherwise.
    """

    def __init__(self, root: Path, *, keep: int) -> None:
        self._open = root / "open"
        self._runs = root / "runs"
        self._keys = root / "keys"
        self._keep = keep

    def open(self, run: Run) -> OpenRun:
        """Write down that a run goes on. It shows only once it is locked, so nobody takes it for dead."""
        for directory in (self._open, self._runs, self._keys):
            directory.mkdir(parents=True, exist_ok=True, mode=_DIR_MODE)
        path = self._open / f"{run.id}.json"
        fd = os.open(
            hidden := self._open / f".{run.id}",
            os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC,
            _FILE_MODE,
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opened = OpenRun(run.id, path, fd)
            opened.write(run)
            hidden.rename(path)
            _sync(self._open)
        except BaseException:
            os.close(fd)
            hidden.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise
        return opened

    def dead(self) -> Iterator[OpenRun]:
        """Runs whose process is gone; each is locked until it is closed, so that one finder has it. Raises nothing."""
        try:
            paths = sorted(self._open.glob("*.json"))
        except OSError:
            return
        for path in paths:
            found = _take(path)
            if found is not None:
                yield found

    def is_open(self, run: str) -> bool:
        """Whether a run goes on somewhere, or died and was not found yet."""
        return (self._open / f"{run}.json").exists()

    def finish(self, run: Run) -> None:
        """Keep a run that is done; whole or not at all, also after a power cut. Drops the oldest beyond the limit."""
        self._runs.mkdir(parents=True, exist_ok=True, mode=_DIR_MODE)
        _write(self._runs / f"{run.id}.json", json.dumps(replace(run, stages=()).as_json()))
        self._prune()

    def get(self, run: str) -> Run | None:
        """A run that is done, or goes on elsewhere; None when it is not known or unreadable."""
        for directory in (self._runs, self._open):
            found = _read(directory / f"{run}.json")
            if found is not None:
                return found
        return None

    def runs(self, limit: int, before: str = "") -> list[Run]:
        """The latest runs, done or not, newest first, of those older than ``before``. Ids sort by time."""
        ids = {path.stem for directory in (self._open, self._runs) for path in _listed(directory)}
        older = (run for run in ids if not before or run < before)
        found = (self.get(run) for run in sorted(older, reverse=True)[:limit])
        return [run for run in found if run is not None]

    def reserve(self, action: str, key: str, run: str) -> str:
        """Whose key this is from now on: ``run``, or the run that has had it. A key whose run is unknown is free."""
        path = self._key(action, key)
        for _ in range(_TRIES):
            if _write_new(path, run):
                return run
            owner = _text(path)
            if owner and (owner == run or (self._runs / f"{owner}.json").exists() or self.is_open(owner)):
                return owner
            # of a run that was refused, never began, or is long dropped
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        raise OSError(0, "the idempotency key is fought over; try again", str(path))

    def release(self, action: str, key: str, run: str) -> None:
        """Give a key back, because nothing was done for it."""
        path = self._key(action, key)
        if _text(path) == run:
            path.unlink(missing_ok=True)

    def _key(self, action: str, key: str) -> Path:
        self._keys.mkdir(parents=True, exist_ok=True, mode=_DIR_MODE)
        return self._keys / hashlib.sha256(f"{action}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()

    def _prune(self) -> None:
        files = _listed(self._runs)
        if len(files) <= self._keep + _SLACK:
            return
        for path in files[: len(files) - self._keep]:
            path.unlink(missing_ok=True)
        kept = {path.stem for path in files[len(files) - self._keep :]}
        for path in self._keys.iterdir():
            owner = _text(path)
            if owner and owner not in kept and not self.is_open(owner):
                path.unlink(missing_ok=True)


_TRIES: Final = 20
_SLACK: Final = 50
"""Runs beyond the limit before the oldest are dropped, so that not every run does it."""


def _take(path: Path) -> OpenRun | None:
    """The run in this file, locked, if its process is gone."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # another finder may have dealt with it between our open and our lock
        if not path.exists() or path.stat().st_ino != os.fstat(fd).st_ino:
            os.close(fd)
            return None
    except OSError:
        os.close(fd)
        return None
    return OpenRun(path.stem, path, fd, _read(path))


def _read(path: Path) -> Run | None:
    """The last whole line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            return run_from_json(json.loads(line))
    return None


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.glob("*.json"))
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _write_new(path: Path, text: str) -> bool:
    """Write a file that must not be there yet, whole or not at all."""
    fd, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.link(name, path)
    except FileExistsError:
        return False
    finally:
        Path(name).unlink(missing_ok=True)
    _sync(path.parent)
    return True


def _write(path: Path, text: str) -> None:
    fd, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
