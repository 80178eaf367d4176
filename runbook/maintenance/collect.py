"""Finds the files of a directory, and copies one that somebody may still be writing to."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

SECRET_NAMES: Final = (
    *(".env*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx"),
    *("id_rsa*", "id_ed25519*", "*.token", "*.secret", "*.secrets", "secrets.*"),
)
"""Files of such names are never copied anywhere."""
LINES: Final = (".log", ".jsonl", ".csv", ".txt")
"""Files of lines: the last line of one that is being written to may be half of one."""
_TRIES: Final = 4
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A regular file below a directory."""

    name: str
    """Relative to the directory, with ``/``."""
    path: Path
    size: int
    mtime_ns: int
    identity: tuple[int, int]
    """Device and inode."""


@dataclass(frozen=True, slots=True, order=True)
class Skipped:
    """Something that was not taken, and why."""

    name: str
    why: str


def is_secret(name: str) -> bool:
    """Whether a file of this name may hold secrets."""
    low = name.lower()
    return any(fnmatch.fnmatchcase(low, pattern) for pattern in SECRET_NAMES)


def files_below(root: Path, secret: Collection[Path] = ()) -> Iterator[Found | Skipped]:
    """Every regular file, in no order; links are not followed, and files of secrets not named as files. Blocks.

    ``secret``: more files never to be taken, under whatever name. A missing directory has no files.
    Hidden names of ours (drafts, locks) are passed over.
    """
    hidden = {identity for path in secret if (identity := _identity(path))}
    problems: list[OSError] = []
    for directory, folders, names in os.walk(root, onerror=problems.append, followlinks=False):
        folders.sort()
        for name in sorted([*names, *(folder for folder in folders if Path(directory, folder).is_symlink())]):
            path = Path(directory, name)
            relative = path.relative_to(root).as_posix()
            if name.startswith((".draft-", ".notify", ".failures")) or (name[0] == "." and name.endswith(".lock")):
                continue
            yield _look(path, relative, hidden)
    for problem in problems:
        if not isinstance(problem, FileNotFoundError):
            yield Skipped(str(problem.filename or root), f"cannot be read: {problem.strerror}")


def _look(path: Path, relative: str, hidden: Collection[tuple[int, int]]) -> Found | Skipped:
    try:
        status = path.lstat()
    except OSError as error:
        return Skipped(relative, f"cannot be read: {error.strerror}")
    if stat.S_ISLNK(status.st_mode):
        return Skipped(relative, "a link; links are not followed")
    if not stat.S_ISREG(status.st_mode):
        return Skipped(relative, "no regular file")
    if is_secret(path.name) or (status.st_dev, status.st_ino) in hidden:
        return Skipped(relative, "may hold secrets")
    return Found(relative, path, status.st_size, status.st_mtime_ns, (status.st_dev, status.st_ino))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def copy_consistently(found: Found, root: Path, to: IO[bytes]) -> tuple[int, int] | str:
    """Copy it as it was at one moment: ``(size, mtime_ns)`` of the copy, or why that is impossible. Blocks.

    What is appended meanwhile is left for the next time, at a whole line for files of lines. A file that is
    rewritten in the middle of it is read again, a few times. The way to it is walked without following links.
    """
    start = to.tell()
    for _ in range(_TRIES):
        try:
            descriptor = _open_below(root, found.name)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return "no regular file any more"
            to.seek(start)
            to.truncate()
            copied = _copy(file, to, before.st_size)
            after = os.fstat(descriptor)
        if copied == before.st_size and (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            return copied, before.st_mtime_ns
        if copied == before.st_size and after.st_size > before.st_size:
            if found.path.suffix in LINES:
                copied = _whole_lines(to, start, copied)
            return copied, before.st_mtime_ns
    return "is being rewritten all the time"


def _copy(file: IO[bytes], to: IO[bytes], size: int) -> int:
    left = size
    while left and (data := file.read(min(left, _CHUNK))):
        to.write(data)
        left -= len(data)
    return size - left


def _whole_lines(to: IO[bytes], start: int, size: int) -> int:
    """Cut off the half-written last line."""
    end = start + size
    position = end
    while position > start:
        step = min(_CHUNK, position - start)
        to.seek(position - step)
        cut = to.read(step).rfind(b"\n")
        if cut >= 0:
            end = position - step + cut + 1
            break
        position -= step
    else:
        end = start
    to.seek(end)
    to.truncate()
    return end - start


def _open_below(root: Path, name: str) -> int:
    """Open a file below a directory; a link on the way there is an error, so nobody can lead us out. Raises OSError."""
    with _directory_of(root, name) as (directory, last):
        # non-blocking: a pipe that was put in its place must not hold us up
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)


def unlink_below(root: Path, found: Found) -> None:
    """Remove the file that was found, if it still is that one and unchanged. Raises OSError."""
    with _directory_of(root, found.name) as (directory, last):
        now = os.stat(last, dir_fd=directory, follow_symlinks=False)
        if ((now.st_dev, now.st_ino), now.st_size, now.st_mtime_ns) != (found.identity, found.size, found.mtime_ns):
            raise OSError(0, "it changed in this moment", found.name)
        os.unlink(last, dir_fd=directory)


@contextlib.contextmanager
def _directory_of(root: Path, name: str) -> Iterator[tuple[int, str]]:
    """The open directory that the file is in, and its last name."""
    *folders, last = name.split("/")
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            os.close(directory)
            directory = below
        yield directory, last
    finally:
        os.close(directory)
