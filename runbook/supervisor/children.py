"""Processes of ours: what to start, and one that runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from gateway.clock import SystemClock
from gateway.errors import FeedgateError
from gateway.terminal.logs.files import RotatingFile
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai
from runbook.runner.waiting import to_the_end
from runbook.supervisor import launcher

_WORDS: Final = 40
_LINE: Final = 100_000
"""Bytes. A record of the gateway, with a long traceback in Chinese, fits."""
_TAIL_S: Final = 0.5


class SpawnError(FeedgateError):
    """A program cannot be started at all."""

    code = "spawn"
    exit_code = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments, in which there is never a secret: everybody on the machine can read them."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log: str
    """Name of the file in the log directory that takes its output."""


class Child(Protocol):
    """A process."""

    pid: int

    async def wait(self) -> int:
        """Its exit code, once it has ended; below 0: the signal that ended it."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        ...

    def last_words(self) -> str:
        """The last lines of its output, masked."""
        ...


class Spawn(Protocol):
    """Starts processes."""

    async def __call__(self, command: Command, /) -> Child:
        """Start it. Raises SpawnError."""
        ...


class Spawner:
    """Starts real processes that die with this one. Their output goes to files that turn over by size.

    Call it from the main thread's loop only: the kernel ties the death of a child to the thread that started it.
    """

    def __init__(self, log_dir: Path, masker: Masker) -> None:
        self._log_dir = log_dir
        self._masker = masker
        self._files: dict[str, RotatingFile] = {}

    async def __call__(self, command: Command, /) -> Child:
        """As :class:`Spawn` says. A cancelled call leaves no process behind."""
        starting = asyncio.ensure_future(self._start(command))
        try:
            return await to_the_end(starting)
        except asyncio.CancelledError:
            if starting.done() and not starting.cancelled() and starting.exception() is None:
                starting.result().signal(signal.SIGKILL)
            raise

    async def _start(self, command: Command) -> RealChild:
        file = self._files.setdefault(command.log, RotatingFile(self._log_dir / command.log, missing=_missing))
        output = _Output(file, self._masker)
        reading, writing = os.pipe()
        pipe = os.fdopen(reading, "rb", buffering=0)
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, pipe)
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-I", "-S", launcher.__file__, str(os.getpid()), *command.argv),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=writing,
                    stderr=writing,
                    env=dict(command.env),
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops its children in order
                )
            except OSError as error:
                transport.close()
                raise SpawnError(f"{command.argv[0]} cannot be started: {error}; see memory and limits") from error
        finally:
            os.close(writing)
        return RealChild(process, output, transport)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def _missing(text: str) -> str:
    """In the form of text logs, which the log scan reads."""
    return f"{shanghai(SystemClock().wall_ns())} ERROR {__name__}: {text}"


class RealChild:
    """A process whose end is noticed at once, also while a grandchild still holds its output."""

    def __init__(self, process: asyncio.subprocess.Process, output: _Output, transport: asyncio.ReadTransport) -> None:
        self.pid = process.pid
        self._process = process
        self._output = output
        self._transport = transport
        self._exited = asyncio.create_task(self._wait(), name=f"process {process.pid}")

    async def wait(self) -> int:
        return await asyncio.shield(self._exited)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def last_words(self) -> str:
        return "\n".join(self._output.words) or "(nothing)"

    async def _wait(self) -> int:
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TAIL_S):
                await self._output.ended.wait()
        self._transport.close()
        return code


class _Output(asyncio.Protocol):
    """Lines of a child, masked, into its file."""

    def __init__(self, file: RotatingFile, masker: Masker) -> None:
        self.words: deque[str] = deque(maxlen=_WORDS)
        self.ended = asyncio.Event()
        self._write: Callable[[str], object] = file.write
        self._masker = masker
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(rest) > _LINE:  # a program that never ends its line shall not fill our memory
            self._line(rest[:_LINE])
            rest = rest[_LINE:]
        self._rest = rest

    def connection_lost(self, _exc: Exception | None, /) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self._line(rest)
        self.ended.set()

    def _line(self, line: bytes) -> None:
        text = self._masker.text(line.decode("utf-8", "backslashreplace").rstrip())
        self.words.append(text)
        self._write(text)
