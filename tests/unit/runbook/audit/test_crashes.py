"""Real processes: killed while they write, writing at once, without space."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import runbook
from runbook.audit import AuditError, AuditIndex, AuditLog, verify
from runbook.audit.chain import Position
from runbook.audit.files import audit_files
from runbook.audit.head import write_head

ROOT = Path(runbook.__file__).parents[1]

WRITER = """
import resource, sys
from pathlib import Path
from gateway.clock import SystemClock
from runbook.audit import AuditError, AuditIndex, AuditLog
from runbook.model import AuditRecord

def record(number):
    return AuditRecord(run=f"{sys.argv[2]}-{number}", event="note", at="2026-11-21T08:45:00+08:00", action="x",
        operator="w", trigger="cli", session="day", window="day", profile="test", config="primary", mode="mock",
        reason="", parameters={"number": number}, message="x" * 200)

log = AuditLog(Path(sys.argv[1]), SystemClock(), max_bytes=40_000, lock_wait_s=60.0)
"""

FOR_EVER = """
number = 0
while True:
    number += 1
    position = log.append(record(number))
    print(position, flush=True)
"""

FIVE_HUNDRED = """
print("ready", flush=True)
sys.stdin.readline()
for number in range(500):
    log.append(record(number))
"""

WITHOUT_SPACE = """
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
import json
done, error = [], None
for number in range(100):
    try:
        done.append(str(log.append(record(number))))
    except AuditError as caught:
        error = {"text": str(caught), "exit_code": caught.exit_code}
        break
print(json.dumps({"done": done, "error": error}))
"""


def start(directory: Path, name: str, program: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER + program, str(directory), name, *more]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def serious(directory: Path, **more: object) -> list[str]:
    return [str(finding) for finding in verify(directory, **more).findings if finding.severity == "tampered"]


def test_a_writer_that_is_killed_again_and_again_loses_nothing_that_it_was_told_is_written(tmp_path):
    directory = tmp_path / "audit"
    told: list[str] = []
    for turn in range(8):
        with start(directory, f"turn{turn}", FOR_EVER) as process:
            assert process.stdout is not None
            told += [process.stdout.readline().strip() for _ in range(1 + turn * 3)]
            process.send_signal(signal.SIGKILL)
            told += process.stdout.read().splitlines()
            process.wait(60)
        # a line of the last print may be cut by the kill; a whole one has the length of its hash
        told = [head for head in told if len(head.partition(":")[2]) == 64]
        assert serious(directory, expect=told) == []
    seqs = [int(head.partition(":")[0]) for head in told]
    assert seqs == sorted(set(seqs))
    assert verify(directory).records >= len(told) > 80


@pytest.mark.parametrize("max_bytes", [1 << 20, 3000], ids=["within a file", "in a new file"])
@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_line_is_kept_told_and_not_held_against_the_audit(directory, clock, record, cut, max_bytes):
    torn = (directory / audit_files(directory)[0].name).read_bytes()[:cut]
    last = directory / audit_files(directory)[-1].name
    with last.open("ab") as file:
        file.write(torn)
    report = verify(directory)
    assert (report.exit_code, [finding.kind for finding in report.findings]) == (1, ["torn"])
    AuditLog(directory, clock, max_bytes=max_bytes).append(record())
    [kept] = (directory / "torn").iterdir()
    assert kept.read_bytes() == torn
    AuditIndex(directory).refresh()
    after, note = AuditIndex(directory).page(limit=2).entries
    assert (note.seq, note.record.event, note.chain["kind"]) == (31, "note", "torn")
    assert (note.chain["file"], note.chain["bytes"], note.chain["kept"]) == (last.name, cut, f"torn/{kept.name}")
    assert kept.name in note.record.message
    assert after.seq == 32
    assert verify(directory).exit_code == 0


def test_a_torn_first_line_of_a_file_leaves_no_empty_file(directory, clock, record):
    (directory / "audit-0000000031-202611.jsonl").write_bytes(b'{"action":')
    AuditLog(directory, clock, max_bytes=100).append(record())
    assert [path.read_bytes() for path in (directory / "torn").iterdir()] == [b'{"action":']
    AuditIndex(directory).refresh()
    assert verify(directory).exit_code == 0
    assert verify(directory).last == 32


def test_a_file_that_was_made_and_not_written_is_taken_over(directory, clock, record):
    (directory / "audit-0000000031-202611.jsonl").touch()
    assert [finding.kind for finding in verify(directory).findings] == ["empty"]
    AuditLog(directory, clock, max_bytes=100).append(record())
    AuditIndex(directory).refresh()
    assert verify(directory).exit_code == 0


def test_a_writer_that_dies_while_moving_a_torn_line_is_made_good_by_the_next(directory, clock, record):
    last = directory / audit_files(directory)[-1].name
    with last.open("ab") as file:
        file.write(b"torn")
    (directory / "head.json.new").mkdir()  # the note cannot be written
    with pytest.raises(AuditError):
        AuditLog(directory, clock).append(record())
    (directory / "head.json.new").rmdir()
    assert [path.name.endswith(".pending") for path in (directory / "torn").iterdir()] == [True]
    assert verify(directory).exit_code == 1
    AuditLog(directory, clock).append(record())
    AuditIndex(directory).refresh()
    assert AuditIndex(directory).page(limit=2).entries[1].chain["kind"] == "torn"
    assert verify(directory).exit_code == 0


def test_a_crash_between_line_and_head_is_a_warning_and_healed(directory, clock, record):
    head = (directory / "head.json").read_bytes()
    AuditLog(directory, clock).append(record())
    (directory / "head.json").write_bytes(head)
    report = verify(directory)
    assert (report.exit_code, [finding.kind for finding in report.findings]) == (1, ["head"])
    AuditLog(directory, clock).append(record())
    AuditIndex(directory).refresh()
    assert (verify(directory).exit_code, verify(directory).records) == (0, 32)


def test_a_crash_right_after_the_note_of_a_break_makes_no_second_break(directory, clock, record):
    last = directory / audit_files(directory)[-1].name
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-1]))
    head = (directory / "head.json").read_bytes()
    AuditLog(directory, clock).append(record())
    whole = (directory / audit_files(directory)[-1].name).read_bytes().splitlines(keepends=True)
    (directory / audit_files(directory)[-1].name).write_bytes(b"".join(whole[:-1]))
    (directory / "head.json").write_bytes(head)
    AuditLog(directory, clock).append(record())
    assert [f.kind for f in verify(directory).findings if f.severity == "tampered"] == ["break"]


def test_lost_records_are_told_by_a_note_and_their_numbers_never_come_again(directory, clock, record):
    last = directory / audit_files(directory)[-1].name
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-2]))
    position = AuditLog(directory, clock).append(record())
    assert position.seq == 32
    [finding] = [finding for finding in verify(directory).findings if finding.severity == "tampered"]
    assert (finding.kind, finding.seq) == ("break", 31)
    assert "records 29 to 30 were written and are gone" in finding.message
    AuditIndex(directory).refresh()
    assert [entry.seq for entry in AuditIndex(directory).page(limit=4).entries] == [32, 31, 30, 29]  # it remembers
    report = verify(directory, accept=[31])
    assert (report.exit_code, [finding.kind for finding in report.findings]) == (0, ["break"])


def test_a_last_file_that_somebody_emptied_stays_as_evidence(directory, clock, record):
    last = directory / audit_files(directory)[-1].name
    last.write_bytes(b"")
    AuditLog(directory, clock).append(record())
    assert last.exists()
    assert {"break", "empty"} <= {f.kind for f in verify(directory).findings if f.severity == "tampered"}


def test_a_forged_head_does_not_lead_a_writer_with_a_key_astray(tmp_path, clock, record):
    log = AuditLog(tmp_path / "a", clock, key=b"a key of thirty-two bytes, random")
    log.append(record())
    forged = Position(1_000_000, "0" * 64, "", 0, "2026-11-21T11:00:00.000000+08:00")
    write_head(tmp_path / "a", forged, None)
    assert log.append(record()).seq == 3  # after the note of the break
    [finding] = [f for f in verify(tmp_path / "a").findings if f.severity == "tampered"]
    assert (finding.kind, finding.seq) == ("break", 2)


def test_two_processes_with_five_hundred_records_each_do_not_fork_the_chain(tmp_path):
    directory = tmp_path / "audit"
    with start(directory, "one", FIVE_HUNDRED) as one, start(directory, "two", FIVE_HUNDRED) as two:
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait(240) for process in (one, two)] == [0, 0]
    report = verify(directory)
    assert (report.records, report.last, serious(directory)) == (1000, 1000, [])
    AuditIndex(directory).rebuild()
    entries = list(AuditIndex(directory).entries())
    for name in ("one", "two"):
        mine = [entry.record.parameters["number"] for entry in entries if entry.record.run.startswith(name)]
        assert mine == list(range(499, -1, -1))  # each kept its own order


@pytest.mark.parametrize("limit", [20_000, 700, 300])
def test_without_space_append_fails_with_code_2_and_nothing_half_written_stays(tmp_path, clock, record, limit):
    directory = tmp_path / "audit"
    with start(directory, "full", WITHOUT_SPACE, str(limit)) as process:
        answer = json.loads(process.communicate(timeout=120)[0])
    assert answer["error"]["exit_code"] == 2
    assert "cannot be written: File too large; check space" in answer["error"]["text"]
    for file in audit_files(directory):
        assert (directory / file.name).read_bytes().endswith(b"\n")
    assert not (directory / "torn").exists()
    if answer["done"]:
        assert serious(directory, expect=answer["done"]) == []
    assert verify(directory).records == len(answer["done"])
    assert AuditLog(directory, clock).append(record()).seq == len(answer["done"]) + 1  # space again
    assert serious(directory) == []
