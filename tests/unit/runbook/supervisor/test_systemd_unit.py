"""The systemd unit: systemd accepts it, and its command line is one that the supervisor takes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from runbook.supervisor.__main__ import _parser
from tests import needing

UNIT = Path(__file__).parents[4] / "deploy" / "systemd" / "feedgate.service"


def settings() -> dict[str, str]:
    lines = (line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    analyze = needing.program("systemd-analyze", package="systemd")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/feedgate/bin/python", sys.executable))
    said = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_the_unit_runs_the_supervisor_in_the_foreground_with_paths_it_may_write() -> None:
    words = shlex.split(settings()["ExecStart"])
    assert words[1:3] == ["-m", "runbook.supervisor"]
    args = _parser().parse_args(words[3:])
    assert args.foreground
    assert (str(args.state_dir), str(args.log_dir)) == ("/var/lib/feedgate", "/var/log/feedgate")


def test_the_unit_does_not_restart_what_a_restart_cannot_mend_and_keeps_secrets_out() -> None:
    found = settings()
    assert {"11", "75"} <= set(found["RestartPreventExitStatus"].split())
    assert found["LimitCORE"] == "0"
    assert found["NoNewPrivileges"] == "yes"
    assert not [name for name in found if name in ("Environment", "EnvironmentFile")]
