"""What goes, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runbook.actions.archive import ArchiveParameters, make_archive
from runbook.actions.retention import RetentionParameters, retain
from runbook.audit import open_audit, verify
from runbook.maintenance.archive import archive
from runbook.maintenance.retention import sweep
from runbook.model import AuditRecord


def there(desk: Any) -> set[str]:
    logs: Path = desk.root / "logs"
    return {str(p.relative_to(logs)) for p in logs.rglob("*") if p.is_file() and "archive" not in p.parts}


async def test_files_go_by_name_and_age_once_they_are_archived(desk: Any) -> None:
    keep = {
        desk.file("runbooks/subscription_check_a.log", "a", age_days=29),
        desk.file("runbooks/startup.png", b"b", age_days=6),
        desk.file("incidents/incident_b.tar.gz", b"c", age_days=89),
        desk.file("runbooks/unknown.bin", b"d", age_days=999),
        desk.file("runbooks/startup_audit.log", "a view\n", age_days=999),
        # the date in its name is younger than its last change
        desk.file("runbooks/20261101_report.json", "e", age_days=31),
    }
    desk.file("runbooks/subscription_check_b.log", "f", age_days=31)
    desk.file("runbooks/runs/b.log", "g", age_days=31)
    desk.file("runbooks/20261110_startup.png", b"h", age_days=8)
    desk.file("soak/report.json", "i", age_days=31)
    desk.file("incidents/incident_a.tar.gz", b"j", age_days=91)
    result = await make_archive(desk.context("archive"), ArchiveParameters())
    assert result.exit_code == 0
    assert there(desk) == {str(path.relative_to(desk.root / "logs")) for path in keep}
    assert result.details["retention"]["removed_total"] == 5


def test_what_no_archive_has_stays(desk: Any) -> None:
    desk.file("runbooks/a.log", "one\n", age_days=31)
    assert [due.name for due in sweep(desk.settings, desk.clock.wall_ns()).unarchived] == ["runbooks/a.log"]
    archive(desk.settings, "20261120")
    desk.file("runbooks/a.log", "one\ntwo\n", age_days=31)
    assert [due.name for due in sweep(desk.settings, desk.clock.wall_ns()).unarchived] == ["runbooks/a.log"]
    desk.file("runbooks/a.log", "one\n", age_days=31)
    assert [due.name for due in sweep(desk.settings, desk.clock.wall_ns()).removed] == ["runbooks/a.log"]
    assert there(desk) == set()


async def test_an_archive_that_cannot_be_read_back_counts_for_nothing(desk: Any) -> None:
    desk.file("runbooks/a.log", "one\n" * 500, age_days=31)
    path = archive(desk.settings, "20261120").path
    assert path is not None
    path.write_bytes(path.read_bytes()[:-30])
    result = await retain(desk.context("retention"), RetentionParameters())
    assert result.exit_code == 1
    assert there(desk) == {"runbooks/a.log"}
    assert "run `runbook archive`" in result.message


async def test_a_dry_run_lists_what_would_go_and_removes_nothing(desk: Any) -> None:
    desk.file("runbooks/a.log", "one\n", age_days=31)
    archive(desk.settings, "20261120")
    result = await retain(desk.context("retention", dry_run=True), RetentionParameters())
    assert [due["name"] for due in result.details["removed"]] == ["runbooks/a.log"]
    assert there(desk) == {"runbooks/a.log"}


def record(at: str) -> AuditRecord:
    return AuditRecord(
        run="r", event="start", at=at, action="start", operator="li", trigger="cli", session="day", window="day",
        profile="live", config="primary", mode="live", reason="", parameters={},
    )  # fmt: skip


async def test_old_records_of_the_audit_go_with_a_note_and_it_still_verifies(desk: Any) -> None:
    directory = desk.settings.audit_directory
    log = open_audit(directory, desk.clock)
    for _ in range(3):
        log.append(record("2026-11-20T12:00:00+08:00"))
        await desk.clock.advance(200 * 86_400)
    log.append(record("2028-07-12T12:00:00+08:00"))
    before = sorted(path.name for path in directory.glob("audit-*.jsonl"))
    dry = await retain(desk.context("retention", dry_run=True), RetentionParameters())
    assert [file["name"] for file in dry.details["audit"]] == before[:1]
    assert sorted(path.name for path in directory.glob("audit-*.jsonl")) == before
    result = await retain(desk.context("retention", reason="daily"), RetentionParameters())
    assert result.exit_code == 0, result.message
    assert before[0] not in {path.name for path in directory.glob("audit-*.jsonl")}
    assert verify(directory).exit_code == 0
    notes = [
        line for path in directory.glob("audit-*.jsonl") for line in path.read_text().splitlines() if "pruned" in line
    ]
    assert len(notes) == 1
    assert '"operator":"li"' in notes[0]
