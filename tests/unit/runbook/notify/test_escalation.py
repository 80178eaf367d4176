"""Escalation after repeated failures, with real commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import FeedgateError
from gateway.testing.clock import ManualClock
from runbook import operations
from runbook.notify import Escalation, Notifier, StageFailures, arguments, run_command
from runbook.settings import EscalationSettings


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Writes down its arguments, a line of JSON each time."""
    path = tmp_path / "escalate.py"
    path.write_text(
        "import json, sys\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
        "print('told', sys.argv[1])\n"
    )
    return path


def calls(tmp_path: Path) -> list[list[str]]:
    path = tmp_path / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rules(program: Path, words: str = "{marker} {exit_code}") -> EscalationSettings:
    return EscalationSettings(command=f"{sys.executable} {program} {words}", after=3)


async def test_the_command_runs_from_the_third_failure_on_and_not_before(program: Path, tmp_path: Path) -> None:
    for expected in ([], [], [["nats", "12"]], [["nats", "12"]] * 2):
        # a new object each time: as if each start were a process of its own
        escalated = await Escalation(rules(program), tmp_path / "state").failed("nats", 12)
        assert calls(tmp_path) == expected
        assert escalated.done == bool(expected)


async def test_a_success_begins_the_count_anew_and_other_stages_have_their_own(program: Path, tmp_path: Path) -> None:
    escalation = Escalation(rules(program), tmp_path / "state")
    for _ in range(2):
        await escalation.failed("nats", 12)
        await escalation.failed("gateway", 13)
    escalation.succeeded("nats")
    await escalation.failed("nats", 12)
    await escalation.failed("gateway", 13)
    assert calls(tmp_path) == [["gateway", "13"]]


async def test_nothing_of_a_marker_is_taken_for_shell_or_a_second_argument(program: Path, tmp_path: Path) -> None:
    marker = "a b; touch x $(id) {exit_code} 'q"
    command = rules(program, "--tag={marker} '{exit_code} of {marker}' '{{}}'").command or ""
    outcome = await run_command(command, marker=marker, exit_code=41, timeout_s=30)
    assert outcome.error == ""
    assert calls(tmp_path) == [[f"--tag={marker}", f"41 of {marker}", "{}"]]
    assert outcome.output.startswith("told --tag=a b")


async def test_a_command_that_fails_hangs_or_is_missing_is_told_and_raises_nothing(tmp_path: Path) -> None:
    async def said(command: str, timeout_s: float = 30) -> str:
        return (await run_command(command, marker="m", exit_code=2, timeout_s=timeout_s)).error

    assert "ended with 7" in await said(f"{sys.executable} -c 'import sys; sys.exit(7)'")
    assert "did not end within 0.2 s and was killed" in await said("sleep 60", 0.2)
    assert "cannot be started" in await said(str(tmp_path / "missing"))
    assert "a blank that nobody fills" in await said("echo {0}")


async def test_a_child_that_the_command_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    outcome = await run_command("sh -c 'sleep 600 & echo gone'", marker="m", exit_code=2, timeout_s=30)
    assert outcome.error == ""
    assert outcome.output == "gone\n"


@pytest.mark.parametrize("command", ["", "echo '", "echo {exit_code.real.__class__.x}", "echo {", "echo {marker:>q}"])
def test_a_command_that_cannot_be_used_is_a_usage_error(command: str) -> None:
    with pytest.raises(FeedgateError) as refused:
        arguments(command, marker="m", exit_code=2)
    assert refused.value.exit_code == 64


async def test_people_are_told_as_well_and_once(
    receiver: Any, make_settings: Any, program: Path, tmp_path: Path
) -> None:
    notifier = Notifier(make_settings(receiver.url()), tmp_path / "state", ManualClock())
    settings = rules(program).model_copy(update={"after": 1})
    escalation = Escalation(settings, tmp_path / "state", notifier)
    first = await escalation.failed("gateway", 13, text="it never got ready")
    second = await escalation.failed("gateway", 13, text="it never got ready")
    assert "1 of 1 addresses told" in first.said
    assert "same message" in second.said
    assert len(calls(tmp_path)) == 2
    assert [body["message"] for _, body in receiver.requests] == ["it never got ready"]
    assert receiver.requests[0][1]["title"] == "gateway failed 1 times (exit code 13)"


async def test_nobody_to_tell_is_an_error_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    escalated = await Escalation(EscalationSettings(after=1), tmp_path).failed("nats", 12)
    assert not escalated.done
    assert "RUNBOOK_ESCALATION__COMMAND" in caplog.text


def test_failures_are_counted_on_when_the_memory_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failures = StageFailures(tmp_path / "file" / "state")
    assert [failures.failed("nats") for _ in range(3)] == [1, 2, 3]


async def test_the_contracts_command_finds_the_addresses_of_the_profile_that_escalates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Any
) -> None:
    variables = f"RUNBOOK_NOTIFY__URLS={receiver.url()}\nRUNBOOK_STATE_DIR={tmp_path}/s\nRUNBOOK_LOG_DIR={tmp_path}/l\n"
    (tmp_path / ".env.live").write_text(variables)
    (tmp_path / ".env.live").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEEDGATE_PROFILE", raising=False)
    script = Path(operations.__file__).parent / "notify_slack.sh"
    command = f"sh {script} --tag {{marker}} --code {{exit_code}}"
    outcome = await run_command(command, marker="nats", exit_code=12, timeout_s=60, profile="live")
    assert outcome.error == "", outcome.output
    ((_, body),) = receiver.requests
    assert "nats" in str(body)
