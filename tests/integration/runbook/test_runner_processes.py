"""Runners in processes of their own, on one directory: busy, killed, interrupted, asked twice.

Run as a program, this file is such a process: ``python test_runner_processes.py DIRECTORY ACTION [KEY]``.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Client
from gateway.settings import Settings
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind
from runbook.model import ActionRequest, ActionResult, AuditRecord, Trigger
from runbook.runner import ActionRunner, Kinds
from runbook.settings import RunbookSettings

ROOT = Path(__file__).parents[3]
DEADLINE_S = 60.0


class FileAudit:
    """One JSON line for each record, on disk when ``append`` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: AuditRecord) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(record)) + "\n")
            file.flush()
            os.fsync(file.fileno())


def runner_on(directory: Path) -> ActionRunner:
    async def wait(context: ActionContext, _parameters: Any) -> ActionResult:
        """Until the file ``go-on`` is there; writes ``began-PID`` first."""
        context.tell("waiting", "for the file", {})
        (directory / f"began-{os.getpid()}").touch()
        while not (directory / "go-on").exists():
            await asyncio.sleep(0.02)
        return ActionResult(exit_code=0, message=f"done by {os.getpid()}")

    async def look(_context: ActionContext, _parameters: Any) -> ActionResult:
        return ActionResult(exit_code=1, message=f"looked from {os.getpid()}")

    async def interrupt(_context: ActionContext, _parameters: Any) -> ActionResult:
        raise KeyboardInterrupt

    def build(body: Callable[[ActionContext, Any], Any]) -> Callable[[], Action]:
        return lambda: body

    def connect() -> AbstractAsyncContextManager[Client]:
        raise AssertionError("no gateway here")

    kinds = {
        "failover": ActionKind(name="failover", title="", build=build(wait)),
        "watch": ActionKind(name="watch", title="", build=build(wait), exclusive=False),
        "look": ActionKind(name="look", title="", build=build(look)),
        "interrupt": ActionKind(name="interrupt", title="", build=build(interrupt)),
    }
    return ActionRunner(
        Kinds(kinds),
        FileAudit(directory / "audit.jsonl"),
        settings=Settings(),
        runbook=RunbookSettings(log_dir=directory / "logs", state_dir=directory / "state"),
        connect=connect,
        session=lambda _ns: "night",
    )


async def _child(directory: Path, action: str, key: str) -> int:
    request = ActionRequest(action=action, operator="wang", trigger=Trigger.CLI, idempotency_key=key)
    async with runner_on(directory) as runner:
        run = await runner.run(request)
        print(json.dumps(run.as_json()))  # noqa: T201 - the answer to the test
        return run.exit_code or 0


class Processes:
    """Runner processes on one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.all: list[subprocess.Popen[str]] = []

    def start(self, action: str, key: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, __file__, str(self.directory), action, key]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.directory
        )
        self.all.append(process)
        return process

    def begun(self, action: str, key: str = "") -> subprocess.Popen[str]:
        """Started, and in the middle of its action."""
        process = self.start(action, key)
        until((self.directory / f"began-{process.pid}").exists, process)
        return process

    def answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        out, errors = process.communicate(timeout=DEADLINE_S)
        assert out, errors
        answer: dict[str, Any] = json.loads(out)
        assert process.returncode == answer["result"]["exit_code"], errors
        return answer

    def ask(self, action: str, key: str = "") -> dict[str, Any]:
        return self.answer(self.start(action, key))

    def go_on(self) -> None:
        (self.directory / "go-on").touch()

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "audit.jsonl").read_text().splitlines()]

    def events(self) -> list[tuple[str, str]]:
        return [(record["event"], record["action"]) for record in self.audit()]


def until(true: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    yield made
    for process in made.all:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_of_two_runners_one_is_busy_and_says_who_is_at_work(processes: Processes) -> None:
    first = processes.begun("failover")
    refused = processes.ask("look")
    assert refused["result"]["exit_code"] == 75
    assert "failover of wang" in refused["result"]["message"]
    assert f"process {first.pid}" in refused["result"]["message"]
    processes.go_on()
    assert processes.answer(first)["result"]["exit_code"] == 0
    assert processes.ask("look")["result"]["exit_code"] == 1
    assert processes.events() == [
        ("start", "failover"),
        ("refused", "look"),
        ("stop", "failover"),
        ("start", "look"),
        ("stop", "look"),
    ]


def test_of_many_that_start_at_once_exactly_one_acts_at_a_time(processes: Processes) -> None:
    started = [processes.start("failover") for _ in range(4)]
    until(lambda: sum(process.poll() is not None for process in started) == 3)
    processes.go_on()
    codes = sorted(processes.answer(process)["result"]["exit_code"] for process in started)
    assert codes == [0, 75, 75, 75]
    assert sorted(event for event, _ in processes.events()) == ["refused", "refused", "refused", "start", "stop"]


def test_a_killed_runner_frees_the_lock_and_the_next_one_records_its_death(processes: Processes) -> None:
    first = processes.begun("failover", "key")
    reader = processes.begun("watch")  # a reading action is found as well
    for process in (first, reader):
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert processes.ask("look")["result"]["exit_code"] == 1
    events = processes.events()
    assert sorted(events[:2]) == [("start", "failover"), ("start", "watch")]
    assert sorted(events[2:4]) == [("exception", "failover"), ("exception", "watch")]
    assert events[4:] == [("start", "look"), ("stop", "look")]
    start, end = (record for record in processes.audit() if record["action"] == "failover")
    assert (end["run"], end["started_at"], end["exit_code"]) == (start["run"], start["started_at"], 2)
    assert end["finished_at"]
    assert "the run died" in end["message"]
    again = processes.ask("failover", "key")  # its key has an answer: that it died
    assert (again["id"], again["died"], again["replayed"]) == (start["run"], True, True)
    assert processes.ask("look")["result"]["exit_code"] == 1
    assert len(processes.audit()) == 8  # nothing is found twice


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_runner_records_its_end(processes: Processes, number: int) -> None:
    process = processes.begun("failover")
    process.send_signal(number)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode != 0
    if number == signal.SIGTERM:  # no handler in a library: the process just ends, and the next one finds it
        processes.ask("look")
    assert processes.events()[:2] == [("start", "failover"), ("exception", "failover")]


def test_an_interrupt_raised_inside_an_action_is_recorded(processes: Processes) -> None:
    process = processes.start("interrupt")
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert processes.events() == [("start", "interrupt"), ("exception", "interrupt")]


def test_a_key_used_in_another_process_gets_the_first_answer(processes: Processes) -> None:
    first = processes.ask("look", "key")
    again = processes.ask("look", "key")
    assert (again["id"], again["result"], again["replayed"]) == (first["id"], first["result"], True)
    assert processes.ask("look", "other")["id"] != first["id"]
    assert processes.events() == [("start", "look"), ("stop", "look")] * 2


def test_a_key_in_use_in_another_process_is_waited_for(processes: Processes) -> None:
    first = processes.begun("failover", "key")
    second = processes.start("failover", "key")
    hidden = processes.directory / "state" / "open"
    until(lambda: len(list(hidden.glob("*.json"))) == 1 and second.poll() is None)
    processes.go_on()
    one, other = processes.answer(first), processes.answer(second)
    assert (one["id"], one["result"]) == (other["id"], other["result"])
    assert other["replayed"]
    assert processes.events() == [("start", "failover"), ("stop", "failover")]


async def test_a_run_of_another_process_can_be_watched(processes: Processes) -> None:
    process = await asyncio.to_thread(processes.begun, "failover")
    async with runner_on(processes.directory) as runner:
        (run,) = await runner.runs()
        assert run.state == "running"
        stages = []
        async for stage in runner.watch(run.id):
            stages.append(stage.stage)
            if stage.stage == "waiting":
                processes.go_on()
        assert stages == ["start", "waiting", "end"]
        assert process.wait(DEADLINE_S) == 0
        found = await runner.get(run.id)
        assert found is not None
        assert found.exit_code == 0


def test_two_that_look_for_dead_runs_at_once_record_each_only_once(processes: Processes) -> None:
    for _ in range(3):
        process = processes.begun("watch")
        process.kill()
        process.wait()
    for process in [processes.start("look") for _ in range(3)]:
        process.communicate(timeout=DEADLINE_S)
    died = [record["run"] for record in processes.audit() if record["event"] == "exception"]
    assert len(died) == len(set(died)) == 3


if __name__ == "__main__":
    sys.exit(asyncio.run(_child(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
