"""What follows a failure: at once, after three of them, and for a process that answers nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.calendar import Calendar, load_calendar
from gateway.errors import BusError, ControlError
from gateway.settings import AccountSettings, FeedSettings, MetricsSettings, Settings
from gateway.testing.clock import ManualClock
from runbook.model import Exit
from runbook.settings import RunbookSettings, VaultSettings
from runbook.supervisor.remedies import checked_fronts, checked_network, manual_subscription, refreshed_secrets
from runbook.supervisor.watching import Watch
from tests.unit.runbook.supervisor.test_environment import Play


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return load_calendar()


@pytest.fixture
async def play(tmp_path: Path, calendar: Calendar) -> Any:
    play = Play(tmp_path, calendar)
    yield play
    await play.stage.drive(asyncio.create_task(play.environment.aclose()))


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """One that takes connections, one that refuses them."""
    with socket.create_server(("127.0.0.1", 0)) as taking, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield taking.getsockname()[1], closed.getsockname()[1]


async def test_failures_are_counted_over_starts_until_the_stage_passes(play: Play) -> None:
    play.runbook = play.environment.site.runbook = play.runbook.model_copy(
        update={"start": play.runbook.start.model_copy(update={"tries": 2})}
    )
    play.stage.programs["gateway"].plan.extend(["exit 7"] * 3)
    assert (await play.run("start")).exit_code == Exit.GATEWAY
    assert play.escalated == []
    result = await play.run("start")
    assert result.exit_code == Exit.OK
    assert play.escalated == [("start_gateway_failed", 13)]
    assert any("fronts checked: no account has one" in text for _, text, _ in play.told)
    assert play.escalation.failures == {}


async def test_a_start_escalates_once_however_often_it_tries(play: Play) -> None:
    play.escalation.failures["nats"] = 7
    play.stage.programs["nats"].plan.extend(["exit 7"] * 3)
    result = await play.run("start")
    assert result.exit_code == Exit.NATS
    assert play.escalated == [("start_nats_failed", 12)]
    assert play.escalation.failures["nats"] == 10
    assert "no next node: the bundled server is alone" in result.message


async def test_a_coverage_at_the_threshold_is_a_warning_after_the_last_try(play: Play) -> None:
    play.client.wanted, play.client.missing = 1000, ("SHFE.rb2701",)
    result = await play.run("start")
    assert result.exit_code == Exit.WARNING, result.message
    assert "1 of 1000 missing" in result.message
    assert play.tries("subscriptions") == 3


async def test_fronts_and_monitoring_are_looked_at_one_by_one(ports: tuple[int, int]) -> None:
    taking, closed = ports
    accounts = {
        "primary": AccountSettings(md_address=f"tcp://127.0.0.1:{taking}"),
        "backup": AccountSettings(md_address=f"tcp://127.0.0.1:{closed}"),
    }
    found = (await checked_fronts(Settings(feeds={"ctp": FeedSettings(accounts=accounts)}))).text
    assert f"tcp://127.0.0.1:{taking} (ctp:primary) takes connections" in found
    assert f"tcp://127.0.0.1:{closed} (ctp:backup) cannot be reached" in found
    assert f"nc -vz 127.0.0.1 {closed}" in found
    monitoring = {"prometheus_url": f"http://127.0.0.1:{closed}", "pushgateway_url": f"http://127.0.0.1:{taking}"}
    settings = Settings(metrics=MetricsSettings(enabled=False))
    text = (await checked_network(settings, RunbookSettings.model_validate({"metrics": monitoring}))).text
    assert f"Prometheus at http://127.0.0.1:{closed} cannot be reached" in text
    assert f"the Pushgateway at http://127.0.0.1:{taking} takes connections" in text


async def test_without_vault_the_command_is_told_and_no_further_try_is_made() -> None:
    remedy = await refreshed_secrets(VaultSettings(), ManualClock(), read=True, profile="live")
    assert not remedy.again
    assert "`runbook secrets pull --profile live`" in remedy.text


def test_the_manual_subscription_names_the_contracts() -> None:
    names = [f"SHFE.rb{number}" for number in range(2601, 2631)]
    text = manual_subscription(names, "live").text
    assert "runbook subscribe --profile live --include SHFE.rb2601,SHFE.rb2602" in text
    assert "10 more are missing" in text


class Mute:
    """A gateway behind NATS that may be silent, or away with NATS."""

    def __init__(self, play: Play) -> None:
        self.silent = self.away = False
        self.status = play.client.status
        play.environment.site.parts = _with(play, self.connect)

    @asynccontextmanager
    async def connect(self) -> Any:
        if self.away:
            raise BusError("NATS is away")
        yield self

    async def status_(self) -> Any:
        raise ControlError("no answer")

    def __getattribute__(self, name: str) -> Any:
        if name == "status" and object.__getattribute__(self, "silent"):
            return object.__getattribute__(self, "status_")
        return object.__getattribute__(self, name)


def _with(play: Play, connect: Any) -> Any:
    import dataclasses

    return dataclasses.replace(play.environment.site.parts, connect=connect)


@pytest.fixture
async def watched(play: Play, monkeypatch: pytest.MonkeyPatch) -> Any:
    async def greets(_host: str, _port: int) -> bool:
        return not mute.away

    monkeypatch.setattr("runbook.supervisor.watching.greets", greets)
    assert (await play.run("start")).exit_code == Exit.OK
    mute = Mute(play)
    return play, mute, Watch(play.environment.site)


async def looks(play: Play, watch: Watch, seconds: float) -> None:
    for _ in range(round(seconds / 5)):
        await watch.look()
        await play.stage.passes(5)


async def test_a_silent_gateway_is_degraded_at_once_and_killed_when_its_time_is_up(watched: Any) -> None:
    play, mute, watch = watched
    mute.silent = True
    await looks(play, watch, 5)
    assert play.environment.status()["state"] == "degraded"
    assert "does not answer" in play.environment.status()["silent"]["gateway"]
    child = play.stage.programs["gateway"].children[0]
    await looks(play, watch, 20)
    assert child.signals == []
    await looks(play, watch, 15)
    assert child.signals == [signal.SIGKILL]
    assert len(play.stage.programs["gateway"].children) == 2
    assert play.environment.site.gateway_program.debug
    mute.silent = False
    await looks(play, watch, 5)
    assert play.environment.status()["state"] == "running"
    assert "well_again" in play.stage.events()


async def test_a_gateway_that_answers_now_and_then_is_left_alone(watched: Any) -> None:
    play, mute, watch = watched
    for _ in range(4):
        mute.silent = True
        await looks(play, watch, 20)
        mute.silent = False
        await looks(play, watch, 5)
    assert play.stage.programs["gateway"].children[0].signals == []


async def test_a_silent_nats_is_killed_and_the_gateway_behind_it_is_not(watched: Any) -> None:
    play, mute, watch = watched
    mute.away = True
    await looks(play, watch, 40)
    assert play.stage.programs["nats"].children[0].signals == [signal.SIGKILL]
    assert play.stage.programs["gateway"].children[0].signals == []
