"""A feed that does to its process what a vendor library can do. The code of a subscribed instrument says what.

``CHAOS.<n>`` ticks n times; ``CHAOS.segv``, ``abort``, ``kill``, ``stop``, ``exit``, ``hang``, ``storm``, ``print``,
``raise`` do what they say; ``REFUSE.x`` is refused. Options: ``silent`` (no state ever), ``login`` (False: connected
but no login answer), ``start_error``.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.hookspecs import FeedKind, hookimpl
from gateway.model import UNPUBLISHED, Account, Instrument, LineId, LineState, Tick
from gateway.ports import TickSink


def tick(exchange: str, code: str, volume: int) -> Tick:
    rest = (None,) * 13
    return Tick(
        *UNPUBLISHED, exchange, code, 20251121, 1763690000000000000 + volume, 1.5, volume, *rest, (), (), (), ()
    )


class ChaosSource:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._sink: TickSink | None = None
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()

    async def start(self, sink: TickSink) -> None:
        if self._options.get("start_error"):
            raise OSError(self._options["start_error"])
        self._sink = sink
        if self._options.get("silent"):
            return
        sink.state(LineState.CONNECTED)
        if self._options.get("login", True):
            sink.state(LineState.LOGGED_IN)

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        sink = self._sink
        assert sink is not None
        for instrument in instruments:
            if instrument.exchange == "REFUSE":
                sink.refused(instrument, "合约不存在")
                continue
            sink.confirmed([instrument])
            self._do(instrument.code, sink)

    def _do(self, what: str, sink: TickSink) -> None:  # noqa: C901 - one branch a fault
        if what.isdigit():
            self._thread(lambda: [sink.tick(tick("CHAOS", what, n + 1)) for n in range(int(what))])
        elif what == "segv":
            self._thread(lambda: ctypes.string_at(0))
        elif what == "abort":
            self._thread(os.abort)
        elif what in ("kill", "stop"):
            os.kill(os.getpid(), signal.SIGKILL if what == "kill" else signal.SIGSTOP)
        elif what == "exit":
            os._exit(3)
        elif what == "hang":
            time.sleep(3600)
        elif what == "storm":
            self._thread(self._storm)
        elif what == "print":
            os.write(1, b"vendor words on stdout\n")
            sys.stderr.write("more words\n")
            logging.getLogger("chaos").error("前置机 refused:\n%s", "x" * 100_000, exc_info=OSError("broken"))
        elif what == "raise":
            raise ValueError("the vendor call returned -1")
        elif what == "garbage":
            os.write(int(sys.argv[1]), b"\xff" * 64)

    def _storm(self) -> None:
        assert self._sink is not None
        while not self._stop.wait(0.0005):
            self._sink.state(LineState.LOST, "0x1001 read failed")
            self._sink.state(LineState.CONNECTED)

    def _thread(self, work: Any) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        assert self._sink is not None
        self._sink.unsubscribed(instruments)

    async def aclose(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()


def build(account: Account, line: LineId, options: Mapping[str, Any]) -> ChaosSource:
    return ChaosSource(options)


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    return (
        FeedKind(
            name="chaos",
            factory=build,
            native=True,
            needs_account=False,
            options=frozenset({"silent", "login", "start_error"}),
        ),
    )
