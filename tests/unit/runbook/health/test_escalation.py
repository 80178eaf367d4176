"""The escalation command: no shell, a limit, and an answer whatever happens."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from runbook.actions.check_feed_health import HealthParameters
from runbook.health.escalate import escalate
from runbook.notify.command import arguments

PYTHON = sys.executable


def test_words_are_split_before_blanks_are_filled() -> None:
    words = arguments("page '{marker} now' --code={exit_code} ;rm {{x}}", marker="a b; rm -rf $HOME 'q'", exit_code=2)
    assert words == ["page", "a b; rm -rf $HOME 'q' now", "--code=2", ";rm", "{x}"]


@pytest.mark.parametrize("command", ["", "  ", "page 'x", "page {reason}", "page {", "page {marker.__class__.x}"])
async def test_a_command_that_cannot_be_used_is_told(command: str) -> None:
    told = await escalate(command, exit_code=2, timeout_s=60)
    assert "the escalation command" in told["error"]
    assert told["returned"] is None


def test_the_parameter_refuses_blanks_that_nobody_fills() -> None:
    with pytest.raises(ValidationError, match=r"only \{marker\} and \{exit_code\}"):
        HealthParameters(escalation_command="page {reason}")


async def test_a_program_that_is_not_there_is_told() -> None:
    told = await escalate("/nonexistent/page", exit_code=2, timeout_s=60)
    assert "cannot be started" in told["error"]


async def test_a_failure_is_told_with_its_output() -> None:
    told = await escalate(f"{PYTHON} -c 'print(\"no pager\"); raise SystemExit(4)'", exit_code=1, timeout_s=30)
    assert (told["returned"], told["output"].strip()) == (4, "no pager")
    assert "ended with 4" in told["error"]


async def test_the_command_knows_the_profile_of_whoever_escalates() -> None:
    told = await escalate("sh -c 'echo $FEEDGATE_PROFILE'", exit_code=2, timeout_s=30, profile="live")
    assert told["output"].strip() == "live"


async def test_a_flood_of_output_keeps_its_end_only() -> None:
    told = await escalate(f'{PYTHON} -c \'print("x" * 500000 + "end")\'', exit_code=1, timeout_s=30)
    assert told["error"] == ""
    assert len(told["output"]) == 2000
    assert told["output"].endswith("end\n")


async def test_one_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import subprocess, sys, os, time; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(pids)!r}, 'w').write(str(p.pid)); "
        "time.sleep(600)"
    )
    file = tmp_path / "page.py"
    file.write_text(code)
    told = await escalate(f"{PYTHON} {file}", exit_code=2, timeout_s=3)
    assert told["timed_out"] is True
    assert "was killed" in told["error"]
    child = int(pids.read_text())
    async with asyncio.timeout(60):
        while _alive(child):
            await asyncio.sleep(0.02)


async def test_a_child_that_keeps_the_pipe_neither_keeps_us_nor_outlives_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    told = await escalate(
        f"/bin/sh -c '{PYTHON} -c \"import time; time.sleep(600)\" & echo $! > {pid}; exit 0'",
        exit_code=2,
        timeout_s=60,
    )
    assert (told["returned"], told["timed_out"], told["error"]) == (0, False, "")
    async with asyncio.timeout(30):
        while _alive(int(pid.read_text())):  # killed, and maybe not gone yet
            await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a zombie that nobody waits for has ended
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
