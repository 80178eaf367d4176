"""Native tests run the vendor library in child processes, because it kills its process when something is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import needing

HERE = Path(__file__).parent
DEADLINE_S = 60.0

Record = dict[str, Any]


def require(*modules: str) -> None:
    """Skip, or fail where every tool must be there, when a vendor package is not installed."""
    needing.modules(*modules, install="pip install openctp-ctp openctp-ctpopt openctp-tts")


def child_environment(**extra: str) -> dict[str, str]:
    """This process's environment, where a child finds the same packages, without any locale path but ``extra``'s."""
    kept = {name: value for name, value in os.environ.items() if name != "LOCPATH"}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | extra


@pytest.fixture(scope="session")
def locale_dir(request: pytest.FixtureRequest) -> Path:
    """The vendor's locale."""
    from gateway.thost import locales

    if found := locales.findings({}):
        needing.without("; ".join(found))
    directory: Path = request.getfixturevalue("built_locale")
    return directory


class RecordedLine:
    """A child process that runs a source, and what its sink was told so far."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader) -> None:
        self.process = process
        self.records: list[Record] = []
        self._reader = reader

    async def read(self, seconds: float = DEADLINE_S) -> Record | None:
        """The next record; None at the end."""
        async with asyncio.timeout(seconds):
            line = await self._reader.readline()
        if not line:
            return None
        record: Record = json.loads(line)
        self.records.append(record)
        return record

    async def until(self, wanted: Callable[[Record], bool], seconds: float = DEADLINE_S) -> Record:
        """The next record that is wanted."""
        async with asyncio.timeout(seconds):
            while (record := await self.read(seconds)) is not None:
                if wanted(record):
                    return record
        raise AssertionError(f"the line ended with {await self.process.wait()} after {self.records}")

    async def until_state(self, state: str) -> Record:
        return await self.until(lambda record: record["kind"] == "state" and record["state"] == state)

    async def until_kind(self, kind: str) -> Record:
        return await self.until(lambda record: record["kind"] == kind)

    def command(self, verb: str, *names: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([verb, *names]).encode() + b"\n")

    async def close(self) -> int:
        """Ask it to end; its exit code."""
        self.command("close")
        async with asyncio.timeout(DEADLINE_S):
            while await self.read() is not None:
                pass
            return await self.process.wait()


LineFactory = Callable[..., Any]


@pytest.fixture
def recorded_line(locale_dir: Path) -> LineFactory:
    """``async with recorded_line(address, module=…) as line:``"""

    @asynccontextmanager
    async def run(
        address: str,
        *,
        module: str = "openctp_tts",
        feed: str = "ctp",
        password: str = "secret-word",
        options: Mapping[str, object] | None = None,
        with_locale: bool = True,
        **environment: str,
    ) -> AsyncIterator[RecordedLine]:
        require(module)
        reading, writing = os.pipe()
        extra = ({"LOCPATH": str(locale_dir)} if with_locale else {}) | environment
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(HERE / "record_line.py"), str(writing),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(writing,), env=child_environment(**extra),
            )  # fmt: skip
        finally:
            os.close(writing)
        reader = asyncio.StreamReader(limit=1 << 20)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
        )
        account = {
            "name": "primary", "broker_id": "9999", "user_id": "160219", "md_address": address,
            "secrets": {"password": password},
        }  # fmt: skip
        job = {"feed": feed, "account": account, "options": {"native_module": module, **(options or {})}}
        assert process.stdin is not None
        process.stdin.write(json.dumps(job).encode() + b"\n")
        try:
            yield RecordedLine(process, reader)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            process.stdin.close()
            transport.close()

    return run
