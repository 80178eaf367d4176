"""Facts about places on disk: whether they can be written, what file system they are on. Changes nothing that stays."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ncpfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "fuse.ceph", "virtiofs"}
)
"""Where locks, fsync or both do less than they promise."""
VOLATILE: Final = frozenset({"tmpfs", "ramfs"})
"""Empty after a restart of the machine."""
MOUNTS: Final = Path("/proc/self/mountinfo")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_FIELDS: Final = 5


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What a place is on."""

    mount: str
    type: str


def existing(path: Path) -> Path:
    """The path itself, or the nearest directory above it that is there. Absolute."""
    path = Path(os.path.realpath(path))
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def write_error(directory: Path) -> str:
    """Why no file can be made in an existing directory; empty when one can. Tried, because rights do not tell all."""
    try:
        with tempfile.TemporaryFile(dir=directory, prefix=".check-") as probe:
            probe.write(b"check")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def file_system(path: Path, mounts: Path = MOUNTS) -> FileSystem | None:
    """Of the nearest existing directory; None where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = str(existing(path))
    best: FileSystem | None = None
    for mount, kind in _mounts(lines):
        inside = place == mount or place.startswith(f"{mount.rstrip('/')}/")
        # a later mount on the same point covers the earlier one
        if inside and (best is None or len(mount) >= len(best.mount)):
            best = FileSystem(mount, kind)
    return best


def _mounts(lines: list[str]) -> Iterator[tuple[str, str]]:
    """``36 35 98:0 /root /mount/point options … - ext4 /dev/sda1 options``; man 5 proc."""
    for line in lines:
        before, mark, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ", 1)[0]
        if mark and len(fields) >= _FIELDS and kind:
            yield _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[_FIELDS - 1]), kind
