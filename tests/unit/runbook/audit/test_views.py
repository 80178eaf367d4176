from __future__ import annotations

from datetime import datetime

import pytest

from gateway.model import SHANGHAI
from runbook.audit import AuditError, AuditLog, ViewWriter, open_audit, verify
from runbook.audit.views import VIEWS

NAMES = {view.file for view in VIEWS}


@pytest.fixture
def log(tmp_path, clock) -> AuditLog:
    return open_audit(tmp_path / "audit", clock, log_dir=tmp_path / "logs")


def read(tmp_path, name: str) -> list[str]:
    path = tmp_path / "logs" / name
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def test_the_views_have_the_names_that_operators_know():
    known = "health_check.log start_live_env.log startup_audit.log subscription_audit.log t5_checkpoint.log"
    assert sorted(NAMES) == known.split()


@pytest.mark.parametrize(
    ("action", "views"),
    [
        ("start", {"startup_audit.log", "start_live_env.log"}),
        ("failover", {"start_live_env.log"}),
        ("validate-env", {"startup_audit.log"}),
        ("validate_env", {"startup_audit.log"}),
        ("secrets-pull", {"startup_audit.log"}),
        ("check-feed-health", {"health_check.log", "subscription_audit.log"}),
        ("subscribe", {"subscription_audit.log"}),
        ("t5", {"t5_checkpoint.log"}),
        ("startling", set()),
        ("alert-smoke", set()),
    ],
)
def test_an_action_shows_in_its_views(log, record, tmp_path, action, views):
    log.append(record(action=action))
    assert {name for name in NAMES if read(tmp_path, name)} == views


def test_a_line_tells_what_the_operator_needs(log, record, tmp_path):
    stop = record(
        run="r1", event="stop", exit_code=12, message="NATS refused; start it", finished_at="2026-11-21T08:46:00+08:00"
    )
    log.append(stop)
    [line] = read(tmp_path, "start_live_env.log")
    assert line == (
        "2026-11-21T08:45:00.000+08:00 seq=1 event=stop action=failover session=day window=day profile=live "
        "config=primary mode=live operator=wang trigger=cli exit_code=12 finished_at=2026-11-21T08:46:00+08:00 "
        'reason=主线断开 run=r1 parameters.fault=kill-line message="NATS refused; start it"'
    )


def test_a_marker_in_a_message_can_be_found_with_grep(log, record, tmp_path):
    log.append(record(message="HEALTH=READY"))
    log.append(record(message="Failover drill completed successfully"))
    first, second = read(tmp_path, "start_live_env.log")
    assert "HEALTH=READY" in first
    assert "Failover drill completed successfully" in second


@pytest.mark.parametrize("text", ["a\nseq=9 b", "a\r\nb", "a\u2028b", 'x" seq=99 y="', "a\x85b", "\u202egnp"])
def test_no_text_can_fake_a_line(log, record, tmp_path, text):
    log.append(record(action="start", reason=text))
    [line] = read(tmp_path, "startup_audit.log")
    assert len(line.splitlines()) == 1
    log.append(record(action="start"))
    assert len(read(tmp_path, "startup_audit.log")) == 2


def test_what_a_crash_left_out_comes_once_with_the_next_record(log, record, tmp_path, clock):
    AuditLog(tmp_path / "audit", clock).append(record())  # died before the views
    log.append(record())
    ViewWriter(tmp_path / "audit", tmp_path / "logs").update()
    assert [line.split()[1] for line in read(tmp_path, "start_live_env.log")] == ["seq=1", "seq=2"]


def test_a_lost_state_makes_no_line_twice(log, record, tmp_path):
    log.append(record())
    (tmp_path / "logs" / ".views.lock").unlink()
    log.append(record())
    assert len(read(tmp_path, "start_live_env.log")) == 2


def test_a_torn_view_is_made_anew(log, record, tmp_path):
    for _ in range(3):
        log.append(record())
    path = tmp_path / "logs" / "start_live_env.log"
    path.write_bytes(path.read_bytes()[:-30])
    log.append(record())
    assert [line.split()[1] for line in read(tmp_path, "start_live_env.log")] == ["seq=1", "seq=2", "seq=3", "seq=4"]


def test_views_can_be_made_anew_and_are_the_same(log, record, tmp_path):
    for action in ("start", "failover", "subscribe", "t5", "check-feed-health"):
        log.append(record(action=action))
    before = {name: read(tmp_path, name) for name in NAMES}
    for name in NAMES:
        (tmp_path / "logs" / name).write_text("somebody wrote here\n")
    ViewWriter(tmp_path / "audit", tmp_path / "logs").rebuild()
    assert {name: read(tmp_path, name) for name in NAMES} == before


def test_thirty_days_are_kept_in_views_and_all_in_the_audit(log, record, tmp_path, clock):
    log.append(record(action="t5"))
    log.append(record())
    clock.pass_days(40)
    log.append(record())
    now = datetime.fromtimestamp(clock.wall_ns() / 1e9, SHANGHAI)
    ViewWriter(tmp_path / "audit", tmp_path / "logs").rebuild_days(now)
    log.append(record())
    assert [line.split()[1] for line in read(tmp_path, "start_live_env.log")] == ["seq=3", "seq=4"]
    assert read(tmp_path, "t5_checkpoint.log") == []
    assert verify(tmp_path / "audit").records == 4


def test_a_note_of_the_audit_itself_shows_in_all_views(log, record, tmp_path):
    log.append(record())
    (tmp_path / "audit" / "head.json").write_bytes(b"{}")
    log.append(record())
    for name in NAMES:
        assert [line for line in read(tmp_path, name) if "the audit was damaged or changed" in line]


def test_a_view_that_cannot_be_written_does_not_undo_the_record(log, record, tmp_path, caplog):
    (tmp_path / "logs").write_text("a file in the way")
    assert log.append(record()).seq == 1
    assert "the views of the audit" in caplog.text
    with pytest.raises(AuditError, match="check space and rights"):
        ViewWriter(tmp_path / "audit", tmp_path / "logs").update()
