"""The parts of the embedding guide that need something around them: a web server, a notebook, a pytest run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.documents import ROOT, Block, blocks

GUIDE = ROOT / "docs" / "embedding.md"
FILES = {block.file: block for block in blocks(GUIDE, "python") if block.file}
DEADLINE_S = 90
_LISTENS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
_PATTERNS = "SHFE.*"


def environment(directory: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(directory),
        "IPYTHONDIR": str(directory / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(directory / "jupyter"),
    }


def written(block: Block, directory: Path) -> Path:
    path = directory / block.file
    path.write_text(block.code, encoding="utf-8")
    return path


def test_every_file_of_the_guide_is_run_by_a_test() -> None:
    assert set(FILES) == {"app_fastapi.py", "app_litestar.py", "cell-1", "cell-2", "cell-3", "test_my_market.py"}


@contextlib.asynccontextmanager
async def uvicorn(app: str, directory: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process, list[str]]]:
    """The server's address, process and log; the log is whole when the process has ended."""
    command = ["-W", "error", "-m", "uvicorn", f"{app}:app", "--port", "0", "--timeout-graceful-shutdown", "1"]
    (directory / "temporary").mkdir()
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=directory,
        env=environment(directory / "temporary"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert server.stderr is not None
    log: list[str] = []

    async def read(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            log.append(line.decode())

    reading = asyncio.create_task(read(server.stderr))
    try:
        while not (found := _LISTENS.search("".join(log))):
            assert server.returncode is None, "".join(log)
            await asyncio.sleep(0.05)
        yield found[1], server, log
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()
        await reading


@pytest.mark.parametrize("app", ["app_fastapi", "app_litestar"])
async def test_a_web_application_streams_ticks_has_the_console_and_ends_while_a_browser_listens(
    app: str, tmp_path: Path
) -> None:
    written(FILES[f"{app}.py"], tmp_path)
    async with asyncio.timeout(DEADLINE_S), uvicorn(app, tmp_path) as (url, server, log):
        async with httpx.AsyncClient(base_url=url, timeout=30) as browser:
            refused = await browser.get("/ticks/nonsense")
            assert refused.status_code in (400, 422)
            assert "EXCHANGE.CODE" in refused.text
            page = await browser.get("/ops/", follow_redirects=True)
            assert page.status_code == 200
            style = re.search(r'href="(/ops/static/[^"]+\.css)"', page.text)
            assert style is not None
            assert (await browser.get(style[1])).status_code == 200
            async with browser.stream("GET", f"/ticks/{_PATTERNS}") as stream:
                lines = stream.aiter_lines()
                while not (await anext(lines)).startswith('data: {"instrument":"SHFE.'):
                    pass
                server.send_signal(signal.SIGTERM)  # while the stream is open
                with contextlib.suppress(httpx.RemoteProtocolError):
                    async for _ in lines:
                        pass
        await server.wait()
    assert any("Application shutdown complete" in line for line in log), "".join(log)
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_the_cells_of_the_notebook_run_one_after_another_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    before = "from tests.integration.embedding.leftovers import Leftovers\nleftovers = Leftovers()"
    after = "leftovers.found(loop_runs=True)"
    cells = [before, *(FILES[f"cell-{number}"].code for number in (1, 2, 3)), after]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    async with asyncio.timeout(DEADLINE_S):
        await NotebookClient(notebook, timeout=60, kernel_name="python3").async_execute(cwd=str(tmp_path))
    lines, ticks, books, left = (output_of(cell) for cell in notebook.cells[1:])
    assert "sim:primary" in lines
    assert ticks.count("SHFE.") == 5
    assert "received=" in books
    assert left == "[]"


def output_of(cell: nbformat.NotebookNode) -> str:
    return "".join(str(output["data"]["text/plain"]) for output in cell.outputs if "data" in output)


async def test_the_fixture_for_pytest_works_in_a_project_of_its_own(tmp_path: Path) -> None:
    path = written(FILES["test_my_market.py"], tmp_path)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE_S):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert b"1 passed" in out
