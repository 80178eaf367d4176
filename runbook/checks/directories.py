"""State and log directories: there, writable, on a local disk; the state for its owner only."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.checks.places import NETWORK, VOLATILE, existing, file_system, write_error

_MODE: Final = 0o700
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of ours."""

    path: Path
    what: str
    setting: str
    is_state: bool = False
    """Must survive: audit, runs, jobs, the ledger."""


def places(inspection: Inspection) -> Sequence[Place]:
    """All directories that the runbook makes, each path once."""
    runbook = inspection.runbook
    found = [
        Place(runbook.state_dir, "state", "RUNBOOK_STATE_DIR", is_state=True),
        Place(runbook.audit_directory, "audit", "RUNBOOK_AUDIT_DIR", is_state=True),
        Place(inspection.log_dir or runbook.log_dir, "logs", "RUNBOOK_LOG_DIR (--log-dir)"),
        Place(runbook.archive_dir, "archives", "RUNBOOK_ARCHIVE_DIR"),
        Place(runbook.incident_dir, "incident reports", "RUNBOOK_INCIDENT_DIR"),
        Place(runbook.soak_dir, "soak reports", "RUNBOOK_SOAK_DIR"),
    ]
    gateway = inspection.gateway_settings
    if gateway is not None and gateway.bus.store_dir is not None:
        found.append(Place(gateway.bus.store_dir, "bundled nats-server", "FEEDGATE_BUS__STORE_DIR"))
    return list({place.path: place for place in reversed(found)}.values())[::-1]


def check(inspection: Inspection) -> Sequence[Finding]:
    """Writes and removes a nameless file in each."""
    return [finding for place in places(inspection) for finding in _findings(inspection, place)]


def fix(inspection: Inspection) -> Sequence[str]:
    """Makes the missing ones, mode 0700. Modes of those that are there stay as they are."""
    done = []
    for place in places(inspection):
        if place.path.exists():
            continue
        missing = [place.path]
        while not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            path.mkdir(mode=_MODE, exist_ok=True)
        done.append(f"mkdir -m 700 {place.path} ({place.what})")
    return done


def _findings(inspection: Inspection, place: Place) -> Iterator[Finding]:
    named = f"{place.path} ({place.what})"
    if not place.path.exists():
        above = existing(place.path)
        error = write_error(above) if above.is_dir() else "Not a directory"
        if error:
            yield inspection.lacking(
                f"{named} does not exist, and cannot be made in {above}: {error}",
                f"mkdir -m 700 -p {place.path} with the rights for it, or set {place.setting}",
            )
        else:
            yield Finding.info(f"{named} does not exist yet; it is made when it is needed", "runbook doctor --fix")
        return
    if not place.path.is_dir():
        yield inspection.lacking(f"{named} is no directory", f"move it away, or set {place.setting}")
        return
    if error := write_error(place.path):
        yield inspection.lacking(
            f"{named} cannot be written: {error}", f"ls -ld {place.path}; correct its owner, or set {place.setting}"
        )
        return
    bad = [*_mode(inspection, place, named), *_disk(inspection, place, named)]
    yield from bad or [Finding.ok(f"{named} can be written")]


def _mode(inspection: Inspection, place: Place, named: str) -> Iterator[Finding]:
    mode = stat.S_IMODE(place.path.stat().st_mode)
    if mode & _OTHERS_WRITE:
        yield inspection.lacking(f"other users can write to {named} (mode {mode:04o})", f"chmod go-w {place.path}")
    elif place.is_state and mode & _OTHERS:
        yield Finding.warning(f"other users can look into {named} (mode {mode:04o})", f"chmod 700 {place.path}")


def _disk(inspection: Inspection, place: Place, named: str) -> Iterator[Finding]:
    found = file_system(place.path)
    if found is None or not place.is_state:
        return
    if found.type in NETWORK:
        yield inspection.lacking(
            f"{named} is on a network file system ({found.type} at {found.mount}), where locks and syncing cannot be "
            "relied upon",
            f"set {place.setting} to a directory on a local disk",
        )
    elif found.type in VOLATILE:
        yield inspection.lacking(
            f"{named} is in memory ({found.type} at {found.mount}) and gone after a restart of the machine",
            f"set {place.setting} to a directory on a local disk",
        )


CHECK = Check(name="directories", title="State and log directories", run=check, fix=fix)
