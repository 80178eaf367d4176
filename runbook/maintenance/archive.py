"""The daily archive of logs, soak reports and incident reports. Source: the operators' contract, §1."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from runbook.maintenance.collect import Found, Skipped, copy_consistently, files_below
from runbook.maintenance.placing import draft, settle
from runbook.maintenance.tarball import ArchiveError, Member, Piece, read_members, write_tarball
from runbook.settings import RunbookSettings

NAME: Final = re.compile(r"(\d{8})_runbook(?:_(\d+))?\.tar\.gz")
RUNBOOKS: Final = "runbooks"
SOAK: Final = "soak"
INCIDENTS: Final = "incidents"
_MOST: Final = 1000


@dataclass(slots=True)
class Archived:
    """What an archiving did."""

    path: Path | None = None
    """None: there was nothing to archive."""
    written: bool = False
    """False: the archive was there already, with the same content."""
    members: list[Member] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failed: list[Skipped] = field(default_factory=list)
    """Files that should be in it and are not."""


def roots(settings: RunbookSettings) -> dict[str, Path]:
    """The directories that are archived, by their name in the archive."""
    return {RUNBOOKS: settings.log_dir, SOAK: settings.soak_dir, INCIDENTS: settings.incident_dir}


def secret_files(settings: RunbookSettings) -> list[Path]:
    """Files that never go into an archive, whatever they are called."""
    return [settings.vault.runtime_file]


def archives(directory: Path) -> list[Path]:
    """The archives there are, oldest first. A missing directory has none."""
    try:
        return sorted(path for path in directory.iterdir() if NAME.fullmatch(path.name) and path.is_file())
    except FileNotFoundError:
        return []


def archive(settings: RunbookSettings, day: str, *, dry_run: bool = False) -> Archived:
    """Write ``archive_dir/DAY_runbook.tar.gz``, verified by reading it back. Blocks. Raises ArchiveError or OSError.

    It has everything of the log and soak directories, and the incident reports that no other archive has. An archive
    of the same day is replaced only by one that holds all it held; otherwise this one gets ``_2`` and so on, so
    archiving never loses anything. Links and files of secrets are left out and listed. A dry run lists only.
    """
    result = Archived()
    taken = list(_choose(settings, day, result))
    if dry_run or not taken:
        result.members = [Member(f"{part}/{found.name}", found.size, "") for part, _, found in taken]
        return result
    settings.archive_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    with tempfile.TemporaryFile(dir=settings.archive_dir) as spool:
        pieces = list(_pieces(taken, spool, result))
        with draft(settings.archive_dir) as (file, temporary):
            members = write_tarball(file, pieces, {"day": day})
            file.flush()
            if read_members(temporary) != members:
                raise ArchiveError(f"{temporary.name} was not written as it should be; look at the disk")
            result.members = members
            for path in _places(settings.archive_dir, day):
                state = _compare(path, temporary, members, pieces)
                if state == "other":
                    continue
                result.path = path
                if state != "same":
                    settle(file, temporary, path)
                    result.written = True
                break
            else:
                raise ArchiveError(f"there are {_MOST} archives of {day}; move some away")
    return result


def _choose(settings: RunbookSettings, day: str, result: Archived) -> Iterator[tuple[str, Path, Found]]:
    """What goes into it."""
    known = _archived_elsewhere(settings, day)
    own = {path.resolve() for path in (settings.archive_dir, settings.state_dir)}
    seen: set[tuple[int, int]] = set()
    for part, root in roots(settings).items():
        for found in files_below(root, secret_files(settings)):
            if isinstance(found, Skipped):
                name = f"{part}/{found.name}"
                unreadable = found.why.startswith("cannot")
                (result.failed if unreadable else result.skipped).append(Skipped(name, found.why))
                continue
            inside = found.path.resolve().parents
            if own & set(inside) or found.identity in seen:
                continue  # one directory lies within another
            if part == INCIDENTS and (f"{part}/{found.name}", found.size) in known:
                continue
            seen.add(found.identity)
            yield part, root, found


def _archived_elsewhere(settings: RunbookSettings, day: str) -> set[tuple[str, int]]:
    """Incident reports in archives of other days. A report never changes once it is written, so its size is enough."""
    if not settings.incident_dir.is_dir():
        return set()
    found: set[tuple[str, int]] = set()
    for path in archives(settings.archive_dir):
        if path.name.startswith(day):
            continue
        try:
            found.update((m.name, m.size) for m in read_members(path) if m.name.startswith(f"{INCIDENTS}/"))
        except ArchiveError:
            continue  # then the report goes into this one, too
    return found


def _pieces(taken: Sequence[tuple[str, Path, Found]], spool: IO[bytes], result: Archived) -> Iterator[Piece]:
    """Copies, each as of one moment."""
    for part, root, found in taken:
        start = spool.seek(0, 2)
        copied = copy_consistently(found, root, spool)
        if isinstance(copied, str):
            result.failed.append(Skipped(f"{part}/{found.name}", copied))
            spool.seek(start)
            spool.truncate()
            continue
        size, mtime_ns = copied
        yield Piece(f"{part}/{found.name}", spool, start, size, mtime_ns // 1_000_000_000)


def _places(directory: Path, day: str) -> Iterator[Path]:
    yield directory / f"{day}_runbook.tar.gz"
    for number in range(2, _MOST):
        yield directory / f"{day}_runbook_{number}.tar.gz"


def _compare(path: Path, new: Path, members: Sequence[Member], pieces: Sequence[Piece]) -> str:
    """``free``, ``same``, ``grown`` (all that was in it is in the new one too), or ``other``."""
    if not path.exists():
        return "free"
    try:
        old = read_members(path)
    except ArchiveError:
        return "other"
    if old == list(members) and path.read_bytes() == new.read_bytes():
        return "same"
    by_name = {one.name: one for one in pieces}
    for member in old:
        now = by_name.get(member.name)
        # a log that only grew begins with what was archived before
        if now is None or now.size < member.size or now.digest(member.size) != member.sha256:
            return "other"
    return "grown"
