"""``runbook demo --profile both``: what somebody sees who has no broker."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.integration.test_two_feeds import LINES, OWN_PREFIXES, ROOT


async def test_the_demo_of_both_plugins_runs_four_lines_says_what_its_counters_are_and_balances(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_PREFIXES)}
    environment = kept | {"PYTHONPATH": str(ROOT)}

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "runbook", "demo", "--profile", "both", "--port", "0", "--seconds", "6",
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    output = said.decode()
    assert process.returncode == 0, output
    assert "CTP and SOPT, whose counters are stand-ins" in output
    assert "console: http://127.0.0.1:" in output
    for line in LINES:
        assert line in output
