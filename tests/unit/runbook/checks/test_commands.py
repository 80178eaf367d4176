"""The commands and the actions ``validate-env`` and ``doctor``."""

from __future__ import annotations

import argparse
import io
import json
import stat
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Client
from gateway.clock import SystemClock
from runbook.actions import doctor, validate_env
from runbook.actions.doctor import DoctorActions
from runbook.actions.validate_env import ValidateEnvActions
from runbook.checks import CHECKS, MACHINE_CHECKS, UnknownCheckError, read_inspection
from runbook.checks.commands import add_arguments, doctor_command, validate_env_command
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, ActionResult, Exit, Trigger
from runbook.runner import collect_kinds
from tests.unit.runbook.checks.environment import BACKUP, PRIMARY, written
from tests.unit.runbook.checks.test_place_checks import at

QUICK = ["--only", "settings", "--only", "feeds", "--only", "timezone"]


def command(*words: str, environ: Mapping[str, str] | None = None, machine: bool = False) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    add_arguments(parser, of_environment=not machine)
    out = io.StringIO()
    run = doctor_command if machine else validate_env_command
    code = run(parser.parse_args(list(words)), out, SystemClock(), environ or {})
    return code, out.getvalue()


def env_file(path: Path, *sets: Mapping[str, str]) -> Path:
    lines = [f"{name}={value}\n" for one in sets for name, value in one.items()]
    return written(path, "".join(lines))


def test_a_file_with_both_accounts_passes_and_one_without_backup_does_not(tmp_path: Path) -> None:
    live = {"FEEDGATE_PROFILE": "live"}
    whole = env_file(tmp_path / ".env.live", PRIMARY, BACKUP, live)
    code, text = command("--profile", "live", "--source", str(whole), "--require-backup", *QUICK)
    assert code == Exit.OK, text
    half = env_file(tmp_path / ".env.half", PRIMARY, live)
    code, text = command("--profile", "live", "--source", str(half), "--require-backup", *QUICK)
    assert code == Exit.ENVIRONMENT
    assert "ERROR" in text
    assert "-> set CTP_BACKUP_USER_ID" in text
    code, text = command("--profile", "live", "--source", str(half), *QUICK)
    assert code == Exit.WARNING


def test_a_later_file_wins_and_the_environment_over_both(tmp_path: Path) -> None:
    first = env_file(tmp_path / ".env.live", PRIMARY, {"FEEDGATE_PROFILE": "nonsense"})
    second = env_file(tmp_path / ".env.runtime", {"FEEDGATE_PROFILE": "live"})
    words = ["--profile", "live", "--source", str(first), "--source", str(second), "--only", "settings"]
    assert command(*words)[0] == Exit.OK
    assert command(*words, environ={"FEEDGATE_PROFILE": "dev"})[0] == Exit.WARNING


def test_settings_that_cannot_be_read_are_a_report_and_not_the_end(tmp_path: Path) -> None:
    source = env_file(tmp_path / ".env.live", {"CTP_PRIMARY_PASSWORD": "pl4nted", "OPS_API_PORT": "x"})
    code, text = command("--profile", "live", "--source", str(source), "--json", *QUICK)
    assert code == Exit.ENVIRONMENT
    report = json.loads(text)
    assert report["exit_code"] == 11
    assert report["errors"] == len(report["checks"][0]["findings"]) >= 2
    assert all(finding["fix"] for finding in report["checks"][0]["findings"])
    assert "pl4nted" not in text
    assert [check["name"] for check in report["checks"]] == ["settings", "feeds", "timezone"]


def test_the_doctor_exits_with_2_where_validate_env_exits_with_11() -> None:
    environ = {"FEEDGATE_BUS__KIND": "pigeon"}
    code, text = command("--profile", "live", "--json", "--only", "settings", machine=True, environ=environ)
    assert code == Exit.ERROR
    assert json.loads(text)["exit_code"] == 2
    assert command("--only", "settings", environ=environ)[0] == Exit.ENVIRONMENT


def test_list_names_every_check_and_runs_none() -> None:
    code, text = command("--list")
    assert code == Exit.OK
    assert [line.split()[0] for line in text.splitlines()] == [check.name for check in CHECKS]
    rows = json.loads(command("--list", "--json", machine=True)[1])
    assert [row["name"] for row in rows] == [check.name for check in MACHINE_CHECKS]
    assert {row["name"] for row in rows if row["fix"]} == {"secret-files", "directories", "locale"}


def test_an_unknown_check_is_a_wrong_use() -> None:
    code, text = command("--only", "nuts")
    assert code == Exit.USAGE
    assert "choose from: settings" in text
    assert command("--only", "fronts", machine=True)[0] == Exit.USAGE


def test_fix_mends_what_is_safe_says_so_and_checks_again(tmp_path: Path) -> None:
    source = written(tmp_path / ".env.live", "FEEDGATE_PROFILE=live\n", 0o644)
    words = ["--profile", "live", "--source", str(source), "--only", "secret-files", "--only", "directories"]
    environ = at(tmp_path)
    assert command(*words, environ=environ)[0] == Exit.ENVIRONMENT
    assert not (tmp_path / "state").exists()
    code, text = command(*words, "--fix", environ=environ)
    assert code == Exit.OK, text
    assert f"fixed    secret-files: chmod 600 {source} (it was 0644)" in text
    assert f"fixed    directories: mkdir -m 700 {tmp_path}/state (state)" in text
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def connect() -> AbstractAsyncContextManager[Client]:
    raise AssertionError("a check needs no gateway")


class Run:
    """An action in a context, as the runner calls it."""

    def __init__(self, tmp_path: Path, environ: Mapping[str, str], **request: Any) -> None:
        read = read_inspection(SystemClock(), environ=environ)
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self.context = ActionContext(
            run="r1",
            request=ActionRequest(action="validate-env", operator="anna", trigger=Trigger.CLI, **request),
            settings=read.settings,
            runbook=read.runbook,
            clock=SystemClock(),
            log_dir=tmp_path / "logs-of-this-run",
            connect=connect,
            tell=lambda stage, text, fields: self.told.append((stage, text, fields)),
        )

    async def __call__(self, kind: ActionKind, **parameters: Any) -> ActionResult:
        return await kind.build()(self.context, kind.parameters.model_validate(parameters))


KINDS = collect_kinds(builtin=[validate_env, doctor])


def test_both_are_actions_that_change_nothing_live() -> None:
    assert not KINDS.findings
    assert set(KINDS.by_name) == {"validate-env", "doctor"}
    assert not any(kind.changes or kind.exclusive for kind in KINDS.by_name.values())


async def test_the_action_reports_each_finding_and_has_the_report_as_details(tmp_path: Path) -> None:
    run = Run(tmp_path, PRIMARY, profile="live")
    result = await run(KINDS.get("validate-env"), require_backup=True, only=("feeds", "directories"))
    assert result.exit_code == Exit.ENVIRONMENT
    assert "feed ctp" in result.message
    assert [check["name"] for check in result.details["checks"]] == ["feeds", "directories"]
    assert any("feeds: error: feed ctp" in text for _, text, _ in run.told)
    assert "logs-of-this-run (logs)" in json.dumps(result.details)
    assert "pl4nted" not in json.dumps(result.details) + result.message + str(run.told)


async def test_the_action_reads_another_file_when_it_is_given_one(tmp_path: Path) -> None:
    source = env_file(tmp_path / ".env.live", PRIMARY, BACKUP)
    run = Run(tmp_path, {}, profile="live")
    kind = KINDS.get("validate-env")
    assert (await run(kind, only=("feeds",))).exit_code == Exit.ENVIRONMENT
    assert (await run(kind, only=("feeds",), source=source, require_backup=True)).exit_code == Exit.OK


async def test_a_dry_run_of_fix_mends_nothing(tmp_path: Path) -> None:
    kind = KINDS.get("doctor")
    await Run(tmp_path, at(tmp_path), dry_run=True)(kind, only=("directories",), fix=True)
    assert not (tmp_path / "state").exists()
    result = await Run(tmp_path, at(tmp_path))(kind, only=("directories",), fix=True)
    assert result.exit_code == Exit.OK
    assert (tmp_path / "state").is_dir()
    assert (tmp_path / "logs-of-this-run").is_dir()


async def test_files_that_the_settings_came_from_are_looked_at_when_they_are_known(tmp_path: Path) -> None:
    source = written(tmp_path / ".env.live", "FEEDGATE_PROFILE=live\n", 0o644)
    for objects in (ValidateEnvActions(env_files=[source]), DoctorActions(env_files=[source])):
        (kind,) = objects.runbook_actions()
        result = await Run(tmp_path, at(tmp_path), profile="live")(kind, only=("secret-files",))
        assert f"chmod 600 {source}" in result.message


async def test_the_actions_list_their_checks_and_refuse_unknown_ones(tmp_path: Path) -> None:
    run = Run(tmp_path, {})
    for name, checks in (("validate-env", CHECKS), ("doctor", MACHINE_CHECKS)):
        listed = await run(KINDS.get(name), list=True)
        assert [row["name"] for row in listed.details["checks"]] == [check.name for check in checks]
        with pytest.raises(UnknownCheckError):
            await run(KINDS.get(name), only=("nuts",))
