"""An incident report: one archive with the record of the operators' contract (§9) and the evidence."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runbook.context import ActionContext
from runbook.maintenance.evidence import Collector, Evidence, since
from runbook.maintenance.placing import draft, settle, shanghai_time
from runbook.maintenance.tarball import ArchiveError, piece, read_members, write_tarball
from runbook.maintenance.yaml_text import yaml_text
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai

RECORD: Final = "incident.yaml"
_MOST: Final = 1000
_FILE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the operator says about it."""

    trigger: str
    actions: list[str]
    outcome: str
    follow_ups: list[str]
    minutes: int
    """How far back logs and audit go."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A report that was written."""

    path: Path
    record: dict[str, Any]
    files: list[str]
    missing: list[str]


async def report(context: ActionContext, told: Told, masker: Masker) -> Reported:
    """Collect and write it into the incident directory. Raises OSError or ArchiveError when it cannot be written."""
    context.tell("collect", "collecting status, metrics, logs and audit", {"minutes": told.minutes})
    evidence = await Collector(context, masker, since(context, told.minutes)).collect()
    record = masker.mapping(incident_record(context, told, evidence))
    files = {RECORD: yaml_text(record).encode(), **evidence.files}
    path = await asyncio.to_thread(_write, context, files)
    return Reported(path, record, sorted(files), evidence.missing)


def incident_record(context: ActionContext, told: Told, evidence: Evidence) -> dict[str, Any]:
    """The fields of the contract, in its order, then what could not be had."""
    own = [entry for entry in evidence.entries if entry.record.run == context.run]
    others = [entry for entry in evidence.entries if entry.record.run != context.run]
    done = [
        f"{entry.record.at} {entry.record.action} by {entry.record.operator}: exit code {entry.record.exit_code}"
        for entry in others
        if entry.record.event in ("stop", "exception")
    ]
    return {
        "date_time": shanghai(context.clock.wall_ns()),
        "session": own[0].record.session if own else "unknown",
        "operator": context.request.operator,
        "trigger": told.trigger or context.request.reason,
        "actions": [*told.actions, *done],
        "metrics": {
            "md_runbook_exit_code": _exit_codes(evidence),
            "md_failover_latency_ms": evidence.figures.get("md_failover_latency_ms"),
        },
        "outcome": told.outcome,
        "follow_ups": told.follow_ups,
        "audit_files": sorted(_audit_files(context)),
        "not_available": evidence.missing,
    }


def _exit_codes(evidence: Evidence) -> dict[str, float] | None:
    """Of the Pushgateway; without it the last ones of the audit, which say so in their labels."""
    if pushed := evidence.figures.get("md_runbook_exit_code"):
        return pushed
    found: dict[str, float] = {}
    for entry in evidence.entries:
        record = entry.record
        if record.exit_code is not None:
            labels = f'command="{record.action}",window="{record.window or "none"}",profile="{record.profile}"'
            found[f'{labels},source="audit"'] = record.exit_code
    return found or None


def _audit_files(context: ActionContext) -> list[str]:
    try:
        return [str(path) for path in context.runbook.audit_directory.glob("audit-*.jsonl")]
    except OSError:
        return []


def _write(context: ActionContext, files: dict[str, bytes]) -> Path:
    now = context.clock.wall_ns()
    directory = context.runbook.incident_dir
    pieces = [piece(name, data, now // 1_000_000_000) for name, data in files.items()]
    with draft(directory, mode=_FILE_MODE) as (file, temporary):
        members = write_tarball(file, pieces)
        file.flush()
        if read_members(temporary) != members:
            raise ArchiveError(f"{temporary.name} was not written as it should be; look at the disk")
        for number in range(1, _MOST):
            again = "" if number == 1 else f"_{number}"
            path = directory / f"incident_{shanghai_time(now):%Y%m%d_%H%M%S}{again}.tar.gz"
            if not path.exists():
                settle(file, temporary, path)
                return path
    raise ArchiveError(f"there are {_MOST} reports of this second in {directory}")
