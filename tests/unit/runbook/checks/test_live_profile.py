"""What profile live demands, of ``validate-env`` and of a start; and the times of the sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import SettingsError
from gateway.loader import Plugins
from gateway.settings import AccountSettings, BusSettings, FeedSettings, Settings
from runbook.app import Files, Runbook, load
from runbook.checks import Severity, live_profile, sessions
from runbook.checks.live_profile import demands, unfit
from runbook.model import ActionRequest, Trigger
from tests.unit.runbook.checks.environment import PRIMARY, inspection, of, the_only

LIVE = PRIMARY | {"FEEDGATE_PROFILE": "live"}
REMOTE = {"NATS_URL": "nats://127.0.0.1:4222,nats://nats.example.com:4222"}


@pytest.mark.parametrize(
    ("more", "what", "fix"),
    [
        (REMOTE, "nats.example.com is used without a login", "NATS_USER"),
        ({"FEEDGATE_BUS__KIND": "memory"}, "no consumer can connect", "FEEDGATE_BUS__KIND=nats"),
        ({"FEEDGATE_BUS__BUNDLED_HOST": "0.0.0.0"}, "listen on 0.0.0.0 without a login", "leave FEEDGATE_BUS"),
    ],
)
def test_a_bus_that_everybody_may_use_is_an_error_in_live_and_a_piece_of_advice_elsewhere(
    more: Mapping[str, str], what: str, fix: str
) -> None:
    found = the_only(live_profile.check(inspection(LIVE | more)), Severity.ERROR)
    assert what in found.what
    assert fix in found.fix
    for profile in ("dev", "test"):
        findings = live_profile.check(inspection(PRIMARY | more, profile=profile))
        assert [one.severity for one in findings] == [Severity.INFO]
        assert what in findings[0].what


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"NATS_URL": "nats://127.0.0.1:4222,nats://localhost:4223,nats://[::1]:4222"},
        REMOTE | {"NATS_USER": "gateway", "NATS_PASSWORD": "pl4nted"},
        REMOTE | {"FEEDGATE_BUS__TOKEN": "pl4nted"},
        REMOTE | {"FEEDGATE_BUS__CREDS_FILE": __file__},
    ],
)
def test_loopback_or_a_login_is_enough(more: Mapping[str, str]) -> None:
    assert [one.severity for one in live_profile.check(inspection(LIVE | more))] == [Severity.OK]


def test_a_live_check_of_settings_for_another_profile_says_so() -> None:
    found = the_only(live_profile.check(inspection(PRIMARY)), Severity.WARNING)
    assert "FEEDGATE_PROFILE is dev" in found.what
    assert "FEEDGATE_PROFILE=live" in found.fix


def request(**more: Any) -> ActionRequest:
    return ActionRequest(action="start", operator="li", trigger=Trigger.CLI, reason="x", **more)


def settings(kind: str, bus: BusSettings | None = None) -> Settings:
    return Settings(feeds={"f": FeedSettings(kind=kind)}, bus=bus or BusSettings())


def test_every_demand_that_is_not_met_is_named_with_its_fix() -> None:
    (bus, feed) = demands(settings("replay", BusSettings(kind="memory")))
    assert "set FEEDGATE_BUS__KIND=nats" in bus
    assert "feed f is of kind replay, which is no market; configure a real feed" in feed
    assert demands(settings("ctp")) == []


@pytest.mark.parametrize("at_the_account", [True, False])
def test_a_stand_in_for_a_counter_is_refused_like_a_synthetic_market(at_the_account: bool) -> None:
    options = {"native_module": "standin"}
    account = AccountSettings(options=options if at_the_account else {})
    feed = FeedSettings(accounts={"backup": account}, options={} if at_the_account else options)
    (demand,) = demands(Settings(feeds={"sopt": feed}))
    assert "the counter of sopt:backup is a stand-in, no market" in demand
    assert demands(Settings(feeds={"sopt": FeedSettings(accounts={"backup": AccountSettings()})})) == []


@pytest.mark.parametrize("kind", ["sim", "replay"])
def test_demands_are_made_of_live_requests_and_live_settings_only(kind: str) -> None:
    dev, live = settings(kind), settings(kind).model_copy(update={"profile": "live"})
    assert unfit(request(profile="live"), dev)
    assert unfit(request(profile="dev"), live)
    assert not unfit(request(profile="test"), dev)
    assert not unfit(request(profile="live", mode="mock"), live)


@pytest.mark.parametrize(("profile", "refused"), [("live", True), ("test", False)])
async def test_a_start_in_live_on_a_synthetic_market_is_refused_with_11_before_anything_is_done(
    tmp_path: Path, profile: Any, *, refused: bool
) -> None:
    environ = {
        "RUNBOOK_STATE_DIR": str(tmp_path / "state"),
        "RUNBOOK_LOG_DIR": str(tmp_path / "logs"),
        "FEEDGATE_FEEDS__SIM__KIND": "sim",
        "ACTIVE_FEED": "primary",
    }
    async with Runbook(load(Files(), environ), plugins=Plugins.load(entry_points=False)) as runbook:
        run = await runbook.run(request(profile=profile, dry_run=True))
    assert run.result is not None
    assert (run.result.exit_code == 11) is refused, run.result
    assert ("which is no market" in run.result.message) is refused


def test_session_times_that_cannot_be_used_are_errors_in_every_profile(tmp_path: Path) -> None:
    path = tmp_path / "sessions.toml"
    given = {"SESSION_CONFIG": str(path)}
    for profile in ("live", "dev"):
        assert "cannot be read" in the_only(sessions.check(inspection(given, profile=profile)), Severity.ERROR).what
    path.write_text('[day]\nopens = "9"\ncloses = "16"\n')
    findings = of(sessions.check(inspection(given)), Severity.ERROR)
    assert [one.what.split(": ")[1] for one in findings] == ["day.opens", "day.closes"]
    assert all("HH:MM" in one.fix for one in findings)
    path.write_text('[day]\nopens = "08:30"\ncloses = "15:00"\n')
    clash = sessions.check(inspection(given | {"RUNBOOK_SCHEDULE__DAY_T5_AT": "08:50"}))
    assert "runbook.schedule.day_t5_at: 08:50 is not before day.opens" in the_only(clash, Severity.ERROR).what


def test_session_times_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "sessions.toml"
    path.write_text('[night]\nopens = "21:00"\ncloses = "23:00"\nready_by = "20:50"\n')
    found = the_only(sessions.check(inspection({"SESSION_CONFIG": str(path)})), Severity.OK)
    assert "day as the trading calendar, night 21:00-23:00, ready by 20:50" in found.what
    assert "not set" in the_only(sessions.check(inspection({})), Severity.OK).what


async def test_a_runbook_with_bad_session_times_plans_no_job_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "sessions.toml").write_text("[day]\n")
    environ = {"RUNBOOK_STATE_DIR": str(tmp_path / "state"), "RUNBOOK_LOG_DIR": str(tmp_path / "logs")}
    environ["SESSION_CONFIG"] = str(tmp_path / "sessions.toml")
    async with Runbook(load(Files(), environ), plugins=Plugins.load(entry_points=False)) as runbook:
        assert any("day.opens: is missing" in finding for finding in runbook.findings)
        with pytest.raises(SettingsError, match=r"day\.opens: is missing"):
            runbook.desk()
        asked = ActionRequest(action="t5-checkpoint", operator="li", trigger=Trigger.CLI, dry_run=True)
        run = await runbook.run(asked)
    assert run.result is not None
    assert run.result.exit_code == 11
