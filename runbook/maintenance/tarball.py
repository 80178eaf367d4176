"""Archives: written whole, the same bytes for the same files, and read back before they count."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from gateway.errors import FeedgateError
from runbook.maintenance.placing import FILE_MODE

MANIFEST: Final = "MANIFEST.json"
_CHUNK: Final = 1 << 20


class ArchiveError(FeedgateError):
    """An archive cannot be written, or what was written cannot be read back."""

    code = "archive"


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A file in an archive."""

    name: str
    size: int
    sha256: str
    mtime_s: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Something to put into an archive: ``size`` bytes of ``source`` from ``start``."""

    name: str
    source: IO[bytes]
    start: int
    size: int
    mtime_s: int = 0

    def digest(self, size: int | None = None) -> str:
        """SHA-256 of it, or of its first bytes."""
        self.source.seek(self.start)
        sha = hashlib.sha256()
        left = self.size if size is None else min(size, self.size)
        while left and (data := self.source.read(min(left, _CHUNK))):
            sha.update(data)
            left -= len(data)
        return sha.hexdigest()


def piece(name: str, data: bytes, mtime_s: int = 0) -> Piece:
    """Of bytes."""
    return Piece(name, io.BytesIO(data), 0, len(data), mtime_s)


def write_tarball(to: IO[bytes], pieces: Iterable[Piece], facts: Mapping[str, Any] | None = None) -> list[Member]:
    """Write a ``tar.gz`` with a manifest in front; gives its members, sorted. Blocks. Raises OSError.

    Names, contents and times of change decide the bytes; who writes it, when and on which machine does not.
    """
    ordered = sorted(pieces, key=lambda piece: piece.name)
    members = [Member(one.name, one.size, one.digest(), one.mtime_s) for one in ordered]
    listed = [{"name": m.name, "size": m.size, "sha256": m.sha256, "mtime": m.mtime_s} for m in members]
    manifest = json.dumps({**(facts or {}), "files": listed}, ensure_ascii=False, indent=1).encode() + b"\n"
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=to, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for one in (piece(MANIFEST, manifest), *ordered):
            info = tarfile.TarInfo(one.name)
            info.size, info.mtime, info.mode = one.size, one.mtime_s, FILE_MODE
            one.source.seek(one.start)
            tar.addfile(info, one.source)
    return members


def read_members(path: Path) -> list[Member]:
    """What really is in an archive, every byte read and compared with its manifest. Blocks. Raises ArchiveError."""
    members: list[Member] = []
    listed: list[Member] | None = None
    try:
        with gzip.open(path, "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            for info in tar:
                file = tar.extractfile(info)
                if file is None:
                    raise ArchiveError(f"{path}: {info.name} is no file; keep the archive aside and look at it")
                if listed is None and info.name == MANIFEST:
                    listed = list(_manifest(path, file.read()))
                    continue
                sha = hashlib.sha256()
                while data := file.read(_CHUNK):
                    sha.update(data)
                members.append(Member(info.name, info.size, sha.hexdigest(), int(info.mtime)))
            while packed.read(_CHUNK):  # to the checksum at the very end
                pass
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise ArchiveError(f"{path} cannot be read back ({error}); keep it aside and look at the disk") from error
    if listed != members:
        raise ArchiveError(f"{path} does not hold what its manifest lists; keep it aside and look at the disk")
    return members


def _manifest(path: Path, data: bytes) -> Iterator[Member]:
    try:
        for one in json.loads(data)["files"]:
            yield Member(str(one["name"]), int(one["size"]), str(one["sha256"]), int(one["mtime"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{path}: its manifest cannot be read; keep it aside and look at it") from error
