"""Lines of the drill's own market: the ``sim`` source, with a front that a directory rules.

A file ``<account>.silent`` in the directory makes the line deliver nothing, ``<account>.dead`` makes its front hang up
and take no connection, for as long as the file is there. Files, because the line is a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.hookspecs import FeedKind, hookimpl
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import TickSink
from gateway.sources import sim
from gateway.sources.sim_options import OPTIONS

KIND: Final = "drill_sim"
SILENT: Final = "silent"
DEAD: Final = "dead"
_LOOK_S: Final = 0.05


class _Gate:
    """A sink that lets ticks through unless it is shut."""

    def __init__(self, sink: TickSink) -> None:
        self._sink = sink
        self.shut = False

    @property
    def congested(self) -> bool:
        return bool(getattr(self._sink, "congested", False))

    def tick(self, tick: Tick) -> None:
        if not self.shut:
            self._sink.tick(tick)

    def raw(self, record: bytes) -> None:
        self._sink.raw(record)

    def state(self, state: LineState, reason: str = "") -> None:
        self._sink.state(state, reason)

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self._sink.confirmed(instruments)

    def refused(self, instrument: Instrument, reason: str) -> None:
        self._sink.refused(instrument, reason)

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self._sink.unsubscribed(instruments)

    def reject(self, reason: str) -> None:
        self._sink.reject(reason)


class RuledLine:
    """The source."""

    def __init__(self, account: Account, line: LineId, options: Mapping[str, Any]) -> None:
        rules = Path(str(options["rules"]))
        self._silent, self._dead = (rules / f"{line.account}.{what}" for what in (SILENT, DEAD))
        self._options = {name: value for name, value in options.items() if name != "rules"}
        self._account, self._line = account, line
        self._inner: sim.SimSource | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, sink: TickSink) -> None:
        """Begin to connect and return."""
        self._task = asyncio.create_task(self._live(_Gate(sink)), name=f"{self._line} front")

    async def _live(self, gate: _Gate) -> None:
        gate.state(LineState.CONNECTING)
        while True:
            gate.shut = self._silent.exists()  # a line that logs in anew meets the same front
            dead = self._dead.exists()
            if dead and self._inner is not None:
                await self._hang_up()
                gate.state(LineState.LOST, "the front hung up (drill)")
            elif not dead and self._inner is None:
                self._inner = sim.build_source(self._account, self._line, self._options)
                await self._inner.start(gate)
            await asyncio.sleep(_LOOK_S)

    async def _hang_up(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.aclose()

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Raises OSError when the front is dead."""
        if self._inner is None:
            raise OSError("not logged in")
        await self._inner.subscribe(instruments)

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Nothing to do when the front is dead."""
        if self._inner is not None:
            await self._inner.unsubscribe(instruments)

    async def aclose(self) -> None:
        """Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._hang_up()


def build(account: Account, line: LineId, options: Mapping[str, Any]) -> RuledLine:
    """The factory, imported by the line's process."""
    return RuledLine(account, line, options)


class MockFeeds:
    """A plugin object for a drill's gateway alone; no other gateway has this kind."""

    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        """The kind ``drill_sim``."""
        return [FeedKind(name=KIND, factory=build, options=OPTIONS | {"rules"}, needs_account=False, sessions="always")]
