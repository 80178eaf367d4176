from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.calendar import Calendar, load_calendar
from gateway.errors import SettingsError
from gateway.model import SHANGHAI
from gateway.settings import FeedSettings, MetricsSettings, Settings
from runbook.model import ActionResult, Exit
from runbook.settings import EscalationSettings, RunbookSettings
from runbook.supervisor.bringup import Order
from runbook.supervisor.environment import Environment
from runbook.supervisor.operations import Operations
from runbook.supervisor.site import Parts
from tests.unit.runbook.supervisor.fakes import FakeClient, FakeEscalation, Stage

ALL = ["environment", "nats", "gateway", "subscriptions", "health", "t5"]


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return load_calendar()


class Play:
    """An environment whose processes, gateway, health and clock are the test's."""

    def __init__(self, state_dir: Path, calendar: Calendar) -> None:
        self.stage = Stage()
        self.client = FakeClient()
        self.settings = Settings(feeds={"sim": FeedSettings()}, metrics=MetricsSettings(enabled=False))
        self.runbook = RunbookSettings(state_dir=state_dir, escalation=EscalationSettings(after=3))
        self.health: list[tuple[int, str]] = []
        self.escalation = FakeEscalation(after=3)
        self.escalated = self.escalation.told
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.load: Callable[[], tuple[Settings, RunbookSettings]] = lambda: (self.settings, self.runbook)
        self.environment = Environment(
            Parts(
                settings=self.settings,
                runbook=self.runbook,
                load=lambda: self.load(),  # noqa: PLW0108 - tests put in another one later
                spawn=self.stage.spawn,
                timers=self.stage.timers,
                say=self.stage.say,
                escalation=self.escalation,
                health=self,
                calendar=lambda: calendar,
                environment={},
                connect=self.client.connect,
            )
        )
        site = self.environment.site
        self.nats = site.nats = self.stage.keeper("nats", troubled=site._troubled)
        self.gateway = site.gateway = self.stage.keeper("gateway", troubled=site._troubled)
        self.operations = Operations(self.environment, self.stage.timers, self.stage.say)

    async def check(self, _client: Any, _settings: Settings, _runbook: RunbookSettings, /) -> tuple[int, str]:
        return self.health.pop(0) if self.health else (0, "all well")

    def tell(self, stage: str, text: str, fields: Mapping[str, Any]) -> None:
        self.told.append((stage, text, dict(fields)))

    async def run(self, name: str, **order: Any) -> ActionResult:
        task = asyncio.create_task(self.operations.run(name, Order(**order), self.tell))
        return await self.stage.drive(task)

    def tries(self, stage: str) -> int:
        return sum(1 for name, _, fields in self.told if name == stage and "limit_s" in fields)

    def markers(self) -> list[str]:
        return [fields["marker"] for _, _, fields in self.told if "marker" in fields]

    def at(self, *moment: int) -> None:
        wall_ns = int(datetime(*moment, tzinfo=SHANGHAI).timestamp() * 1e9)  # type: ignore[arg-type]  # a tuple of numbers is not typed by its length
        self.stage.clock._wall_start_ns = wall_ns - round((self.stage.clock._now - self.stage.clock._start) * 1e9)


@pytest.fixture
async def play(tmp_path: Path, calendar: Calendar) -> Any:
    play = Play(tmp_path, calendar)
    yield play
    await play.stage.drive(asyncio.create_task(play.environment.aclose()))


async def test_a_start_goes_through_all_stages_in_order(play: Play) -> None:
    result = await play.run("start")
    assert (result.exit_code, [row["stage"] for row in result.details["stages"]]) == (0, ALL)
    assert result.details["left_running"] == ["nats", "gateway"]
    assert play.markers() == ["HEALTH=READY"]
    started = [text.split()[0] for event, text, _, _ in play.stage.said if event == "process_started"]
    assert started == ["nats", "gateway"]
    assert play.escalated == []
    assert not play.operations.over.done()


async def test_a_failed_try_is_followed_by_another_one(play: Play) -> None:
    play.stage.programs["gateway"].plan.extend(["exit 7", "never"])
    result = await play.run("start")
    assert result.exit_code == Exit.OK
    assert [row["tries"] for row in result.details["stages"]] == [1, 1, 3, 1, 1, 1]
    assert play.tries("gateway") == 3
    assert play.environment.site.gateway_program.debug


@pytest.mark.parametrize(
    ("stage", "code", "left"),
    [
        ("environment", 11, []),
        ("nats", 12, []),
        ("gateway", 13, []),
        ("subscriptions", 14, ["nats", "gateway"]),
        ("health", 15, ["nats", "gateway"]),
        ("t5", 16, ["nats", "gateway"]),
    ],
)
async def test_each_stage_has_its_exit_code_its_tries_an_escalation_and_says_what_is_left(
    play: Play, stage: str, code: int, left: list[str]
) -> None:
    play.at(2026, 11, 20, 10, 0)
    if stage == "environment":

        def refuse() -> Any:
            raise SettingsError(["CTP_PRIMARY_PASSWORD: is missing"])

        play.load = refuse
    elif stage == "subscriptions":
        play.client.missing = ("SHFE.rb2701",)
    elif stage == "health":
        play.health = [(2, "below 0.995")] * 3
    elif stage != "t5":
        play.stage.programs[stage].plan.extend(["never"] * 3)
    result = await play.run("start", window="day")
    assert result.exit_code == code
    assert result.details["failed_stage"] == stage
    assert [row["stage"] for row in result.details["stages"]] == ALL[: ALL.index(stage)]
    assert result.details["left_running"] == left
    assert play.tries(stage) == (1 if stage == "t5" else 3)
    assert play.escalated == ([] if stage == "t5" else [(f"start_{stage}_failed", code)])
    assert "next: " in result.message
    assert ("nothing is left running" if not left else "left running: nats, gateway, because") in result.message
    assert play.operations.over.done() == (not left)
    status = play.environment.status()
    assert (status["state"], status["failed_stage"]) == (("degraded", stage) if left else ("off", ""))
    running = [
        child for program in play.stage.programs.values() for child in program.children if not child.ended.done()
    ]
    assert len(running) == len(left)


async def test_what_a_failed_start_began_is_ended_backwards(play: Play) -> None:
    play.stage.programs["gateway"].plan.extend(["exit 7"] * 3)
    result = await play.run("start")
    assert result.exit_code == Exit.GATEWAY
    assert [text for stage, text, _ in play.told if stage == "undo"] == ["nats is off again"]


async def test_settings_that_the_gateway_refuses_are_11_without_another_try(play: Play) -> None:
    play.stage.programs["gateway"].plan.extend(["exit 11"])
    result = await play.run("start")
    assert result.exit_code == Exit.ENVIRONMENT
    assert play.tries("gateway") == 1
    assert "last words" in result.message


async def test_an_unreachable_external_nats_is_12_and_not_ours_to_start(tmp_path: Path, calendar: Calendar) -> None:
    play = Play(tmp_path, calendar)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{probe.getsockname()[1]}"
        play.settings = play.settings.model_copy(update={"bus": play.settings.bus.model_copy(update={"urls": [url]})})
        result = await play.run("start")
    assert result.exit_code == Exit.NATS
    assert "cannot be reached" in result.message
    assert "correct NATS_URL" in result.message
    assert "no next node" in result.message
    assert play.stage.programs["nats"].children == []


async def test_missing_contracts_are_asked_for_anew_at_the_second_try(play: Play) -> None:
    play.client.missing = ("SHFE.rb2701",)
    await play.run("start")
    assert play.client.calls.count("subscribe SHFE.rb2701") == 2


async def test_a_health_warning_passes_with_1(play: Play) -> None:
    play.health = [(1, "one stalled")]
    result = await play.run("start")
    assert result.exit_code == Exit.WARNING
    assert "one stalled" in result.message
    assert play.markers() == ["HEALTH=READY"]


async def test_t5_passes_before_its_time_and_for_a_second_start_of_the_same_session(play: Play) -> None:
    play.at(2026, 11, 20, 8, 40)
    assert (await play.run("start", window="day")).exit_code == Exit.OK
    play.at(2026, 11, 20, 10, 0)
    assert (await play.run("start", window="day")).exit_code == Exit.OK
    play.at(2026, 11, 23, 10, 0)
    assert (await play.run("start", window="day")).exit_code == Exit.T5_MISSED


async def test_a_second_start_starts_nothing_twice_and_one_after_a_death_starts_what_is_missing(play: Play) -> None:
    await play.run("start")
    assert (await play.run("start")).exit_code == Exit.OK
    assert [len(program.children) for program in play.stage.programs.values()] == [1, 1]
    play.stage.programs["gateway"].children[0].dies(11)
    await play.stage.clock.settle()
    assert play.environment.status()["state"] == "degraded"
    assert (await play.run("start")).exit_code == Exit.OK
    assert play.environment.status()["state"] == "running"
    assert [len(program.children) for program in play.stage.programs.values()] == [1, 2]


async def test_a_stop_goes_backwards_with_its_markers(play: Play) -> None:
    await play.run("start")
    play.told.clear()
    result = await play.run("stop")
    assert result.exit_code == Exit.OK
    assert [text for _, text, _ in play.told] == [
        "UNSUBSCRIBED",
        "gateway is off",
        "nats is off",
        "GRACEFUL_SHUTDOWN=OK",
    ]
    assert play.operations.over.result() == 0


@pytest.mark.parametrize(("name", "code"), [("gateway", 13), ("nats", 12)])
async def test_a_stop_that_has_to_kill_is_not_graceful(play: Play, name: str, code: int) -> None:
    play.stage.programs[name].stubborn = True
    await play.run("start")
    result = await play.run("stop")
    assert result.exit_code == code
    assert "had to be killed" in result.message
    assert "GRACEFUL_SHUTDOWN=OK" not in play.markers()
    assert play.environment.running == []


async def test_a_gateway_that_ends_with_an_error_is_not_graceful(play: Play) -> None:
    play.stage.programs["gateway"].exit_on_term = 2
    await play.run("start")
    result = await play.run("stop")
    assert (result.exit_code, "exit code 2" in result.message) == (Exit.GATEWAY, True)


async def test_a_gateway_that_does_not_unsubscribe_is_stopped_all_the_same_with_14(play: Play) -> None:
    await play.run("start")
    play.client.deaf = True
    result = await play.run("stop")
    assert result.exit_code == Exit.SUBSCRIPTIONS
    assert "10 left on sim:primary" in result.message
    assert not {"UNSUBSCRIBED", "GRACEFUL_SHUTDOWN=OK"} & set(play.markers())
    assert play.environment.running == []


async def test_a_restart_touches_the_gateway_alone(play: Play) -> None:
    await play.run("start")
    result = await play.run("restart")
    assert result.exit_code == Exit.OK
    assert play.markers()[-1] == "RESTART=OK"
    assert "UNSUBSCRIBED" not in play.markers()
    assert [len(program.children) for program in play.stage.programs.values()] == [1, 2]
    assert play.stage.programs["nats"].children[0].signals == []


async def test_a_restart_refused_for_its_settings_leaves_the_gateway_running(play: Play) -> None:
    await play.run("start")

    def refuse() -> Any:
        raise SettingsError(["SHFE: what"])

    play.load = refuse
    result = await play.run("restart")
    assert result.exit_code == Exit.ENVIRONMENT
    assert result.details["left_running"] == ["nats", "gateway"]
    assert "RESTART=OK" not in play.markers()
    assert play.stage.programs["gateway"].children[0].signals == []


async def test_a_failed_restart_leaves_nats_to_its_consumers_and_says_so(play: Play) -> None:
    await play.run("start")
    play.stage.programs["gateway"].plan.extend(["exit 7"] * 3)
    result = await play.run("restart")
    assert result.exit_code == Exit.GATEWAY
    assert result.details["left_running"] == ["nats"]
    assert "left running: nats, because they ran before" in result.message


async def test_a_restart_where_nothing_runs_starts_nothing(play: Play) -> None:
    assert (await play.run("restart")).exit_code == Exit.GATEWAY
    assert play.stage.said[-1][1].endswith("run `runbook start`")


async def test_one_operation_at_a_time_the_other_is_busy(play: Play) -> None:
    play.stage.programs["gateway"].plan.append("never")
    first = asyncio.create_task(play.operations.run("start", Order(), play.tell))
    await play.stage.clock.settle()
    assert (await play.operations.run("stop", Order(), play.tell)).exit_code == Exit.BUSY
    assert (await play.stage.drive(first)).exit_code == Exit.OK


async def test_a_cancelled_start_undoes_what_it_began(play: Play) -> None:
    play.stage.programs["gateway"].plan.append("never")
    first = asyncio.create_task(play.operations.run("start", Order(), play.tell))
    while not play.stage.programs["gateway"].children:
        await play.stage.clock.advance(0.1)
        await asyncio.wait({first}, timeout=0.001)
    await play.operations.cancel()
    result = await first
    assert result.exit_code == Exit.ERROR
    assert "left running: nothing" in result.message
    assert play.operations.over.done()


async def test_somebody_is_told_after_the_third_failure_in_a_row_and_when_it_is_left_alone(play: Play) -> None:
    await play.run("start")
    play.stage.programs["gateway"].plan.extend(["exit 7", "exit 7", "exit 11"])
    play.stage.programs["gateway"].children[0].dies(1)
    await play.stage.passes(60)
    assert play.escalated == [("process_gateway_waiting", 13), ("process_gateway_degraded", 13)]


async def test_who_listens_cannot_break_what_he_listens_to(play: Play) -> None:
    def broken(*_: object) -> None:
        raise OSError

    task = asyncio.create_task(play.operations.run("start", Order(), broken))
    assert (await play.stage.drive(task)).exit_code == Exit.OK
