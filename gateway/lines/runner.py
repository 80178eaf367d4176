"""Runs one FeedSource and obeys the core's orders. The same code in a child process and inline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

from gateway.clock import Clock
from gateway.errors import FeedgateError
from gateway.lines.cells import Cells
from gateway.lines.handoff import Handoff, Outlet
from gateway.lines.messages import Called, Failed, Ready, References, Start, Stop, Subscribe, ToLine, Unsubscribe
from gateway.model import Instrument
from gateway.ports import FeedFactory, FeedSource, ReferencingSource

_log = logging.getLogger(__name__)

_PRICES_A_MESSAGE = 500


def words(error: Exception) -> str:
    """What a person is told: our own errors speak for themselves, others need their type."""
    return str(error) if isinstance(error, FeedgateError) else f"{type(error).__name__}: {error}"


class SourceRunner:
    """Builds, starts, serves and closes one source."""

    def __init__(self, outlet: Outlet, *, clock: Clock, cells: Cells) -> None:
        self._outlet = outlet
        self._clock = clock
        self._cells = cells
        self.orders: asyncio.Queue[ToLine] = asyncio.Queue()
        """What the core wants, in order. Unbounded, but the core sends no faster than its rate limit."""
        self.handoff: Handoff | None = None

    async def run(self, start: Start, factory: FeedFactory) -> str:
        """Until Stop or cancellation. Returns how it went; a failed start is told to the outlet too."""
        handoff: Handoff | None = None
        source: FeedSource | None = None
        beats: asyncio.Task[None] | None = None
        try:
            source = factory(start.account, start.line, start.options)
            handoff = self.handoff = Handoff(
                self._outlet,
                getattr(source, "parse", None),
                tuning=start.tuning,
                clock=self._clock,
                cells=self._cells,
            )
            await source.start(handoff)
            self._outlet.message(Ready())
            beats = asyncio.create_task(self._beat(handoff, source, start.tuning.heartbeat_s))
            await self._serve(source)
        except Exception as error:  # noqa: BLE001 - whatever a source raises is told to the core
            _log.exception("line %s failed", start.line)
            reason = words(error)
            self._outlet.message(Failed(reason))
            return reason
        finally:
            if beats is not None:
                beats.cancel()
            if source is not None:
                await source.aclose()
            if handoff is not None:
                handoff.flush()
                handoff.beat()
                handoff.close()
        return "stopped"

    async def _serve(self, source: FeedSource) -> None:
        while True:
            order = await self.orders.get()
            if isinstance(order, Stop):
                return
            if isinstance(order, Subscribe | Unsubscribe):
                await self._call(source, order)

    async def _call(self, source: FeedSource, order: Subscribe | Unsubscribe) -> None:
        try:
            if isinstance(order, Subscribe):
                await source.subscribe(order.instruments)
            else:
                await source.unsubscribe(order.instruments)
        except Exception as error:  # noqa: BLE001 - as above
            _log.exception("%s of %d instruments failed", type(order).__name__, len(order.instruments))
            self._outlet.message(Called(words(error)))
        else:
            self._outlet.message(Called())

    async def _beat(self, handoff: Handoff, source: FeedSource, every_s: float) -> None:
        references = source.references if isinstance(source, ReferencingSource) else None
        while True:
            handoff.beat()
            if references is not None:
                for prices in batched(references(), _PRICES_A_MESSAGE):
                    self._outlet.message(References(prices))
            await asyncio.sleep(every_s)


def batched(prices: Sequence[tuple[Instrument, float]], size: int) -> Iterator[list[tuple[Instrument, float]]]:
    """In pieces of at most ``size``."""
    for start in range(0, len(prices), size):
        yield list(prices[start : start + size])
