from __future__ import annotations

import sqlite3
import stat
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.model import SHANGHAI
from runbook.schedule.state import JobStateError, JobStateStore, Pause

NOW = datetime(2026, 10, 12, 8, 45, tzinfo=SHANGHAI)


@pytest.fixture
def store(tmp_path: Path) -> JobStateStore:
    return JobStateStore(tmp_path / "state" / "jobs.sqlite")


def test_looking_does_not_make_the_file(store: JobStateStore) -> None:
    assert store.states() == {}
    assert not store.path.exists()


def test_the_file_is_for_its_owner_only(store: JobStateStore) -> None:
    store.prepare(["archive"], NOW)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_what_was_recorded_is_there_for_the_next_process(store: JobStateStore) -> None:
    store.prepare(["archive"], NOW - timedelta(hours=1))
    store.record("archive", moment=NOW, at=NOW, outcome="late", run="r1", note="why")
    again = JobStateStore(store.path).prepare(["archive"], NOW + timedelta(days=1))["archive"]
    assert again.handled_until == again.moment == NOW
    assert (again.outcome, again.run, again.note) == ("late", "r1", "why")


def test_an_older_moment_never_takes_the_horizon_back(store: JobStateStore) -> None:
    store.record("archive", moment=NOW, at=NOW, outcome="run")
    store.record("archive", moment=NOW - timedelta(days=1), at=NOW, outcome="run")
    assert store.states()["archive"].handled_until == NOW


def test_a_record_keeps_the_pause_that_came_in_between(store: JobStateStore) -> None:
    store.pause("drill", Pause(at=NOW, by="li", reason="x"))
    store.record("drill", moment=NOW, at=NOW, outcome="paused")
    assert store.states()["drill"].pause == Pause(at=NOW, by="li", reason="x")


def test_a_disabled_job_keeps_its_pause_and_loses_its_past(store: JobStateStore) -> None:
    store.prepare(["drill", "archive"], NOW)
    store.pause("drill", Pause(at=NOW, by="li", reason="x"))
    later = NOW + timedelta(days=9)
    assert set(store.prepare(["retention"], later)) == {"retention"}
    states = store.states()
    assert set(states) == {"drill", "retention"}
    assert states["drill"].handled_until == later
    assert states["drill"].pause is not None


def test_resuming_what_is_not_paused_changes_nothing(store: JobStateStore) -> None:
    store.prepare(["drill"], NOW)
    assert not store.resume("drill", NOW + timedelta(days=1))
    assert store.states()["drill"].handled_until == NOW


def test_two_writers_lose_nothing(store: JobStateStore) -> None:
    store.prepare(["a", "b"], NOW)

    def write(name: str) -> None:
        for number in range(15):
            JobStateStore(store.path).record(name, moment=NOW + timedelta(hours=number), at=NOW, outcome="run")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {state.handled_until for state in store.states().values()} == {NOW + timedelta(hours=14)}


def test_a_damaged_file_is_named_with_the_fix(store: JobStateStore) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"this is no database, it is text of some length" * 40)
    with pytest.raises(JobStateError, match=r"jobs\.sqlite cannot be used.*move it away") as caught:
        store.states()
    assert caught.value.exit_code == 11


def test_a_file_of_a_newer_version_is_left_alone(store: JobStateStore) -> None:
    store.prepare(["drill"], NOW)
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(JobStateError, match="newer runbook"):
        store.states()


def test_a_failed_write_leaves_the_old_state(store: JobStateStore) -> None:
    store.prepare(["drill"], NOW)
    with pytest.raises(JobStateError):
        store.record("drill", moment=NOW, at=NOW, outcome="run", note=object())  # type: ignore[arg-type]  # on purpose
    assert store.states()["drill"].outcome == ""
