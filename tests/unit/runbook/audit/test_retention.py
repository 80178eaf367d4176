from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runbook.audit import AuditError, AuditIndex, AuditLog, verify
from runbook.audit.files import audit_files
from runbook.model import AuditRecord

KEY = b"a key of thirty-two bytes, random"


@pytest.fixture
def by(record: Callable[..., AuditRecord]) -> AuditRecord:
    return record(event="note", action="retention", operator="schedule", run="retention-1")


@pytest.fixture(scope="module", params=[None, KEY], ids=["without key", "with key"])
def grown(request, tmp_path_factory, new_clock, record) -> tuple[Path, bytes | None, int]:
    """A record every second day of a year and a half, 274 in all, the newest of today; its key, and what time it is."""
    clock, directory = new_clock(), tmp_path_factory.mktemp("grown")
    log = AuditLog(directory, clock, key=request.param)
    for _ in range(274):
        clock.pass_days(2)
        log.append(record())
    return directory, request.param, clock.now_ns


@pytest.fixture
def key(grown) -> bytes | None:
    return grown[1]


@pytest.fixture
def log(grown, tmp_path: Path, clock) -> AuditLog:
    shutil.copytree(grown[0], tmp_path / "a")
    clock.now_ns = grown[2]
    return AuditLog(tmp_path / "a", clock, key=grown[1])


def test_old_months_go_and_the_audit_still_verifies(log, by, key):
    AuditIndex(log.directory).refresh()
    before = audit_files(log.directory)
    pruned = log.prune(400, by)
    after = audit_files(log.directory)
    gone = before[: len(before) - len(after)]
    assert [file.name for file in gone] == [file.name for file in pruned.files]
    assert len(gone) == 5
    report = verify(log.directory, key=key)
    assert (report.exit_code, report.first, report.last) == (0, after[0].first, 275)
    [finding] = report.findings
    assert (finding.kind, finding.severity) == ("pruned", "info")
    assert "removed by retention (schedule," in finding.message
    AuditIndex(log.directory).refresh()
    newest = AuditIndex(log.directory).page(limit=1).entries[0]
    assert newest.record.message.startswith(f"records 1 to {after[0].first - 1} (5 files, until ")
    assert [entry.seq for entry in AuditIndex(log.directory).entries()][-1] == after[0].first


def test_it_goes_on_over_several_rounds_and_an_old_head_is_still_known(log, by, key, clock):
    log.prune(400, by)
    first = audit_files(log.directory)[0]
    border = log.prune(400, by)
    assert border.files == ()
    clock.pass_days(200)
    assert log.prune(400, by).files[0].first == first.first
    report = verify(log.directory, key=key, expect="1:" + "0" * 64)
    assert "expected" in {finding.kind for finding in report.findings}
    assert verify(log.directory, key=key).ok


def test_the_newest_file_never_goes(log, by, clock, key):
    clock.pass_days(4000)
    log.prune(400, by)
    assert len(audit_files(log.directory)) == 2  # the one that was newest, and the one with the record of retention
    clock.pass_days(4000)
    log.prune(400, by)
    assert verify(log.directory, key=key).ok
    assert len(audit_files(log.directory)) == 2


def test_nothing_due_writes_no_record(log, by):
    assert log.prune(1000, by).files == ()
    assert verify(log.directory).last == 274


def test_less_than_the_incident_reports_need_is_refused(log, by):
    with pytest.raises(AuditError, match="at least 90 days"):
        log.prune(30, by)


def test_removing_one_file_more_than_the_record_says_is_found(log, by, key):
    log.prune(400, by)
    (log.directory / audit_files(log.directory)[0].name).unlink()
    assert "missing" in {finding.kind for finding in verify(log.directory, key=key).findings}


def test_a_damaged_file_is_evidence_and_stays(log, by):
    file = log.directory / audit_files(log.directory)[1].name
    file.write_bytes(file.read_bytes().replace(b"wang", b"wanG", 1))
    with pytest.raises(AuditError, match="it is evidence and stays") as caught:
        log.prune(400, by)
    assert (caught.value.fields["file"], caught.value.fields["line"]) == (file.name, 1)
    assert len(audit_files(log.directory)) == 19


def test_a_record_that_is_missing_in_an_old_file_keeps_it_as_evidence(log, by):
    file = log.directory / audit_files(log.directory)[1].name
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3] + lines[4:]))
    with pytest.raises(AuditError, match=r"line 4 does not verify .it does not continue the chain"):
        log.prune(400, by)


def test_an_interrupted_removal_verifies_and_is_finished_later(log, by, key):
    files = {file.name: (log.directory / file.name).read_bytes() for file in audit_files(log.directory)}
    pruned = log.prune(400, by)
    for file in pruned.files[2:]:
        (log.directory / file.name).write_bytes(files[file.name])  # as if it had died after two of five
    assert verify(log.directory, key=key).ok
    assert log.prune(400, replace(by, run="retention-2")).files == ()  # it was told of already
    assert audit_files(log.directory)[0].first == pruned.files[-1].last + 1
    assert verify(log.directory, key=key).ok


def test_files_put_back_changed_after_their_removal_are_not_removed_but_found(log, by, key):
    old = audit_files(log.directory)[3]
    data = (log.directory / old.name).read_bytes()
    log.prune(400, by)
    (log.directory / old.name).write_bytes(data.replace(b"wang", b"wanG", 1))
    assert not verify(log.directory, key=key).ok
    with pytest.raises(AuditError, match="evidence"):
        log.prune(400, by)
    assert (log.directory / old.name).exists()
