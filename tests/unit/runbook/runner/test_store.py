"""Runs on disk, and those that died."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runbook.model import ActionRequest, ActionResult, Trigger
from runbook.runner import ExclusiveLock, Holder, Run, RunState
from runbook.runner.run import new_run_id, run_from_json, run_id, shanghai
from runbook.runner.store import RunStore

REQUEST = ActionRequest(action="failover", operator="wang", trigger=Trigger.PAGE, parameters={"a": [1]}, window="day")
RUN = Run(id="20260930T204500-00000001", request=REQUEST, state=RunState.QUEUED)
DONE = replace(
    RUN,
    state=RunState.DONE,
    result=ActionResult(exit_code=1, message="äh", details={"x": {"y": 1}}),
    started="s",
    finished="f",
)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "state", keep=10)


def die(store: RunStore, *states: Run) -> None:
    """Leave runs as a process does that is killed."""
    opened = store.open(states[0])
    for run in states[1:]:
        opened.write(run)
    opened.close(forget=False)


def test_a_run_survives_json() -> None:
    assert run_from_json(json.loads(json.dumps(DONE.as_json()))) == DONE


def test_an_id_sorts_by_time_and_times_are_of_shanghai() -> None:
    assert run_id(1_790_000_000_000_000_000, "ab") == "20260921T221320-ab"
    assert shanghai(1_790_000_000_123_456_789) == "2026-09-21T22:13:20.123+08:00"


def test_ids_of_one_second_sort_as_their_runs_began() -> None:
    second = 1_790_000_000_000_000_000
    ids = [new_run_id(second + ns) for ns in (0, 1_000, 500_000_000, 999_999_999)]
    assert ids == sorted(ids)
    assert {one.partition("-")[0] for one in ids} == {"20260921T221320"}
    assert len({new_run_id(second) for _ in range(50)}) == 50


def test_a_run_that_goes_on_is_not_dead_and_shows_its_latest_state(store: RunStore) -> None:
    opened = store.open(RUN)
    opened.write(replace(RUN, state=RunState.RUNNING))
    assert list(store.dead()) == []
    found = store.get(RUN.id)
    assert found is not None
    assert found.state is RunState.RUNNING
    opened.close(forget=True)
    opened.close(forget=True)
    assert store.get(RUN.id) is None
    assert not store.is_open(RUN.id)


def test_a_dead_run_is_found_by_one_finder_only_until_it_is_closed(store: RunStore) -> None:
    die(store, RUN, replace(RUN, state=RunState.RUNNING, started="s"))
    (found,) = store.dead()
    assert found.last is not None
    assert found.last.started == "s"
    assert list(store.dead()) == []
    found.close(forget=False)
    (found,) = store.dead()
    found.close(forget=True)
    assert list(store.dead()) == []


def test_files_are_for_their_owner_only(store: RunStore, tmp_path: Path) -> None:
    opened = store.open(RUN)
    store.reserve("failover", "k", RUN.id)
    store.finish(DONE)
    for path in (tmp_path / "state").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    opened.close(forget=True)


def test_the_same_run_cannot_go_on_twice(store: RunStore, tmp_path: Path) -> None:
    opened = store.open(RUN)
    (tmp_path / "state" / "open" / f".{RUN.id}").touch()
    with pytest.raises(FileExistsError):
        store.open(RUN)
    opened.close(forget=True)


def test_a_key_belongs_to_the_first_until_it_is_given_back_or_forgotten(store: RunStore) -> None:
    opened = store.open(RUN)
    assert store.reserve("failover", "k", RUN.id) == RUN.id
    assert store.reserve("failover", "k", "other") == RUN.id
    assert store.reserve("failback", "k", "other") == "other"
    store.release("failover", "k", "other")  # not the owner
    assert store.reserve("failover", "k", "other") == RUN.id
    store.finish(DONE)
    opened.close(forget=True)
    assert store.reserve("failover", "k", "other") == RUN.id
    store.release("failover", "k", RUN.id)
    assert store.reserve("failover", "k", "other") == "other"
    assert store.reserve("failover", "k", "third") == "third"  # ``other`` never had a record


async def test_a_dead_run_without_a_start_is_recorded_as_such(bench: Any) -> None:
    die(RunStore(bench.root / "state", keep=9), RUN)
    (run,) = await bench.runner().recover()
    assert "before or right after its start" in run.result.message
    assert (run.died, run.exit_code) == (True, 2)
    (record,) = bench.audit.records
    assert (record.event, record.run, record.action, record.trigger) == ("exception", RUN.id, "failover", "page")


async def test_a_dead_run_that_cannot_be_recorded_is_found_again(bench: Any, caplog: Any) -> None:
    die(RunStore(bench.root / "state", keep=9), RUN)
    runner = bench.runner()
    assert (await runner.get(RUN.id)).state is RunState.QUEUED
    bench.audit.full = {"exception"}
    assert await runner.recover() == []
    bench.audit.full = set()
    assert [run.id for run in await runner.recover()] == [RUN.id]
    assert await runner.recover() == []
    kept = await runner.get(RUN.id)
    assert (kept.state, kept.died, kept.exit_code) == (RunState.DONE, True, 2)


async def test_a_run_that_died_between_its_end_and_its_record_keeps_its_answer(bench: Any) -> None:
    store = RunStore(bench.root / "state", keep=9)
    die(store, RUN, replace(RUN, started="s"))
    store.finish(DONE)
    (run,) = await bench.runner().recover()
    assert (run.exit_code, run.died) == (1, False)
    (record,) = bench.audit.records
    assert (record.event, record.exit_code, record.started_at) == ("note", 1, "s")


async def test_a_record_that_was_cut_off_still_tells_which_run_died(bench: Any) -> None:
    die(RunStore(bench.root / "state", keep=9), RUN)
    (path,) = (bench.root / "state" / "open").glob("*.json")
    path.write_text(path.read_text()[:40])
    (run,) = await bench.runner().recover()
    assert run.id == RUN.id
    assert bench.audit.records[0].action == "unknown"


# the lock

HOLDER = Holder(pid=7, run="r", action="failover", operator="wang", since="now")


def test_one_lock_excludes_another_and_says_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "x.lock"
    with ExclusiveLock(path) as first, ExclusiveLock(path) as second:
        assert first.holder() is None
        assert first.acquire(HOLDER)
        assert not first.acquire(HOLDER)
        assert not second.acquire(replace(HOLDER, pid=8))
        assert second.holder() == HOLDER
        assert str(HOLDER) == "failover of wang (run r, process 7) since now"
        first.release()
        first.release()
        assert second.holder() is None
        assert second.acquire(replace(HOLDER, pid=8))
        assert not first.acquire(HOLDER)
    assert path.stat().st_mode & 0o077 == 0


def test_what_somebody_else_wrote_into_the_lock_file_harms_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text("[" * 10_000)
    with ExclusiveLock(path) as lock:
        assert lock.holder() is None
        assert lock.acquire(HOLDER)
        assert lock.holder() == HOLDER


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "x.lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match=r"x\.lock"):
        ExclusiveLock(tmp_path / "x.lock").acquire(HOLDER)
    assert (tmp_path / "target").read_text() == "precious"
