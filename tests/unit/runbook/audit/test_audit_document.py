"""What docs/audit.md says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runbook.audit
from runbook.audit.chain import MAX_TEXT
from runbook.audit.commands import _COMMANDS
from runbook.audit.log import MAX_BYTES
from runbook.audit.retention import KEEP_DAYS, LEAST_DAYS

PACKAGE = Path(runbook.audit.__file__).parent
TEXT = (PACKAGE.parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")


def run_check(directory: Path) -> int:
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=directory, stderr=subprocess.DEVNULL, check=False
    ).returncode


def test_the_check_without_this_program_passes_and_finds_a_change(directory):
    assert run_check(directory) == 0
    file = min(directory.glob("audit-*.jsonl"))
    file.write_bytes(file.read_bytes().replace(b"wang", b"wanG", 1))
    assert run_check(directory) == 1


def test_every_kind_of_finding_is_listed():
    code = "".join((PACKAGE / name).read_text(encoding="utf-8") for name in ("walk.py", "verify.py", "chain.py"))
    kinds = set(re.findall(r'(?:tampered|warn)\(\s*"([a-z]+)"', code)) | set(re.findall(r'kind="([a-z]+)"', code))
    kinds |= set(re.findall(r'"([a-z]+)" if unexplained', code))
    listed = set(re.findall(r"`([a-z]+)`", TEXT.partition("## Findings")[2].partition("## Retention")[0]))
    assert len(kinds) > 15
    assert kinds - listed == set()


def test_every_command_is_listed():
    assert set(re.findall(r"\| `runbook audit ([a-z]+)", TEXT)) == set(_COMMANDS)


@pytest.mark.parametrize(
    "figure", [f"{MAX_TEXT:,}", f"{MAX_BYTES >> 20} MiB", f"{KEEP_DAYS} days", f"Less than {LEAST_DAYS}"]
)
def test_figures_are_those_of_the_code(figure):
    assert figure in TEXT
