"""Which files count, and what is done when they cannot be used."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.loader import Plugins
from runbook.app import Files, Loaded, Runbook, load
from runbook.model import ActionRequest, Trigger
from runbook.runner import Run
from runbook.secrets.hidden import HiddenValues
from runbook.secrets.runtime_file import write_runtime

TWO = """
[feeds.sim]
[feeds.sim.accounts.primary]
[feeds.sim.accounts.backup]
[runbook]
state_dir = "state"
log_dir = "logs"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    Path("two.toml").write_text(TWO)


def loaded(environ: dict[str, str] | None = None, **files: object) -> Loaded:
    return load(Files(settings=Path("two.toml"), **files), environ or {})  # type: ignore[arg-type]  # a test's shorthand


def asked(found: Loaded, action: str, **more: object) -> Run:
    async def ask() -> Run:
        async with Runbook(found, plugins=Plugins.load(entry_points=False)) as runbook:
            request = ActionRequest(action=action, operator="desk", trigger=Trigger.CLI, **more)  # type: ignore[arg-type]  # a test's shorthand
            return await runbook.run(request)

    return asyncio.run(ask())


def test_the_runtime_file_of_vault_comes_last_and_wins() -> None:
    Path("env").write_text("ACTIVE_FEED=primary\n")
    write_runtime(Path(".env.runtime"), HiddenValues({"ACTIVE_FEED": "backup"}), source="secret/x", version=1)
    found = loaded(env_files=(Path("env"),))
    assert found.settings.active == "backup"
    assert found.env_files == (Path("env"), Path(".env.runtime"))


def test_a_runtime_file_that_is_not_ours_is_refused_and_not_read() -> None:
    Path(".env.runtime").write_text("ACTIVE_FEED=backup\n")
    found = loaded()
    assert found.refusal is not None
    assert ".env.runtime" in str(found.refusal)
    assert found.settings.active == "primary"


def test_the_account_that_start_chose_counts_until_the_stop() -> None:
    Path("state").mkdir()
    Path("state/active.env").write_text("ACTIVE_FEED=backup\n")
    assert loaded().config_in_use == "backup"
    assert loaded({"ACTIVE_FEED": "primary"}).config_in_use == "primary"


def test_a_log_directory_that_is_named_wins() -> None:
    found = loaded(log_dir=Path("here"))
    assert (found.runbook.log_dir, found.views_dir) == (Path("here"), Path("here"))


def test_the_runbooks_own_settings_refused_is_an_error() -> None:
    with pytest.raises(SettingsError, match="RUNBOOK_HEALTH__COVERAGE_THRESHOLD"):
        loaded({"RUNBOOK_HEALTH__COVERAGE_THRESHOLD": "7"})


def test_mock_has_its_own_state_and_shares_audit_and_lock() -> None:
    real, mock = loaded(), loaded(mock=True)
    assert mock.runbook.state_dir == Path("state/mock")
    assert mock.runbook.audit_directory == real.runbook.audit_directory
    assert mock.runbook.lock_file == real.runbook.lock_file
    assert set(mock.settings.feeds) == {"sim"}
    assert mock.settings.name != real.settings.name
    assert mock.refusal is None


@pytest.mark.parametrize(
    "environ",
    [
        {"NATS_URL": "nats://127.0.0.1:4222"},
        {
            **{f"CTP_PRIMARY_{name}": "x1" for name in ("BROKER_ID", "USER_ID", "PASSWORD", "APP_ID", "AUTH_CODE")},
            "CTP_PRIMARY_MD_ADDRESS": "tcp://127.0.0.1:1",
            "CTP_PRIMARY_TD_ADDRESS": "tcp://127.0.0.1:2",
        },
    ],
    ids=["nats", "account"],
)
def test_mock_is_refused_where_the_environment_would_bring_in_something_real(environ: dict[str, str]) -> None:
    found = loaded(environ, mock=True)
    assert found.refusal is not None
    assert "--mock" in str(found.refusal)


def test_an_action_on_refused_settings_is_recorded_and_ends_with_11() -> None:
    found = loaded({"CTP_PRIMARY_USER_ID": "half"})
    assert found.refusal is not None
    run = asked(found, "failover")
    assert run.exit_code == 11
    assert "CTP_PRIMARY_" in (run.result.message if run.result else "")
    assert "failover" in Path("logs/start_live_env.log").read_text()


def test_validate_env_reports_refused_settings_in_place_of_checking_defaults() -> None:
    run = asked(loaded({"CTP_PRIMARY_USER_ID": "half"}), "validate-env", parameters={"only": ["settings"]})
    assert run.exit_code == 11
    assert run.result is not None
    assert "CTP_PRIMARY_" in str(run.result.details)


def test_secrets_can_be_cleared_although_the_settings_are_refused() -> None:
    assert asked(loaded({"CTP_PRIMARY_USER_ID": "half"}), "secrets-clear").exit_code == 0


def test_a_mock_request_is_not_done_to_the_real_environment_nor_the_other_way_round() -> None:
    assert asked(loaded(), "stop", mode="mock").exit_code == 77
    assert asked(loaded(mock=True), "stop", mode="live").exit_code == 77
    assert asked(loaded(mock=True), "stop", mode="mock").exit_code == 0


def test_an_account_that_no_feed_has_cannot_be_started_on() -> None:
    Path("two.toml").write_text(TWO.replace("[feeds.sim.accounts.backup]\n", ""))
    run = asked(loaded(), "start", config="backup")
    assert run.exit_code == 11
    assert not Path("state/active.env").exists()


def test_an_absent_built_in_action_is_reported_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbook.app.builtin.MODULES", ("stop", "nonsense"))
    runbook = Runbook(loaded(), plugins=Plugins.load(entry_points=False))
    assert set(runbook.kinds.by_name) == {"stop"}
    assert any("nonsense is not there" in finding for finding in runbook.findings)


def test_a_gateway_without_nats_is_named_with_the_next_step() -> None:
    run = asked(loaded(), "failover")
    assert run.exit_code == 12
    assert "runbook start" in (run.result.message if run.result else "")
