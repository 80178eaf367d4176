from __future__ import annotations

import hashlib
import json
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import pytest

from runbook.audit import AuditError, AuditLog, Position, verify
from runbook.audit.files import audit_files, locked
from runbook.model import AuditRecord

Make = Callable[..., AuditRecord]
KEY = b"a key of thirty-two bytes, random"


def lines(directory: Path) -> list[bytes]:
    return b"".join((directory / file.name).read_bytes() for file in audit_files(directory)).splitlines()


def test_a_record_comes_back_field_by_field(tmp_path, clock, record: Make):
    one = record(
        exit_code=41, message='drill "failed"\n第二行', parameters={"n": 1, "deep": {"list": [1.5, None, True]}}
    )
    position = AuditLog(tmp_path / "a", clock).append(one)
    body = json.loads(lines(tmp_path / "a")[0])
    assert {name: body[name] for name in asdict(one)} == asdict(one)
    assert (body["seq"], body["prev"], body["hash"]) == (1, "0" * 64, position.hash)
    assert body["written"].endswith("+08:00")
    assert position.file == "audit-0000000001-202611.jsonl"


def test_its_directory_is_for_its_owner_alone(tmp_path, clock, record: Make):
    AuditLog(tmp_path / "a", clock).append(record())
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_anybody_can_check_the_hash_with_a_few_lines(directory):
    prev = "0" * 64
    for number, raw in enumerate(lines(directory), 1):
        text, _, rest = raw.rpartition(b',"hash":"')
        assert hashlib.sha256(text + b"}").hexdigest() == rest.decode()[:64]
        body = json.loads(raw)
        assert (body["seq"], body["prev"]) == (number, prev)
        prev = body["hash"]


def test_numbers_and_chain_go_on_over_files_and_over_a_new_log(directory, clock, record: Make):
    assert len(audit_files(directory)) > 3
    assert AuditLog(directory, clock).append(record()).seq == 31
    report = verify(directory)
    assert (report.exit_code, report.records, report.last) == (0, 31, 31)


def test_a_new_month_begins_a_new_file(tmp_path, clock, record: Make):
    log = AuditLog(tmp_path / "a", clock)
    log.append(record())
    clock.pass_days(12)
    log.append(record())
    clock.pass_days(-12)  # somebody sets the clock back: no third file, and nothing is wrong
    log.append(record())
    names = [file.name for file in audit_files(tmp_path / "a")]
    assert names == ["audit-0000000001-202611.jsonl", "audit-0000000002-202612.jsonl"]
    assert verify(tmp_path / "a").exit_code == 1  # no index was made
    assert verify(tmp_path / "a").ok


def test_what_json_cannot_say_becomes_text_and_no_record_is_lost(tmp_path, clock, record: Make):
    odd = {
        "path": PurePosixPath("/x"),
        "nan": float("nan"),
        "huge": 2**70,
        3: {"b"},
        "raw": b"\xff",
    }
    log = AuditLog(tmp_path / "a", clock)
    log.append(record(parameters=odd, message="\udcff lone", reason="\x00\u2028"))
    body = json.loads(lines(tmp_path / "a")[0])
    assert body["parameters"] == {"path": "/x", "nan": "nan", "huge": str(2**70), "3": ["b"], "raw": "b'\\xff'"}
    assert body["message"] == "\\udcff lone"
    assert verify(tmp_path / "a").ok


def test_a_very_long_message_is_cut_and_says_so(tmp_path, clock, record: Make):
    AuditLog(tmp_path / "a", clock).append(record(message="x" * 20_000))
    assert json.loads(lines(tmp_path / "a")[0])["message"].endswith("x… (3616 characters cut)")


def test_a_record_that_stays_too_long_is_refused_and_leaves_nothing(tmp_path, clock, record: Make):
    log = AuditLog(tmp_path / "a", clock)
    with pytest.raises(AuditError, match="put long output into a file") as caught:
        log.append(record(parameters={str(n): "x" * 16_000 for n in range(100)}))
    assert caught.value.exit_code == 2
    assert lines(tmp_path / "a") == []
    assert log.append(record()).seq == 1


def test_what_happens_after_a_record_is_told_and_cannot_undo_it(tmp_path, clock, record: Make, caplog):
    seen: list[Position] = []

    def broken(position: Position) -> None:
        raise RuntimeError("the bus is away")

    log = AuditLog(tmp_path / "a", clock, after=(broken, seen.append))
    position = log.append(record())
    assert seen == [position]
    assert "the bus is away" in caplog.text
    assert verify(tmp_path / "a", expect=str(position)).ok


def test_threads_do_not_fork_the_chain(tmp_path, clock, record: Make):
    logs = [AuditLog(tmp_path / "a", clock, max_bytes=6000) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        positions = list(pool.map(lambda number: logs[number % 4].append(record()), range(60)))
    assert sorted(position.seq for position in positions) == list(range(1, 61))
    assert verify(tmp_path / "a").records == 60
    assert verify(tmp_path / "a").ok


def test_a_writer_that_holds_the_lock_for_ever_is_an_error_that_names_the_directory(tmp_path, clock, record: Make):
    (tmp_path / "a").mkdir()
    log = AuditLog(tmp_path / "a", clock, lock_wait_s=0.1)
    with locked(tmp_path / "a", exclusive=True), pytest.raises(AuditError, match="held by another process"):
        log.append(record())
    assert log.append(record()).seq == 1


def test_an_append_waits_for_the_one_before_it(tmp_path, clock, record: Make):
    (tmp_path / "a").mkdir()
    log = AuditLog(tmp_path / "a", clock)
    with ThreadPoolExecutor(1) as pool:
        started = threading.Event()

        def append() -> Position:
            started.set()
            return log.append(record())

        with locked(tmp_path / "a", exclusive=True):
            future = pool.submit(append)
            assert started.wait(60)
            assert not future.done()
            assert audit_files(tmp_path / "a") == []
        assert future.result(60).seq == 1


def test_a_directory_that_cannot_be_made_is_an_error_with_the_fix(tmp_path, clock, record: Make):
    (tmp_path / "file").write_text("x")
    with pytest.raises(AuditError, match="cannot be written: Not a directory; check space and rights") as caught:
        AuditLog(tmp_path / "file" / "audit", clock).append(record())
    assert caught.value.exit_code == 2


def test_when_the_head_cannot_be_written_the_line_is_taken_back(directory, clock, record: Make):
    before = lines(directory)
    (directory / "head.json.new").mkdir()
    for max_bytes in (1 << 20, 100):  # into the last file, and into a new one
        with pytest.raises(AuditError, match="cannot be written"):
            AuditLog(directory, clock, max_bytes=max_bytes).append(record())
        assert lines(directory) == before
        assert verify(directory).exit_code == 0
    (directory / "head.json.new").rmdir()
    assert AuditLog(directory, clock).append(record()).seq == 31
    assert verify(directory).ok


def test_a_short_key_is_refused(tmp_path, clock):
    with pytest.raises(AuditError, match="at least 16"):
        AuditLog(tmp_path, clock, key=b"secret")


def test_a_sealed_audit_refuses_a_writer_without_the_key(tmp_path, clock, record: Make):
    AuditLog(tmp_path / "a", clock, key=KEY).append(record())
    with pytest.raises(AuditError, match="set the audit key"):
        AuditLog(tmp_path / "a", clock).append(record())
    AuditLog(tmp_path / "a", clock, key=KEY).append(record())
    assert verify(tmp_path / "a", key=KEY).sealed == 2


def test_an_audit_can_take_a_key_and_later_another_one(tmp_path, clock, record: Make):
    for key in (None, KEY, b"the second key, also random"):
        AuditLog(tmp_path / "a", clock, key=key).append(record())
    both = [KEY, b"the second key, also random"]
    report = verify(tmp_path / "a", key=both, accept=[2])
    assert (report.ok, report.sealed) == (True, 2)
    findings = verify(tmp_path / "a", key=KEY, accept=[2]).findings
    assert [finding.kind for finding in findings if finding.severity == "tampered"] == ["seal", "head"]
    assert not verify(tmp_path / "a", key=both).ok  # whoever introduced the key knows where; see the next test


def test_the_key_is_nowhere_in_the_files(tmp_path, clock, record: Make):
    AuditLog(tmp_path / "a", clock, key=KEY).append(record())
    everything = b"".join(path.read_bytes() for path in (tmp_path / "a").iterdir())
    assert KEY not in everything
    assert KEY.hex().encode() not in everything


def test_files_are_not_for_everybody(directory):
    for file in audit_files(directory):
        assert (directory / file.name).stat().st_mode & 0o007 == 0
    assert directory.stat().st_mode & 0o007 == 0


def test_a_symbolic_link_in_the_place_of_a_file_is_not_followed(directory, clock, record: Make, tmp_path):
    last = directory / audit_files(directory)[-1].name
    target = tmp_path / "elsewhere"
    last.rename(target)
    last.symlink_to(target)
    size = target.stat().st_size
    with pytest.raises(AuditError):
        AuditLog(directory, clock).append(record())
    assert target.stat().st_size == size
