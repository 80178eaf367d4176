"""The soak itself, for some seconds: that it runs the real gateway, and that its verdict is a pass."""

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def test_a_short_soak_loses_nothing_and_balances_the_books(tmp_path):
    out = tmp_path / "soak.json"
    arguments = "--minutes 0.08 --rate 2000 --every 1 --allow-mib 64 --instruments 200 --source sim --out"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.soak", *arguments.split(), str(out), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, told.decode()
    result = json.loads(out.read_text())
    assert result["outcome"]["lost"] == 0
    assert result["balance"]["received"] == result["balance"]["published"] == result["outcome"]["received"]
    assert {"core", "line", "server"} <= result["samples"][0]["rss"].keys()
