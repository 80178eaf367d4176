"""The systemd units and timers: accepted, hardened, about commands that exist, and at the times of the settings."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runbook.cli.main import main
from runbook.settings import RunbookSettings
from tests import needing
from tests.docs.documents import ROOT

DIRECTORY = ROOT / "deploy" / "systemd"
UNITS = sorted(path.name for path in DIRECTORY.iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [name for name in UNITS if name.endswith(".service")]
TIMERS = [name for name in UNITS if name.endswith(".timer")]
EXPOSURE = 20
"""Tenths, as systemd-analyze counts: 0 is locked up, 100 is open."""


def settings(name: str) -> dict[str, str]:
    lines = (line for line in (DIRECTORY / name).read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All units, for programs that this machine has."""
    place = tmp_path_factory.mktemp("units")
    for name in UNITS:
        text = re.sub(r"/opt/feedgate/bin/\w+", sys.executable, (DIRECTORY / name).read_text())
        (place / name.replace("@.", "@archive.")).write_text(text)
    return place


@pytest.mark.parametrize("name", [name.replace("@.", "@archive.") for name in UNITS])
def test_systemd_has_nothing_to_say(name: str, installed: Path) -> None:
    analyze = needing.program("systemd-analyze", package="systemd")
    said = subprocess.run([analyze, "verify", str(installed / name)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_locked_up(name: str, installed: Path) -> None:
    analyze = needing.program("systemd-analyze", package="systemd")
    words = ["security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager"]
    path = installed / name.replace("@.", "@archive.")
    said = subprocess.run([analyze, *words, str(path)], capture_output=True, text=True, check=False)
    if "unrecognized option" in said.stderr:
        needing.without("systemd-analyze knows no --offline: systemd 250 or later")
    assert said.returncode == 0, said.stdout[-300:]


@pytest.mark.parametrize("name", TIMERS)
def test_a_timer_starts_a_command_with_flags_that_it_has(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = name.partition("@")[2].removesuffix(".timer")
    words = shlex.split(settings("feedgate-job@.service")["ExecStart"].replace("%i", command))
    assert words[:2] == ["/opt/feedgate/bin/runbook", command]
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for flag in words[2:]:
        assert flag.partition("=")[0] in said


@pytest.mark.parametrize("name", TIMERS)
def test_a_timer_runs_when_the_scheduler_would(name: str) -> None:
    command = name.partition("@")[2].removesuffix(".timer")
    at = getattr(RunbookSettings().schedule, f"{command.replace('-', '_')}_at")
    assert settings(name)["OnCalendar"] == f"Mon..Fri {at}:00 Asia/Shanghai"
    analyze = needing.program("systemd-analyze", package="systemd")
    words = [analyze, "calendar", "--iterations=1", settings(name)["OnCalendar"]]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_a_timer_s_run_gives_way_to_the_scheduler() -> None:
    condition = settings("feedgate-job@.service")["ExecCondition"]
    assert "is-active feedgate-runbook.service" in condition
    assert "feedgate-runbook.service" in UNITS
    assert condition.startswith('/bin/sh -c "! ')


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_nobody_s_root_and_keeps_secrets_out_of_its_unit(name: str) -> None:
    found = settings(name)
    assert (found["User"], found["LimitCORE"], found["ProtectSystem"]) == ("feedgate", "0", "strict")
    assert not {"Environment", "EnvironmentFile"} & set(found)
    assert found["CapabilityBoundingSet"] == ""


def test_the_page_names_every_unit() -> None:
    page = (DIRECTORY / "README.md").read_text()
    for name in UNITS:
        assert name in page
