"""A sink that remembers what a vendor's thread tells it, and lets a test wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

from gateway.model import Instrument, LineState, Tick


class ToldSink:
    """Called from any thread."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.raws: list[bytes] = []
        self.threads: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def _tell(self, kind: str, what: object) -> None:
        self.threads.add(threading.current_thread().name)
        self.events.append((kind, what))
        self._loop.call_soon_threadsafe(self._news.set)

    def tick(self, tick: Tick) -> None:
        self._tell("tick", tick)

    def raw(self, record: bytes) -> None:
        self.raws.append(record)
        self._loop.call_soon_threadsafe(self._news.set)

    def state(self, state: LineState, reason: str = "") -> None:
        self._tell(state.value, reason)

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self._tell("confirmed", [str(one) for one in instruments])

    def refused(self, instrument: Instrument, reason: str) -> None:
        self._tell("refused", (str(instrument), reason))

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self._tell("unsubscribed", [str(one) for one in instruments])

    def reject(self, reason: str) -> None:
        self._tell("reject", reason)

    def of(self, kind: str) -> list[object]:
        return [what for told, what in self.events if told == kind]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(25):
            while not true():
                self._news.clear()
                await self._news.wait()

    async def told(self, kind: str, count: int = 1) -> object:
        """The newest of a kind, once there are so many."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[-1]
