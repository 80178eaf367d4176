"""A process that dies leaves no file with what it knew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_DIES = """
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
from runbook.secrets.corefiles import forbid_core_files
forbid_core_files()
forbid_core_files()
import ctypes
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
limit = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
subprocess.run([sys.executable, "-c", limit], check=True)
os.abort()
"""


def test_a_process_that_aborts_leaves_no_core_file_and_its_children_inherit_that(tmp_path: Path) -> None:
    died = subprocess.run(
        [sys.executable, "-c", _DIES],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert died.returncode == -6, died.stderr
    assert died.stdout.split() == ["0", "0"]
    assert list(tmp_path.iterdir()) == []
