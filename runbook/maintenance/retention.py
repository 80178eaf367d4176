"""Removes old files, by name and age, once an archive has them. Source of the days: the operators' contract, §5."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.model import SHANGHAI
from runbook.audit.views import VIEWS
from runbook.maintenance.archive import INCIDENTS, RUNBOOKS, SOAK, archives, secret_files
from runbook.maintenance.collect import Found, Skipped, files_below, unlink_below
from runbook.maintenance.placing import shanghai_time
from runbook.maintenance.tarball import ArchiveError, read_members
from runbook.settings import RunbookSettings

_DATE: Final = re.compile(r"(?<!\d)(20\d{6})(?!\d)")
_LOGS: Final = ("*.log", "*.log.*", "*.jsonl", "*.json", "*.csv", "*.md", "*.txt")
_PICTURES: Final = ("*.png", "*.jpg", "*.jpeg", "*.webp")
_REPORTS: Final = ("incident_*",)
_CHUNK: Final = 1 << 20
_KEPT_VIEWS: Final = frozenset(view.file for view in VIEWS)
"""They are made from the audit, which cuts them by itself."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Files of these names below a directory go after so many days. Others never do."""

    part: str
    root: Path
    names: tuple[str, ...]
    days: int

    def fits(self, name: str) -> bool:
        """By the last part of a name."""
        last = name.rpartition("/")[2].lower()
        return last not in _KEPT_VIEWS and any(fnmatch.fnmatchcase(last, pattern) for pattern in self.names)


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """A file whose time has come."""

    name: str
    """With the directory's name in archives in front: ``runbooks/…``."""
    age_days: int
    kept_days: int
    size: int


@dataclass(slots=True)
class Swept:
    """What retention did, or in a dry run would do."""

    removed: list[Due] = field(default_factory=list)
    unarchived: list[Due] = field(default_factory=list)
    """Due, and kept because no readable archive has them as they are."""
    failed: list[Skipped] = field(default_factory=list)


def rules(settings: RunbookSettings) -> list[Rule]:
    """What is kept how long."""
    keep = settings.retention
    return [
        Rule(RUNBOOKS, settings.log_dir, _PICTURES, keep.screenshots_days),
        Rule(RUNBOOKS, settings.log_dir, _LOGS, keep.logs_days),
        Rule(SOAK, settings.soak_dir, _PICTURES, keep.screenshots_days),
        Rule(SOAK, settings.soak_dir, _LOGS, keep.logs_days),
        Rule(INCIDENTS, settings.incident_dir, _REPORTS, keep.incidents_days),
    ]


def sweep(settings: RunbookSettings, wall_ns: int, *, dry_run: bool = False) -> Swept:
    """Remove what is due. Blocks: every archive is read to its last byte when something is due.

    A file goes only when an archive that can be read back holds exactly its content. Its age counts from its last
    change or from the date in its name, whichever is later. Archives themselves are never removed.
    """
    swept = Swept()
    due = list(_due(settings, shanghai_time(wall_ns), swept))
    archived = _archived(settings, swept) if due else set()
    for rule, found, one in due:
        try:
            safe = _sha256(found.path) in archived
            if safe and not dry_run:
                unlink_below(rule.root, found)
        except OSError as error:
            swept.failed.append(Skipped(one.name, f"cannot be removed: {error.strerror}"))
            continue
        (swept.removed if safe else swept.unarchived).append(one)
    return swept


def _due(settings: RunbookSettings, now: datetime, swept: Swept) -> Iterator[tuple[Rule, Found, Due]]:
    apart = [path.resolve() for path in (settings.archive_dir, settings.state_dir, settings.audit_directory)]
    done: set[tuple[int, int]] = set()
    for rule in rules(settings):
        for found in files_below(rule.root, secret_files(settings)):
            if isinstance(found, Skipped):
                if found.why.startswith("cannot"):
                    swept.failed.append(Skipped(f"{rule.part}/{found.name}", found.why))
                continue
            if found.identity in done or not rule.fits(found.name):
                continue
            if _belongs_elsewhere(settings, rule, found) or set(apart) & set(found.path.resolve().parents):
                continue
            age = now - max(shanghai_time(found.mtime_ns), _named_day(found.name))
            if age > timedelta(days=rule.days):
                done.add(found.identity)
                yield rule, found, Due(f"{rule.part}/{found.name}", age.days, rule.days, found.size)


def _belongs_elsewhere(settings: RunbookSettings, rule: Rule, found: Found) -> bool:
    """Whether it is in a directory with a rule of its own that lies below this one."""
    parents = found.path.resolve().parents
    own = rule.root.resolve()
    others = {one.root.resolve() for one in rules(settings)} - {own}
    return any(other in parents and own in other.parents for other in others)


def _named_day(name: str) -> datetime:
    """The latest date in a name, at the end of that day; long ago without one."""
    days = []
    for text in _DATE.findall(name):
        try:
            days.append(datetime.strptime(text, "%Y%m%d").replace(tzinfo=SHANGHAI) + timedelta(days=1))
        except ValueError:
            continue
    return max(days, default=datetime(1970, 1, 2, tzinfo=SHANGHAI))


def _archived(settings: RunbookSettings, swept: Swept) -> set[str]:
    """SHA-256 of everything that archives really hold."""
    known: set[str] = set()
    for path in archives(settings.archive_dir):
        try:
            known.update(member.sha256 for member in read_members(path))
        except ArchiveError as error:
            swept.failed.append(Skipped(f"archive/{path.name}", str(error)))
    return known


def _sha256(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            sha.update(data)
    return sha.hexdigest()
