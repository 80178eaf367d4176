"""Files that are there whole or not at all, also over a power cut."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from gateway.model import SHANGHAI

DIRECTORY_MODE: Final = 0o750
FILE_MODE: Final = 0o640


@contextlib.contextmanager
def draft(directory: Path, *, mode: int = FILE_MODE) -> Iterator[tuple[IO[bytes], Path]]:
    """A new file in the directory, which is made when missing; removed at the end unless it was renamed by then."""
    directory.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    descriptor, name = tempfile.mkstemp(prefix=".draft-", dir=directory)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            os.fchmod(descriptor, mode)
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def settle(file: IO[bytes], temporary: Path, path: Path) -> None:
    """Put a draft in its place, replacing what is there, and sync both. Blocks. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def place(path: Path, data: bytes, *, mode: int = FILE_MODE) -> None:
    """Write a file in one step, replacing what is there. Blocks. Raises OSError; then the old one is as it was."""
    with draft(path.parent, mode=mode) as (file, temporary):
        file.write(data)
        settle(file, temporary, path)


def sync(directory: Path) -> None:
    """Make new, renamed and removed names survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def shanghai_time(wall_ns: int) -> datetime:
    """The moment, aware."""
    return datetime.fromtimestamp(wall_ns / 1e9, SHANGHAI)


def shown(path: Path, base: Path) -> str:
    """Relative to the directory when it is in there."""
    try:
        return str(path.resolve().relative_to(base.resolve()))
    except ValueError:
        return str(path)
