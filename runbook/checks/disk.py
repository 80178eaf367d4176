"""Free space where we write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runbook.checks.directories import places
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.checks.places import existing

_MIB: Final = 1024 * 1024
LEAST: Final = 512 * _MIB
"""A day's logs and the audit fit; below it a full disk stops actions, because nothing is done that is not recorded."""
LITTLE: Final = 5 * 1024 * _MIB
"""Thirty days of logs fit."""
_FEW_FILES: Final = 10_000


def check(inspection: Inspection) -> Sequence[Finding]:
    """One finding for each file system that holds directories of ours."""
    paths = {place.path: place.what for place in places(inspection)}
    gateway = inspection.gateway_settings
    if gateway is not None and gateway.ledger.path is not None:
        paths[gateway.ledger.path.parent] = "gap ledger"
    disks: dict[int, tuple[Path, list[str]]] = {}
    for path, what in paths.items():
        there = existing(path)
        disks.setdefault(there.stat().st_dev, (there, []))[1].append(what)
    return [judge(inspection, place, ", ".join(whats), os.statvfs(place)) for place, whats in disks.values()]


def judge(inspection: Inspection, place: Path, whats: str, found: os.statvfs_result) -> Finding:
    """What the figures of a file system mean."""
    free = found.f_bavail * found.f_frsize
    named = f"the disk of {place} ({whats}) has {free // _MIB:,} MiB free"
    fix = f"df -h {place}; runbook archive, then remove what is old, or move the directories"
    if free < LEAST:
        return inspection.lacking(named, fix)
    if found.f_files and found.f_favail < _FEW_FILES:
        return inspection.lacking(f"{named}, but can hold only {found.f_favail} more files", f"df -i {place}")
    return Finding.warning(named, fix) if free < LITTLE else Finding.ok(named)


CHECK = Check(name="disk", title="Disk space", run=check)
