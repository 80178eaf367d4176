"""From what was typed to what the runner is asked."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from gateway.loader import Plugins
from gateway.settings import Settings
from runbook.app import Files, Loaded, Runbook
from runbook.cli.asking import REASON, UsageError, files_of, operator_of, request_of
from runbook.cli.main import kinds_to_show
from runbook.cli.parser import build
from runbook.model import ActionRequest
from runbook.settings import RunbookSettings


def parsed(line: str) -> argparse.Namespace:
    return build(kinds_to_show()).parse_args(line.split())


@pytest.fixture(scope="module")
def runbook(tmp_path_factory: pytest.TempPathFactory) -> Runbook:
    root = tmp_path_factory.mktemp("runbook")
    settings = RunbookSettings(state_dir=root / "state", log_dir=root / "logs")
    loaded = Loaded(settings=Settings(), runbook=settings, views_dir=root / "logs")
    return Runbook(loaded, plugins=Plugins.load(entry_points=False))


def asked(runbook: Runbook, line: str) -> ActionRequest:
    return request_of(parsed(line), runbook, 0)


def test_a_live_change_without_a_reason_says_that_there_was_none(runbook: Runbook) -> None:
    assert asked(runbook, "failover --profile live").reason == REASON
    assert asked(runbook, "failover --profile live --reason why").reason == "why"


def test_what_changes_nothing_live_needs_no_reason(runbook: Runbook) -> None:
    assert asked(runbook, "failover --profile dev").reason == ""
    assert asked(runbook, "check-feed-health --profile live").reason == ""


def test_the_common_flags_are_in_the_request(runbook: Runbook) -> None:
    line = "start --window night --profile test --config backup --dry-run --debug --idempotency-key k --operator desk"
    request = asked(runbook, line)
    assert (request.window, request.profile, request.config) == ("night", "test", "backup")
    assert (request.dry_run, request.idempotency_key, request.operator) == (True, "k", "desk")
    assert request.parameters == {"debug": True}
    assert request.mode == "live"


def test_debug_is_no_parameter_where_the_action_has_none(runbook: Runbook) -> None:
    assert asked(runbook, "failover --debug").parameters == {}
    assert asked(runbook, "start --failover --debug").action == "failover"


def test_enforce_is_the_same_as_mode_enforce_to_the_action(runbook: Runbook) -> None:
    assert asked(runbook, "check-feed-health --enforce").parameters == {"enforce": True}
    assert asked(runbook, "check-feed-health --mode enforce").parameters == {"mode": "enforce"}


def test_a_value_out_of_range_is_wrong_usage(runbook: Runbook) -> None:
    with pytest.raises(UsageError, match="--coverage-threshold") as refused:
        asked(runbook, "check-feed-health --coverage-threshold 2")
    assert refused.value.exit_code == 64


def test_the_operator_is_the_login_and_who_is_behind_sudo() -> None:
    args = parsed("stop")
    assert operator_of(args, 0, {}) == "root"
    assert operator_of(args, 0, {"SUDO_USER": "wei"}) == "root (sudo by wei)"
    assert operator_of(args, 4_000_000, {}) == "uid 4000000"
    assert operator_of(parsed("stop --operator desk"), 0, {"SUDO_USER": "wei"}) == "desk"


def test_the_profiles_own_env_file_is_used_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert files_of(parsed("stop --profile live")) == Files()
    Path(".env.live").write_text("")
    assert files_of(parsed("stop --profile live")).env_files == (Path(".env.live"),)
    assert files_of(parsed("stop")).env_files == ()
    assert files_of(parsed("stop --profile live --env-file other")).env_files == (Path("other"),)


@pytest.mark.parametrize("line", ["notify --tag x --code 2", "serve", "jobs", "audit list --profile test"])
def test_without_profile_and_files_the_env_file_of_the_processs_own_profile_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".env.live", ".env.test"):
        Path(name).write_text("")
    environ = {"FEEDGATE_PROFILE": "live"}
    assert files_of(parsed(line), environ).env_files == (Path(".env.live"),)
    assert files_of(parsed(line), {}).env_files == ()
    assert files_of(parsed(line), {"FEEDGATE_PROFILE": "../env"}).env_files == ()
    assert files_of(parsed("stop --profile test"), environ).env_files == (Path(".env.test"),)
    assert files_of(parsed("stop --env-file other"), environ).env_files == (Path("other"),)


def test_a_filter_of_the_audit_is_no_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env.live").write_text("")
    assert files_of(parsed("audit list --profile live")).env_files == ()


def test_mock_is_the_mock_environment_but_a_drill_brings_its_own() -> None:
    assert files_of(parsed("start --mock")).mock
    assert not files_of(parsed("drill --mock")).mock
    assert not files_of(parsed("start --drill --mock")).mock
