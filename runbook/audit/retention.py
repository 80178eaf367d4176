"""Which old files may go, and what the ``pruned`` record says of them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway.clock import Clock
from runbook.audit.chain import Entry, key_id, line_mac, stamp
from runbook.audit.errors import AuditError
from runbook.audit.files import AuditFile, audit_files, read_lines, records_after, torn_part

KEEP_DAYS: Final = 400
"""A year and the month in which the auditors come."""
LEAST_DAYS: Final = 90
"""Incident reports are kept 90 days and name records of the audit. Source: the operators' contract, §5."""


@dataclass(frozen=True, slots=True)
class PrunedFile:
    """One removed file, as its ``pruned`` record holds it."""

    name: str
    first: int
    last: int
    hash: str
    """Of its last record: ``prev`` of the next file's first."""
    sha256: str
    """Of the whole file, so that an archived copy can be recognised."""
    newest: str
    """When its last record was written."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed; ``files`` empty: nothing was due."""

    keep_days: int
    files: tuple[PrunedFile, ...]

    @property
    def chain(self) -> dict[str, Any]:
        return {"kind": "pruned", "keep_days": self.keep_days, "files": [asdict(file) for file in self.files]}

    @property
    def message(self) -> str:
        if not self.files:
            return "nothing is old enough"
        first, last = self.files[0], self.files[-1]
        return (
            f"records {first.first} to {last.last} ({len(self.files)} files, until {last.newest[:10]}) "
            f"were removed after {self.keep_days} days"
        )


def pruned_files(chain: Mapping[str, Any]) -> tuple[PrunedFile, ...]:
    """Of the ``chain`` field of a ``pruned`` record. Raises ValueError when it is none."""
    try:
        return tuple(PrunedFile(**file) for file in chain["files"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a list of removed files: {error}") from error


def leftovers(directory: Path) -> list[str]:
    """Files that a ``pruned`` record names, byte for byte, and that are still there: the removal was interrupted."""
    there = {file.name for file in audit_files(directory)[:-1]}
    named: dict[str, str] = {}
    for entry, _ in records_after(directory, 0):
        if entry.chain.get("kind") == "pruned":
            with contextlib.suppress(ValueError):  # verify tells
                named |= {file.name: file.sha256 for file in pruned_files(entry.chain)}
    return sorted(
        name
        for name in there & named.keys()
        if hashlib.sha256((directory / name).read_bytes()).hexdigest() == named[name]
    )


def prunable(directory: Path, clock: Clock, keep_days: int, key: bytes | None) -> Pruned:
    """The oldest whole files that are due.

    Raises AuditError when one of them does not verify, or ``keep_days`` is too short.
    """
    if keep_days < LEAST_DAYS:
        raise AuditError(
            f"the audit is kept at least {LEAST_DAYS} days, because incident reports refer to it; "
            f"{keep_days} is too short"
        )
    border = datetime.fromisoformat(stamp(clock.wall_ns())) - timedelta(days=keep_days)
    due: list[PrunedFile] = []
    prev: str | None = None
    for file in audit_files(directory)[:-1]:
        data = (directory / file.name).read_bytes()
        entries = _checked(file, data, prev, key)
        if not entries or datetime.fromisoformat(entries[-1].written) >= border:
            break
        last = entries[-1]
        prev = last.hash
        digest = hashlib.sha256(data).hexdigest()
        due.append(PrunedFile(file.name, file.first, last.seq, last.hash, digest, last.written))
    return Pruned(keep_days, tuple(due))


def _checked(file: AuditFile, data: bytes, prev: str | None, key: bytes | None) -> list[Entry]:
    entries: list[Entry] = []
    seq = file.first
    for found in read_lines(file.name, data):
        entry = found.entry
        wrong = str(found.error) if entry is None else ""
        # a break has its own note, and was reported since
        if entry and entry.chain.get("kind") != "break" and (entry.seq != seq or prev not in {None, entry.prev}):
            wrong = "it does not continue the chain"
        if entry and key and entry.key == key_id(key) and entry.mac != line_mac(key, entry.hash):
            wrong = "its seal is not of the audit's key"
        if wrong or entry is None:
            raise _evidence(file.name, found.line, wrong)
        entries.append(entry)
        prev, seq = entry.hash, entry.seq + 1
    if torn_part(data):
        raise _evidence(file.name, len(entries) + 1, "it is torn")
    return entries


def _evidence(name: str, line: int, why: str) -> AuditError:
    return AuditError(
        f"{name} is old enough to be removed but line {line} does not verify ({why}); it is evidence and stays: "
        "run `runbook audit verify`, copy the file to the incident, then move it away by hand",
        file=name,
        line=line,
    )
