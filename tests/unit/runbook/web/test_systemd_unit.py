"""The console's systemd unit: systemd accepts it, and its command line is one that the command takes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from runbook.cli.main import kinds_to_show
from runbook.cli.parser import build
from tests import needing

UNIT = Path(__file__).parents[4] / "deploy" / "systemd" / "feedgate-runbook.service"


def settings() -> dict[str, str]:
    lines = (line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    analyze = needing.program("systemd-analyze", package="systemd")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/feedgate/bin/runbook", sys.executable))
    said = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_the_unit_serves_with_the_settings_of_the_other_unit() -> None:
    words = shlex.split(settings()["ExecStart"])
    args = build(kinds_to_show()).parse_args(words[1:])
    assert (args.group, args.no_jobs, args.host) == ("serve", False, None)
    other = UNIT.with_name("feedgate.service").read_text()
    assert f"--config={args.settings}" in other
    assert f"--env-file={args.env_file[0]}" in other
    assert f"--log-dir={args.log_dir}" in other


def test_the_unit_does_not_restart_what_a_restart_cannot_mend_and_keeps_secrets_out() -> None:
    found = settings()
    assert {"11", "64"} <= set(found["RestartPreventExitStatus"].split())
    assert found["LimitCORE"] == "0"
    assert found["NoNewPrivileges"] == "yes"
    assert not [name for name in found if name in ("Environment", "EnvironmentFile")]
