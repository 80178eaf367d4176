"""The directory of an audit: names, order, lock, and reading what is there.

``audit-0000000001-202611.jsonl``: the number of the first record, the month of its writing (+08:00). The order of the
files is the order of these numbers. Writers and readers lock the directory itself (flock), so there is no lock file
that somebody could remove; flock needs a local file system.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runbook.audit.chain import Entry, LineError, unseal
from runbook.audit.errors import AuditError

HEAD: Final = "head.json"
TORN: Final = "torn"
INDEX: Final = "index.sqlite"
_NAME: Final = re.compile(r"audit-([0-9]{10,})-([0-9]{6})\.jsonl")
_LOCK_STEP_S: Final = 0.02


@dataclass(frozen=True, slots=True, order=True)
class AuditFile:
    """One file of the chain, by its name."""

    first: int
    """Number of its first record."""
    month: str
    name: str


def file_name(seq: int, written: str) -> str:
    """Of the file that begins with this record."""
    return f"audit-{seq:010}-{written[:4]}{written[5:7]}.jsonl"


def parse_name(name: str) -> AuditFile | None:
    """None for a name that is none of ours."""
    match = _NAME.fullmatch(name)
    return AuditFile(int(match[1]), match[2], name) if match else None


def audit_files(directory: Path) -> list[AuditFile]:
    """In the order of the chain. Raises AuditError when the directory cannot be read."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names are wanted, not paths
    except OSError as error:
        raise unreadable(directory, error) from error
    return sorted(file for file in map(parse_name, names) if file)


def unreadable(path: Path, error: OSError) -> AuditError:
    """The error to raise."""
    return AuditError(
        f"the audit cannot be read: {path}: {error.strerror or error}; check that it exists and who may read it",
        path=str(path),
    )


@contextlib.contextmanager
def locked(directory: Path, *, exclusive: bool, wait_s: float = 10.0) -> Iterator[int]:
    """Hold the directory against other writers; gives its descriptor. The kernel frees it when the holder dies.

    Blocks up to ``wait_s``, then raises AuditError. Between threads it holds too.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise unreadable(directory, error) from error
    try:
        _lock(descriptor, directory, exclusive=exclusive, tries=max(1, round(wait_s / _LOCK_STEP_S)))
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, *, exclusive: bool, tries: int) -> None:
    how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    for _ in range(tries):
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_STEP_S)
        except OSError as error:
            raise AuditError(
                f"the audit directory {directory} cannot be locked ({error.strerror}); "
                "it must be on a local file system",
                path=str(directory),
            ) from error
        else:
            return
    raise AuditError(
        f"the audit directory {directory} is held by another process; `fuser {directory}` names it",
        path=str(directory),
    )


def write_all(descriptor: int, data: bytes) -> None:
    """All of it, also when the system takes it in parts. Raises OSError; a part may then be written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(path: Path, data: bytes) -> None:
    """The whole file or the old one, also over a power cut. The directory is not synced. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.replace(path)


def sync_directory(directory: Path) -> None:
    """Make new, renamed and removed names survive a power cut. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Found:
    """A line at its place. ``entry`` is None when ``error`` says why it is none of ours."""

    file: str
    line: int
    """From 1."""
    offset: int
    entry: Entry | None
    error: LineError | None
    raw: bytes


def read_lines(name: str, data: bytes) -> Iterator[Found]:
    """The complete lines of a file's bytes; a torn last one is left out (:func:`torn_part`)."""
    for number, offset, raw in _split(data):
        yield _read(name, number, offset, raw)


def last_lines(name: str, data: bytes) -> Iterator[Found]:
    """The same from the end."""
    for number, offset, raw in reversed(list(_split(data))):
        yield _read(name, number, offset, raw)


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    start, number = 0, 1
    while (end := data.find(b"\n", start)) >= 0:
        yield number, start, data[start:end]
        start, number = end + 1, number + 1


def _read(name: str, number: int, offset: int, raw: bytes) -> Found:
    try:
        return Found(name, number, offset, unseal(raw), None, raw)
    except LineError as error:
        return Found(name, number, offset, None, error, raw)


def torn_part(data: bytes) -> bytes:
    """What follows the last line feed."""
    return data[data.rfind(b"\n") + 1 :]


def records_after(directory: Path, seq: int) -> Iterator[tuple[Entry, Found]]:
    """Readable records with a number above ``seq``, in order. No judgement of the chain: that is ``verify``.

    Files that cannot hold such records are not opened. Raises AuditError when one cannot be read.
    """
    files = audit_files(directory)
    for position, file in enumerate(files):
        if position + 1 < len(files) and files[position + 1].first <= seq + 1:
            continue
        path = directory / file.name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # retention took it in this moment
        except OSError as error:
            raise unreadable(path, error) from error
        newer: list[tuple[Entry, Found]] = []
        for found in last_lines(file.name, data):
            if found.entry is not None:
                if found.entry.seq <= seq:
                    break
                newer.append((found.entry, found))
        yield from reversed(newer)
