"""A ``sim`` line with a front: the real sim source, which logs in at a socket of the test and does as it is told there.

Runs in the line's child process. The socket speaks JSON, one object a line: the line says ``hello`` and
``subscribed``; the front says ``login`` (``ok`` or ``refused``), ``style`` (:class:`Style`) and ``do``: ``segv`` (a
real crash in a thread that calls back), ``garbage`` (bytes that are no frame, to the core), ``storm``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.hookspecs import FeedKind, hookimpl
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import TickSink
from gateway.sources import sim
from gateway.sources.sim_options import OPTIONS
from tests.faults.style import Distortion, Style

KIND = "sim_front"
_RETRY_S = 1.0
_BEGINS_S = 0.1
_OWN_UP_S = 0.1


def lie(tick: Tick, number: int) -> Tick:
    """In turn a price beyond the daily limits, and a volume that goes back."""
    if number % 2:
        return msgspec.structs.replace(tick, last=(tick.upper_limit or 1e6) * 2)
    return msgspec.structs.replace(tick, volume=max(0, tick.volume - 500))


class _Stage:
    """Between the sim source and the line's sink."""

    def __init__(self, sink: TickSink) -> None:
        loop = asyncio.get_running_loop()
        self.sink = sink
        self.distortion: Distortion[Tick] = Distortion(lambda _code, tick: sink.tick(tick), loop.call_later, lie)
        self.confirmed_of: set[str] = set()

    def tick(self, tick: Tick) -> None:
        self.distortion.take(tick.code, tick)

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        found = list(instruments)
        self.confirmed_of |= {str(one) for one in found}
        self.sink.confirmed(found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sink, name)


class SimLine:
    """The source."""

    def __init__(self, account: Account, line: LineId, options: Mapping[str, Any]) -> None:
        self._account, self._line = account, line
        self._path = str(options["front"])
        self._options = {name: value for name, value in options.items() if name != "front"}
        self._sink: TickSink | None = None
        self._stage: _Stage | None = None
        self._inner: sim.SimSource | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._storm = threading.Event()
        self._style = Style()

    async def start(self, sink: TickSink) -> None:
        self._sink = sink
        sink.state(LineState.CONNECTING)
        self._task = asyncio.create_task(self._run(sink), name=f"{self._line} front")

    async def _run(self, sink: TickSink) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live(sink))
            group.create_task(self._own_up())

    async def _own_up(self) -> None:
        """Tell the front of ticks that the source left out: it was kept from running for more than a second."""
        told: tuple[object, int] = (None, 0)
        while True:
            await asyncio.sleep(_OWN_UP_S)
            inner = self._inner
            if inner is not None and inner.skipped:
                before = told[1] if told[0] is inner else 0
                if inner.skipped > before:
                    self._tell({"skipped": inner.skipped - before})
                    told = (inner, inner.skipped)

    async def _live(self, sink: TickSink) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path)
            except OSError:
                await asyncio.sleep(_RETRY_S)  # as a vendor library does: nobody is told
                continue
            self._writer = writer
            try:
                self._tell({"hello": self._account.name})
                await self._session(sink, reader)
            except OSError:
                pass
            finally:
                self._writer = None
                writer.close()
                await self._leave()
            sink.state(LineState.LOST, "the front closed the connection")
            await asyncio.sleep(_RETRY_S)
            sink.state(LineState.CONNECTING)

    async def _session(self, sink: TickSink, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            try:
                said: dict[str, Any] = msgspec.json.decode(line)
            except msgspec.DecodeError:
                return  # garbage from the front: this library hangs up
            if said.get("login") == "ok":
                await self._join(sink)
            elif said.get("login") == "refused":
                sink.state(LineState.CONNECTED)
                sink.state(LineState.REFUSED, "3 CTP:不合法的登录")
            if "style" in said:
                self._style = msgspec.convert(said["style"], Style)
                if self._stage is not None:
                    self._stage.distortion.set(self._style)
            if "do" in said:
                self._do(said["do"], sink)

    async def _join(self, sink: TickSink) -> None:
        self._stage = _Stage(sink)
        self._stage.distortion.set(self._style)
        self._inner = sim.build_source(self._account, self._line, self._options)
        await self._inner.start(self._stage)

    async def _leave(self) -> None:
        inner, self._inner, self._stage = self._inner, None, None
        if inner is not None:
            await inner.aclose()

    def _do(self, what: str, sink: TickSink) -> None:
        if what == "segv":
            threading.Thread(target=self._crash, args=(sink,), daemon=True).start()
        elif what == "garbage":
            os.write(int(sys.argv[1]), b"\xff" * 64)
        elif what == "storm":
            threading.Thread(target=self._call_back, args=(sink,), daemon=True).start()

    @staticmethod
    def _crash(sink: TickSink) -> None:
        sink.reject("about_to_crash")
        ctypes.string_at(0)

    def _call_back(self, sink: TickSink) -> None:
        while not self._storm.wait(0.0005):
            sink.state(LineState.LOST, "0x1001 read failed")
            sink.state(LineState.CONNECTED)

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        if self._inner is None or self._stage is None:
            raise OSError("not logged in")
        await self._inner.subscribe(instruments)
        # the source looks at its subscriptions every 50 ms and begins with what is due from then on
        asyncio.get_running_loop().call_later(_BEGINS_S, self._tell, {"subscribed": sorted(self._stage.confirmed_of)})

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        if self._inner is not None and self._stage is not None:
            await self._inner.unsubscribe(instruments)
            self._stage.confirmed_of -= {str(one) for one in instruments}
            self._tell({"subscribed": sorted(self._stage.confirmed_of)})

    def _tell(self, what: Mapping[str, object]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(what) + b"\n")

    async def aclose(self) -> None:
        self._storm.set()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def build(account: Account, line: LineId, options: Mapping[str, Any]) -> SimLine:
    """The factory."""
    return SimLine(account, line, options)


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    """The kind ``sim_front``."""
    return [
        FeedKind(name=KIND, factory=build, options=OPTIONS | {"front"}, needs_account=False, sessions="always"),
    ]
