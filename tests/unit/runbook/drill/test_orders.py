"""What the answers of a gateway mean for exit codes; faults; the operators' health command."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.errors import BusError, ControlError
from gateway.settings import Settings
from runbook.actions.failback import FailbackParameters, failback
from runbook.actions.failover import FailoverParameters, failover
from runbook.context import ActionContext
from runbook.drill.faults import FAULTS, FaultRefusedError, chosen
from runbook.drill.healthcheck import command
from runbook.model import ActionRequest, Trigger
from runbook.settings import RunbookSettings
from tests.unit.runbook.drill.conftest import AWAY, HOME, FakeGateway, Rig


def context_of(gateway: Any, **request: Any) -> ActionContext:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        if isinstance(gateway, Exception):
            raise gateway
        yield gateway

    values = {"action": "failover", "operator": "wang", "trigger": Trigger.CLI, "reason": "front A"}
    return ActionContext(
        run="r",
        request=ActionRequest(**(values | request)),
        settings=Settings(),
        runbook=RunbookSettings(),
        clock=SystemClock(),
        log_dir=Path("logs"),
        connect=connect,
    )


class Remembering(FakeGateway):
    async def failover(self, reason: str, **more: Any) -> Any:
        self.last = {"reason": reason} | more
        return await super().failover(reason)


async def test_a_failover_that_is_done_ends_with_0_and_carries_the_whole_switch() -> None:
    gateway = Remembering()
    result = await failover(context_of(gateway, config="backup"), FailoverParameters())
    assert (result.exit_code, result.details["latency_ms"], result.details["target"]) == (0, 1.5, AWAY)
    assert result.details["finished"].endswith("+08:00")
    assert gateway.last == {"reason": "front A", "feed": None, "to": AWAY, "operator": "wang"}


async def test_config_primary_leaves_the_primary_for_the_next_line_and_comes_back_from_another() -> None:
    gateway = Remembering()
    await failover(context_of(gateway), FailoverParameters())
    assert gateway.last["to"] is None
    gateway.active = AWAY
    await failover(context_of(gateway), FailoverParameters())
    assert gateway.last["to"] == HOME


async def test_a_switch_that_failed_ends_with_2_says_why_and_what_was_kept() -> None:
    gateway = FakeGateway()
    gateway.failing["failover"] = "did not log in"
    result = await failover(context_of(gateway), FailoverParameters())
    assert (result.exit_code, result.details["kept"]) == (2, HOME)
    assert f"did not log in; {HOME} was kept" in result.message


async def test_a_slow_switch_is_a_warning_and_an_unmeasured_one_is_said() -> None:
    gateway = FakeGateway()
    gateway.latency = {"failover": 5000.0, "failback": None}
    slow = await failover(context_of(gateway), FailoverParameters())
    assert (slow.exit_code, "too slow" in slow.message) == (1, True)
    unknown = await failback(context_of(gateway), FailbackParameters())
    assert (unknown.exit_code, "not measured" in unknown.message) == (0, True)


@pytest.mark.parametrize(
    ("reply", "code"),
    [("busy", 75), ("no_responder", 13), ("timeout", 13), ("disconnected", 12), ("control", 64), ("internal", 2)],
)
async def test_a_refusal_has_the_exit_code_of_its_kind(reply: str, code: int) -> None:
    class Refusing(FakeGateway):
        async def failover(self, _reason: str, **_more: Any) -> Any:
            raise ControlError("in words", reply_code=reply)

    result = await failover(context_of(Refusing()), FailoverParameters())
    assert (result.exit_code, "in words" in result.message) == (code, True)


async def test_without_nats_it_is_12() -> None:
    result = await failover(context_of(BusError("127.0.0.1:4222 refused")), FailoverParameters())
    assert result.exit_code == 12


async def test_a_dry_run_switches_nothing() -> None:
    gateway = FakeGateway()
    assert (await failover(context_of(gateway, dry_run=True), FailoverParameters())).exit_code == 0
    assert (await failback(context_of(gateway, dry_run=True), FailbackParameters())).exit_code == 0
    wrong = await failover(context_of(gateway, dry_run=True), FailoverParameters(to="ctp:third"))
    assert (wrong.exit_code, gateway.asked) == (64, [])


async def test_a_failback_to_the_backup_is_a_contradiction() -> None:
    gateway = FakeGateway()
    result = await failback(context_of(gateway, config="backup"), FailbackParameters())
    assert (result.exit_code, gateway.asked) == (64, [])


# -- faults ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_on_a_mock_every_fault_is_allowed(name: str) -> None:
    assert chosen(name, live=False, yes_really=False) is FAULTS[name]


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"restart-line"}))
def test_live_faults_that_need_a_vendor_or_a_process_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(FaultRefusedError, match=r"refused on the live path: .*--mock") as caught:
        chosen(name, live=True, yes_really=True)
    assert caught.value.exit_code == 64


def test_a_live_restart_must_be_meant() -> None:
    with pytest.raises(FaultRefusedError, match="--yes-really"):
        chosen("restart-line", live=True, yes_really=False)
    assert chosen("restart-line", live=True, yes_really=True) is FAULTS["restart-line"]
    with pytest.raises(FaultRefusedError, match="there is no fault 'x'"):
        chosen("x", live=True, yes_really=True)


# -- DRILL_HEALTH_CMD ------------------------------------------------------------------------------------------


async def test_the_commands_exit_code_is_the_answer_and_its_last_words_are_kept(rig: Rig) -> None:
    check = command(f"{sys.executable} -c 'print(\"coverage 0.9\"); raise SystemExit(2)'")
    code, text, details = await check(rig.gateway)  # type: ignore[arg-type]  # the command does not use it
    assert (code, details["returned"]) == (2, 2)
    assert text.endswith("ended with 2: coverage 0.9")


async def test_a_command_that_hangs_is_ended_with_its_children(rig: Rig) -> None:
    check = command("sh -c 'sleep 60 & wait'", timeout_s=0.2)
    code, text, _ = await check(rig.gateway)  # type: ignore[arg-type]  # the command does not use it
    assert (code, "was killed" in text) == (124, True)


async def test_a_command_that_does_not_exist_is_an_error(rig: Rig, caplog) -> None:
    with caplog.at_level(logging.INFO):
        code, text, _ = await command("/no/such/program")(rig.gateway)  # type: ignore[arg-type]  # as above
    assert (code, "cannot be started" in text) == (2, True)
