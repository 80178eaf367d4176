"""The drill's own consumer: what it gets, what it misses, what comes twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from gateway.client import Client, TickStream
from gateway.model import Tick
from gateway.terminal.market_check import MarketCheck


class Witness(Protocol):
    """What a course asks. Figures are since the beginning of the drill."""

    def ticks(self, feed: str) -> int:
        """Ticks that came of a feed."""
        ...

    def feeds(self) -> list[str]:
        """Feeds whose ticks came."""
        ...

    def faults(self) -> list[str]:
        """What is wrong by now, in words; empty: every tick came once. With ticks on their way it may be early."""
        ...

    def figures(self) -> dict[str, Any]:
        """JSON values for the report."""
        ...


class StreamWitness:
    """Reads all ticks of a client. ``lost`` are holes in ``seq``; with a ``check`` the content is judged too."""

    def __init__(self, stream: TickStream, check: MarketCheck | None, *, gaps_allowed: bool = False) -> None:
        """``gaps_allowed``: a fault was asked for that no second line covers; what it costs is reported only."""
        self._stream, self._check = stream, check
        self._gaps_allowed = gaps_allowed
        self._by_line: Counter[str] = Counter()
        self.failed = ""
        """Why it reads no longer."""

    async def run(self) -> None:
        """Until the stream ends or this is cancelled."""
        try:
            async for chunk in self._stream.chunks():
                self.take(chunk)
        except Exception as error:  # noqa: BLE001 - a consumer that broke is a finding of the drill
            self.failed = f"the drill's consumer broke: {type(error).__name__}: {error}"
        else:
            self.failed = "the drill's consumer was closed"

    def take(self, chunk: list[Tick]) -> None:
        """Count these."""
        self._by_line.update(tick.line for tick in chunk)
        if self._check is not None:
            self._check.add(chunk)

    def ticks(self, feed: str) -> int:
        return sum(count for line, count in self._by_line.items() if line.partition(":")[0] == feed)

    def feeds(self) -> list[str]:
        return sorted({line.partition(":")[0] for line in self._by_line})

    def faults(self) -> list[str]:
        found = [self.failed] if self.failed else []
        stream, check = self._stream, self._check
        if stream.lost:
            found.append(f"{stream.lost} ticks were lost on the way to the drill's consumer")
        if stream.interruptions:
            found.append(f"the consumer's connection broke {stream.interruptions} times; NATS must not be touched")
        if stream.restarts:
            found.append(f"the gateway was replaced {stream.restarts} times during the drill")
        if stream.rejected:
            found.append(f"{stream.rejected} messages were no ticks: {stream.last_reject}")
        if stream.repeats:
            found.append(f"{stream.repeats} ticks came twice")
        if check is not None:
            if not self._gaps_allowed and (missing := check.missing()):
                found.append(f"{missing} ticks of the market never came")
            if check.doubled:
                found.append(f"{check.doubled} ticks of the market came twice")
            if check.foreign:
                found.append(f"{check.foreign} ticks are none of the market")
        return found

    def figures(self) -> dict[str, Any]:
        stream, check = self._stream, self._check
        return {
            "ticks": sum(self._by_line.values()),
            "ticks_by_line": dict(sorted(self._by_line.items())),
            "lost_by_seq": stream.lost,
            "repeats_by_seq": stream.repeats,
            "overflow": stream.overflow,
            "rejected": stream.rejected,
            "interruptions": stream.interruptions,
            "missing_by_content": None if check is None else check.missing(),
            "doubled_by_content": None if check is None else check.doubled,
        }


@asynccontextmanager
async def watching(
    client: Client, check: MarketCheck | None, *, gaps_allowed: bool = False
) -> AsyncIterator[StreamWitness]:
    """A witness that reads meanwhile. Raises BusError when it cannot subscribe."""
    async with client.ticks("*", snapshot=False) as stream:
        witness = StreamWitness(stream, check, gaps_allowed=gaps_allowed)
        task = asyncio.create_task(witness.run(), name="drill consumer")
        try:
            yield witness
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
