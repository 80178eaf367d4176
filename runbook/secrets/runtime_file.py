"""``.env.runtime``: written in one step with mode 0600, and removed, where nobody else can interfere.

A directory that others can write, a symbolic link, another user's file and a file that is not ours are refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runbook.secrets.errors import RuntimeFileError
from runbook.secrets.hidden import HiddenValues
from runbook.secrets.variables import check_lines, lines_of

MARK: Final = "# Written by `runbook secrets pull`; `runbook secrets clear` removes it. Do not edit.\n"
MODE: Final = 0o600
_ORIGIN: Final = re.compile(r"# from (\S+) version (\d+)\n?")
_LOCK_TRIES: Final = 100
_LOCK_PAUSE_S: Final = 0.05
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OPEN: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_HEAD: Final = 4096


def write_runtime(path: Path, values: HiddenValues, *, source: str, version: int) -> None:
    """Replace the file, whole or not at all, and synced to disk. Blocks. Raises RuntimeFileError.

    The bytes are never in a file with another mode than 0600. ``source`` and ``version`` say where they come from.
    Raises VaultError, before anything is touched, for values that would not be read back as they are.
    """
    check_lines(values)
    with _directory(path) as directory:
        _check_old(directory, path)
        _remove_leftovers(directory, path.name)
        said = _replace(directory, path.name, f"{MARK}# from {source} version {version}\n", values)
    if said:
        raise RuntimeFileError(f"{path} cannot be written: {said}; make room there, or set RUNBOOK_VAULT__RUNTIME_FILE")


def _replace(directory: int, name: str, head: str, values: HiddenValues) -> str:
    """What went wrong, or nothing. The content is in frames that no traceback shows."""
    draft = f"{name}.{secrets.token_hex(8)}.tmp"
    try:
        _write(directory, draft, (head + lines_of(values)).encode())
        os.rename(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    except OSError as error:
        return error.strerror or type(error).__name__
    finally:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=directory)
    return ""


def clear_runtime(path: Path) -> bool:
    """Overwrite and remove the file; whether there was one. Blocks. Raises RuntimeFileError.

    Overwriting is no guarantee: flash storage, journals, snapshots and backups may keep the old bytes.
    """
    if not path.parent.is_dir():
        return False
    with _directory(path) as directory:
        _remove_leftovers(directory, path.name)
        if not _check_old(directory, path):
            return False
        try:
            _overwrite(directory, path.name)
            os.unlink(path.name, dir_fd=directory)
            os.fsync(directory)
        except OSError as error:
            said = error.strerror
        else:
            return True
    raise RuntimeFileError(f"{path} cannot be removed: {said}; remove it by hand")


def origin_of(path: Path) -> tuple[str, int] | None:
    """``(source, version)`` of a runtime file; None when there is none. Raises RuntimeFileError for one not ours."""
    if not path.parent.is_dir():
        return None
    with _directory(path) as directory:
        head = _check_old(directory, path)
    found = _ORIGIN.match(head.removeprefix(MARK))
    return (found[1], int(found[2])) if found else None


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[int]:
    """The open directory of a file, locked against others of us, after a look at who can change it."""
    real = Path(os.path.realpath(path.parent))
    said = ""
    try:
        # whoever can write a directory above can put another one in its place
        for above in reversed(real.parents):
            _check_directory(above, above.lstat(), may_be_sticky=True)
        descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        said = error.strerror or type(error).__name__
    if said:
        raise RuntimeFileError(f"{real}: {said}; make it, or set RUNBOOK_VAULT__RUNTIME_FILE to another place")
    try:
        _check_directory(real, os.fstat(descriptor), may_be_sticky=False)
        _lock(descriptor, real)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    # whoever may read the directory can lock it too, so the wait has an end
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
        else:
            return
    raise RuntimeFileError(f"{path} is locked by another process; find it with: fuser {path}")


def _check_directory(path: Path, found: os.stat_result, *, may_be_sticky: bool) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise RuntimeFileError(
            f"{path} belongs to another user, who could read or swap the file; use a directory of yours"
        )
    if found.st_mode & _OTHERS_WRITE and not (may_be_sticky and found.st_mode & stat.S_ISVTX):
        raise RuntimeFileError(
            f"other users can write {path} (mode {stat.S_IMODE(found.st_mode):04o}); run: chmod go-w {path}"
        )


def _check_old(directory: int, path: Path) -> str:
    """The head of the file that is there, empty for none. Raises RuntimeFileError for one that is not to be touched."""
    said = ""
    try:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            said = "is a symbolic link; find out who made it, and remove it"
        elif not stat.S_ISREG(found.st_mode):
            said = "is not a regular file; remove it, or set RUNBOOK_VAULT__RUNTIME_FILE"
        elif found.st_uid != os.geteuid():
            said = "belongs to another user; find out who made it, and remove it"
        elif found.st_nlink > 1:
            said = "has a second name (hard link), which would keep the secrets; remove both (find / -samefile)"
        else:
            head = _head(directory, path.name)
            if head.startswith(MARK):
                return head
            said = "was not written by `runbook secrets pull`; move it away, or set RUNBOOK_VAULT__RUNTIME_FILE"
    except FileNotFoundError:
        return ""
    except OSError as error:
        said = f"cannot be read: {error.strerror}; check its owner and mode"
    raise RuntimeFileError(f"{path} {said}")


def _head(directory: int, name: str) -> str:
    descriptor = os.open(name, os.O_RDONLY | _OPEN, dir_fd=directory)
    try:
        return os.read(descriptor, _HEAD).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def _write(directory: int, name: str, content: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, MODE, dir_fd=directory)
    try:
        os.fchmod(descriptor, MODE)  # an umask may only have taken bits away
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _overwrite(directory: int, name: str) -> None:
    descriptor = os.open(name, os.O_WRONLY | _OPEN, dir_fd=directory)
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, bytes(min(left, 65_536)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(directory: int, name: str) -> None:
    """Drafts of writers that were killed; the lock says that none is at work."""
    draft = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{16}}\.tmp")
    for entry in os.listdir(directory):
        if draft.fullmatch(entry):
            with contextlib.suppress(OSError):
                _overwrite(directory, entry)
            with contextlib.suppress(OSError):
                os.unlink(entry, dir_fd=directory)
