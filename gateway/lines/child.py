"""The process of one line: ``python -m gateway.lines.child SOCKET_FD CELLS_FD``. Started by ChildHost, by nobody else.

It runs a FeedSource and ships what it delivers over the socket. It ends when told to stop, when the socket ends
(the core is gone), or when the kernel says that the parent died, so that no vendor session outlives its gateway.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import gc
import logging
import os
import selectors
import signal
import socket
import sys
from typing import cast

from gateway.clock import SystemClock
from gateway.errors import LineError
from gateway.leaving import leave_after
from gateway.lines.cells import Cells
from gateway.lines.factory import import_factory
from gateway.lines.frame import MESSAGE, TICKS, FrameSplitter, frame
from gateway.lines.messages import Failed, FromLine, Start, decode_to_line, encode
from gateway.lines.runner import SourceRunner
from gateway.lines.spoken import SpokenForm

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1_000
"""How late the kernel may end a wait. Its 50 µs are much of a short linger, and a wake-up spared is rare here."""
_WRITE_HIGH = 1 << 20
"""Bytes of frames that may wait for the core; then the queue fills and drops its oldest, counted."""
_SWITCH_INTERVAL_S = 0.001
"""The vendor's thread and the loop share one GIL: with Python's 5 ms, a third thread that is busy costs a hundredfold
in p99. A little more than the loop needs for a batch, so that a callback seldom cuts one in two."""
_MOST_SELECTED = 1024
"""``select`` takes lower descriptors only."""
_COLLECT_AFTER = (50_000, 20, 100)
"""Thresholds of the cycle collector. A batch makes some thousand tuples and gives them all back; at the default of 700
each batch would be searched for cycles, which the tick path does not make."""


class Link(asyncio.Protocol):
    """The socket to the core; also the outlet of the handoff."""

    def __init__(self) -> None:
        self._runner: SourceRunner | None = None
        self._splitter = FrameSplitter(self._frame)
        self._transport: asyncio.WriteTransport | None = None
        self.writable = True
        self.closed = asyncio.Event()

    def attach(self, runner: SourceRunner) -> None:
        """Whose orders arrive here."""
        self._runner = runner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)

    def data_received(self, data: bytes) -> None:
        self._splitter.feed(data)

    def _frame(self, _kind: int, body: bytes) -> None:
        if self._runner is not None:
            self._runner.orders.put_nowait(decode_to_line(body))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.writable = False
        self.closed.set()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self._runner is not None and self._runner.handoff is not None:
            self._runner.handoff.resume()

    def ticks(self, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame(TICKS, body))

    def message(self, message: FromLine) -> None:
        if self._transport is not None:
            self._transport.write(frame(MESSAGE, encode(message)))

    async def finish(self) -> None:
        """Send what is buffered, then close."""
        if self._transport is not None and not self.closed.is_set():
            self._transport.close()
            await self.closed.wait()


async def _run(socket_fd: int, cells_fd: int) -> int:
    """Serve one source until told to stop or until the core is gone."""
    with Cells(cells_fd) as cells:
        link = Link()
        runner = SourceRunner(link, clock=SystemClock(), cells=cells)
        link.attach(runner)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: link, sock=_selectable(socket_fd))
        gone = asyncio.create_task(link.closed.wait())
        work = asyncio.create_task(_obey(runner, link))
        await asyncio.wait({gone, work}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        work.cancel()
        (ending,) = await asyncio.gather(work, return_exceptions=True)
        await link.finish()
        return 0 if ending == "stopped" else 1


async def _obey(runner: SourceRunner, link: Link) -> str:
    start = await runner.orders.get()
    if not isinstance(start, Start):
        return "the first order was not Start"
    sys.path[:] = start.path
    try:
        factory = import_factory(start.factory)
    except LineError as error:
        link.message(Failed(str(error)))
        return str(error)
    # what was imported stays: without it a full collection takes no time, with it 10 ms of the tick path
    gc.collect()
    gc.freeze()
    return await runner.run(start, factory)


def _precise_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers do not round up: epoll counts in whole milliseconds, and the linger is one.

    It watches descriptors below 1,024 only: those of a few sockets, opened early.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def _selectable(descriptor: int) -> socket.socket:
    """The socket, under a low number: the core chose this one, and may have thousands open."""
    if descriptor >= _MOST_SELECTED:
        high, descriptor = descriptor, os.dup(descriptor)
        os.close(high)
    return socket.socket(fileno=descriptor)


def _die_with_parent(parent: int) -> None:
    """The kernel kills us when the core dies, even if vendor code hangs.

    Linux only; elsewhere the socket's end does it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _wake_in_time() -> None:
    """For this thread and those that it starts. Linux only; elsewhere the linger is a little longer."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_TIMER_SLACK_NS))


def _speak() -> None:
    """Records go to the core by way of our output, in UTF-8 whatever the locale says."""
    output = open(sys.stderr.fileno(), "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115 - no path; for as long as we live
    handler = logging.StreamHandler(output)
    handler.setFormatter(SpokenForm())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main(argv: list[str]) -> int:
    """Entry of the child process."""
    socket_fd, cells_fd, parent = (int(text) for text in argv)
    _die_with_parent(parent)
    _wake_in_time()
    # the terminal's Ctrl-C is for the core, which stops us in order
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(*_COLLECT_AFTER)
    _speak()
    with asyncio.Runner(loop_factory=_precise_loop) as loop:
        return loop.run(_run(socket_fd, cells_fd))


if __name__ == "__main__":
    leave_after(lambda: main(sys.argv[1:]))
