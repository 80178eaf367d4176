"""Every Python program in the documents runs as it is printed, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, Block, blocks

README = ROOT / "README.md"
EMBEDDING = ROOT / "docs" / "embedding.md"
PLUGINS = ROOT / "docs" / "plugins.md"
DEADLINE_S = 60


def command(path: Path) -> list[str]:
    # what a user would be told once on stderr is a failure here: a resource left open, something deprecated
    return [sys.executable, "-W", "error", str(path)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


async def run(path: Path) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command(path),
        cwd=path.parent,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


PROGRAMS = [block for block in blocks(EMBEDDING, "python") if not block.file]
"""Those with a file name need something around them: tests/docs/test_embedding.py."""


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.id)
async def test_a_program_of_the_embedding_guide_ends_by_itself_and_quietly(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(block.code, encoding="utf-8")
    code, out, err = await run(path)
    assert (code, err) == (0, "")
    assert out
    assert "False" not in out


def test_the_embedding_guide_has_a_program_under_each_heading_that_promises_one() -> None:
    sections = re.split(r"^## ", EMBEDDING.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [text.splitlines()[0] for text in sections if "\n```python" not in text] == []


async def test_the_ten_lines_of_the_readme_print_ticks_until_they_are_interrupted(tmp_path: Path) -> None:
    (block,) = blocks(README, "python")
    assert len([line for line in block.code.splitlines() if line.strip()]) <= 12
    path = tmp_path / "program.py"
    path.write_text(block.code, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *command(path),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            lines = [(await process.stdout.readline()).decode() for _ in range(20)]
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert all("SHFE." in line for line in lines)
    assert err.decode().rstrip().endswith("KeyboardInterrupt")
    assert "ResourceWarning" not in err.decode()


async def test_the_plugin_of_the_plugin_guide_does_what_the_guide_prints(tmp_path: Path) -> None:
    for block in blocks(PLUGINS, "python"):
        assert block.file, "every block of this guide is a file"
        (tmp_path / block.file).write_text(block.code, encoding="utf-8")
    code, out, err = await run(tmp_path / "run_pulse.py")
    assert (code, err) == (0, "")
    (printed,) = (block.code for block in blocks(PLUGINS, "text"))
    assert out == printed
