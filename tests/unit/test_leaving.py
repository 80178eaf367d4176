"""A process that a foreign library may still be running in ends without destructors."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys
from gateway.leaving import leave_after
atexit.register(print, "unloaded")
def run():
    print("said", end="")
    {ending}
leave_after(run)
"""


def ended(ending: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(ending=ending)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 7])
def test_the_code_is_what_was_returned_and_what_was_said_is_out_but_nothing_is_unloaded(code: int) -> None:
    process = ended(f"return {code}")
    assert (process.returncode, process.stdout, process.stderr) == (code, "said", "")


def test_an_exception_is_a_traceback_and_1() -> None:
    process = ended("raise OSError('no room')")
    assert (process.returncode, process.stdout) == (1, "said")
    assert process.stderr.endswith("OSError: no room\n")


def test_an_output_that_nobody_reads_any_more_does_not_change_the_code() -> None:
    assert ended("sys.stdout.close(); return 3").returncode == 3
