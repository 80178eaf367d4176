"""Where a source runs: in a child process (vendor code can kill its process) or inline (pure Python sources).

A host is one incarnation: started once, ended once. Both kinds speak the same messages and frames, so everything above
them is one code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from gateway.clock import Clock
from gateway.errors import WireError
from gateway.lines.cells import Cells
from gateway.lines.chatter import Chatter
from gateway.lines.frame import MESSAGE, TICKS, FrameSplitter, frame
from gateway.lines.messages import FromLine, Start, Stop, ToLine, decode_from_line, encode
from gateway.lines.runner import SourceRunner
from gateway.lines.spoken import as_record, heard
from gateway.ports import FeedFactory

_log = logging.getLogger(__name__)

_LAST_WORDS = 20
"""Output lines of a child kept for the report of its death."""
_LINE_LIMIT = 4096
_SOCKET_BUFFER = 1 << 20


class HostEvents(Protocol):
    """Who a host tells. Called on the loop; never again after ``ended``."""

    def ticks(self, body: bytes) -> None: ...
    def message(self, message: FromLine) -> None: ...
    def ended(self, reason: str) -> None:
        """The incarnation is over, whatever ended it."""


class Host(Protocol):
    """One incarnation of a line."""

    cells: Cells

    @property
    def pid(self) -> int | None: ...
    async def start(self) -> None: ...
    def send(self, order: ToLine) -> None: ...
    def kill(self) -> None:
        """End it now, without ceremony. It also ends a process that is stopped (SIGSTOP)."""

    async def stop(self, timeout_s: float) -> None:
        """In order if it obeys within the limit, by force otherwise. Idempotent; ``cells`` stay readable."""


HostFactory = Callable[[HostEvents], Host]


class _CoreLink(asyncio.BufferedProtocol):
    """The core's end of the socket: reads into one buffer, cuts frames."""

    def __init__(self, events: HostEvents, lost: Callable[[str], None]) -> None:
        self._events = events
        self._lost = lost
        self._buffer = memoryview(bytearray(_SOCKET_BUFFER))
        self._splitter = FrameSplitter(self._frame)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._splitter.feed(bytes(self._buffer[:nbytes]))
        except (WireError, ValueError) as error:
            self._lost(f"unreadable output: {error}")

    def _frame(self, kind: int, body: bytes) -> None:
        if kind == TICKS:
            self._events.ticks(body)
        else:
            self._events.message(decode_from_line(body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(f"socket: {exc}" if exc else "end of file")


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child process is started with."""

    start: Start
    environment: Callable[[], Mapping[str, str]]
    """All its variables (blocking is allowed: it runs in a worker thread)."""


class ChildHost:
    """A source in its own process. The process may crash, hang or be stopped: it costs this line only."""

    def __init__(self, spec: ChildSpec, events: HostEvents) -> None:
        self._spec = spec
        self._events = events
        self.cells = Cells()
        self._process: asyncio.subprocess.Process | None = None
        self._link: _CoreLink | None = None
        self._output: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._cut = asyncio.Event()
        self._why = ""
        self._over = False
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        environment = dict(await asyncio.to_thread(self._spec.environment))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, self._spec.start.path))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.lines.child",
                str(theirs.fileno()),
                str(self.cells.descriptor),
                str(os.getpid()),
                pass_fds=(theirs.fileno(), self.cells.descriptor),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                limit=_LINE_LIMIT * 16,
            )
            link = self._link = _CoreLink(self._events, self._cut_off)
            await asyncio.get_running_loop().create_connection(lambda: link, sock=ours.dup())
        self._output = asyncio.create_task(self._read_output(), name=f"output of {self._spec.start.line}")
        self._watch = asyncio.create_task(self._await_end(), name=f"end of {self._spec.start.line}")
        self.send(self._spec.start)

    def send(self, order: ToLine) -> None:
        if self._link is not None and self._link.transport is not None:
            self._link.transport.write(frame(MESSAGE, encode(order)))

    async def stop(self, timeout_s: float) -> None:
        self._stopping = True
        if self._process is None or self._watch is None:
            return
        if self._process.returncode is None:
            self.send(Stop())
            try:
                async with asyncio.timeout(timeout_s):
                    await asyncio.shield(self._watch)
            except TimeoutError:
                _log.warning("%s did not stop within %.1f s; killed", self._spec.start.line, timeout_s)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._watch

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _cut_off(self, why: str) -> None:
        self._why = self._why or why
        self._cut.set()

    async def _await_end(self) -> None:
        """The socket's end tells a death at once; the exit status and the last words say how."""
        assert self._process is not None  # noqa: S101 - started
        await self._cut.wait()
        process = self._process
        if not self._stopping or self._why != "end of file":
            try:
                async with asyncio.timeout(0.5):
                    await process.wait()
            except TimeoutError:
                self.kill()
        code = await process.wait()
        if self._link is not None and self._link.transport is not None:
            self._link.transport.close()
        if self._output is not None:
            await self._output
        self._end(_exit_words(code, self._why, self._last_words))

    def _end(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._events.ended(reason)

    async def _read_output(self) -> None:
        """The child's records and what it prints go to our log, a line each, never to our stdout.

        Of what it prints only so much a second (:mod:`gateway.lines.chatter`).
        """
        assert self._process is not None  # noqa: S101 - started
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        name, chatter, time = self._spec.start.line, Chatter(), asyncio.get_running_loop().time
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:  # a line over the limit; what was buffered of it is gone
                continue
            now = time()
            if left_out := chatter.left_out(now if line else None):
                _log.info("%s: %d more lines of its output left out", name, left_out, extra={"line": str(name)})
            if not line:
                return
            if spoken := heard(line):
                self._last_words.append(spoken.text)
                if _log.isEnabledFor(spoken.level):
                    _log.handle(as_record(spoken, str(name), _log))
                continue
            text = line[:_LINE_LIMIT].decode("utf-8", "backslashreplace").rstrip()
            if text:
                self._last_words.append(text)
                if chatter.takes(now):
                    _log.info("%s: %s", name, text, extra={"line": str(name)})


def _exit_words(code: int, why: str, last_words: deque[str]) -> str:
    if code < 0:
        try:
            how = f"killed by {signal.Signals(-code).name}"
        except ValueError:
            how = f"killed by signal {-code}"
    else:
        how = f"exited with {code}"
    if why and why != "end of file":
        how = f"{why}; {how}"
    fatal = next((line for line in last_words if line.startswith("Fatal Python error")), None)
    return f"{how} ({fatal})" if fatal else how


class InlineHost:
    """A source on our own loop. For sources of pure Python that can be trusted not to block."""

    def __init__(self, start: Start, factory: FeedFactory, clock: Clock, events: HostEvents) -> None:
        self._start = start
        self._factory = factory
        self._events = events
        self.cells = Cells()
        self.writable = True
        self._runner = SourceRunner(self, clock=clock, cells=self.cells)
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"line {self._start.line}")

    def send(self, order: ToLine) -> None:
        self._runner.orders.put_nowait(order)

    async def stop(self, timeout_s: float) -> None:
        if self._task is None:
            return
        self.send(Stop())
        done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
        if not done:
            self._task.cancel()
            await asyncio.wait({self._task})

    def kill(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def ticks(self, body: bytes) -> None:
        self._events.ticks(body)

    def message(self, message: FromLine) -> None:
        self._events.message(message)

    async def _run(self) -> None:
        reason = "cancelled"
        try:
            reason = await self._runner.run(self._start, self._factory)
        finally:
            self._events.ended(reason)
