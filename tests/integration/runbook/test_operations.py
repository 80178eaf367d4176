"""The executables with the operators' names, as processes: from anywhere, through symlinks, with the CLI's codes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import runbook

OPERATIONS = Path(runbook.__file__).parent / "operations"
COMMANDS = {
    "start_live_env.sh": "start",
    "validate_env.py": "validate-env",
    "check_feed_health.py": "check-feed-health",
    "full_feed_subscription.py": "subscribe",
    "alert_smoke.py": "alert-smoke",
    "refresh_contracts.py": "refresh-contracts",
    "run_drill_tests.sh": "drill",
    "notify_slack.sh": "notify",
}
OURS = ("RUNBOOK_", "FEEDGATE_", "CTP_", "SOPT_", "NATS_", "OPS_", "VAULT_", "PUSHGATEWAY", "DRILL_")


def do(directory: Path, *words: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """In ``directory``, with nothing of ours in the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(
        [str(word) for word in words],
        cwd=directory,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_there_is_one_for_each_name_of_the_operators_and_no_other() -> None:
    there = {path.name for path in OPERATIONS.iterdir() if os.access(path, os.X_OK) and path.is_file()}
    assert there == {*COMMANDS, "hand_on.sh"}


@pytest.mark.parametrize("name", COMMANDS)
def test_its_flags_are_those_of_the_command(name: str, tmp_path: Path) -> None:
    done = do(tmp_path, OPERATIONS / name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: runbook {COMMANDS[name]} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_is_64_through_a_symlink_from_another_directory(name: str, tmp_path: Path) -> None:
    (tmp_path / "bin dir").mkdir()
    first = tmp_path / "bin dir" / "first link"
    first.symlink_to(os.path.relpath(OPERATIONS / name, first.parent))
    second = tmp_path / name
    second.symlink_to(Path("bin dir") / "first link")
    done = do(tmp_path, f"./{name}", "--no-such-flag")
    assert done.returncode == 64
    assert "--no-such-flag" in done.stderr


def test_a_directory_of_our_name_in_the_working_directory_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "runbook").mkdir()
    (tmp_path / "runbook" / "__init__.py").write_text("raise SystemExit(0)\n")
    assert do(tmp_path, OPERATIONS / "notify_slack.sh", "--no-such-flag").returncode == 64


def test_arguments_arrive_as_they_were_written(tmp_path: Path) -> None:
    reason = "two words, a 'quote', a $HOME and a *"
    done = do(tmp_path, OPERATIONS / "notify_slack.sh", "--tag", "a b", "--code", "2", "--reason", reason)
    assert done.returncode == 11, done.stdout  # no address is configured
    audit = next((tmp_path / "state" / "runbook" / "audit").glob("*.jsonl")).read_text()
    assert reason in audit
    assert '"tag":"a b"' in audit


def test_validate_env_names_the_fix_and_does_not_exit_with_0(tmp_path: Path) -> None:
    (tmp_path / ".env.live").write_text("CTP_PRIMARY_USER_ID=half\n")
    done = do(
        tmp_path, OPERATIONS / "validate_env.py", "--profile", "live", "--source", ".env.live", "--require-backup"
    )
    assert done.returncode == 11
    assert "CTP_PRIMARY_" in done.stdout


def test_a_failed_health_check_is_2_and_on_record(tmp_path: Path) -> None:
    done = do(tmp_path, OPERATIONS / "check_feed_health.py", "--mode", "dry-run", "--skip-metrics", "--log-dir", "logs")
    assert done.returncode == 2
    assert "exit_code=2" in (tmp_path / "logs" / "health_check.log").read_text()


def test_an_alert_smoke_without_a_pushgateway_fails(tmp_path: Path) -> None:
    done = do(tmp_path, OPERATIONS / "alert_smoke.py", "--wait-seconds", "1")
    assert done.returncode != 0
    assert "PUSHGATEWAY_URL" in done.stdout


def test_contracts_and_subscriptions_without_nats_fail_with_their_codes(tmp_path: Path) -> None:
    assert do(tmp_path, OPERATIONS / "full_feed_subscription.py", "--limit", "3").returncode == 12
    assert do(tmp_path, OPERATIONS / "refresh_contracts.py").returncode == 14
