"""The one way by which events leave the gateway: to observers in this process, and as JSON to the bus."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from gateway.clock import Clock
from gateway.control.events import ControlEvent, LineStateChanged, event_kind, event_subject
from gateway.control.gap_groups import GapGroups
from gateway.errors import BusError
from gateway.flow.gaps import GapEvent
from gateway.observing import Observers
from gateway.ports import Bus

_log = logging.getLogger(__name__)

_RETRY_S: Final = 0.2
_ROWS: Final = 200_000
"""Rows of the ledger that may wait to be grouped. Only a gateway that does not run the announcer gets there."""
_BYTES: Final = 64 << 20
"""Messages that wait for the bus: 30,000 contracts that are lost and come back take 9 MB."""


class _Message(NamedTuple):
    subject: str
    payload: bytes


class Announcer:
    """Takes events from anywhere on the loop; :meth:`run` is owned by the gateway.

    Observers hear of an event at the next turn of the loop, whether the bus is there or not, as ``warned(kind,
    fields)``; not of ``line_state``, because :meth:`Observers.line_changed` tells them. To the bus events go in the
    order of telling, rows of the ledger a moment later (see :meth:`gap`). While the bus is away they wait. A message
    handed to a connection just before it broke may be lost; one whose sending was broken off may come twice.

    What waits is bounded; beyond it the oldest is dropped, and counted.
    """

    def __init__(
        self,
        bus: Bus,
        observers: Observers,
        clock: Clock,
        *,
        limit: int = 10_000,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``limit``: messages that wait for the bus at most; also never more than 64 MiB. ``sleep`` is for tests."""
        self.published = 0
        """Messages that the bus has taken."""
        self.dropped = 0
        """Messages that it will never get: too many waited, too large, or the end came first."""
        self._bus, self._observers, self._sleep, self._limit = bus, observers, sleep, limit
        self._told: deque[ControlEvent] = deque()
        self._gaps = GapGroups(clock)
        self._queue: deque[_Message] = deque()
        self._bytes = 0
        self._flight: _Message | None = None
        """Out of the queue, and not yet taken by the bus. Stays when its sending is cancelled."""
        self._has_told, self._has_gaps, self._has_messages = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._sending = asyncio.Lock()
        self._troubled = False
        self._overflows = False
        self._closed = False

    # -- what others tell --------------------------------------------------------------------------------------

    def tell(self, event: ControlEvent) -> None:
        """An event. Returns at once, never raises; on the loop only."""
        if self._closed:
            self.dropped += 1
            return
        self._told.append(event)
        if len(self._told) > self._limit:
            self._told.popleft()
            self._overflow(1)
        self._has_told.set()

    def gap(self, event: GapEvent) -> None:
        """A row of the ledger. Returns at once, never raises; on the loop only.

        Rows of one outage become one event: they are held until none has come for 50 ms, at most for a second. The
        rows of one contract keep their order.
        """
        if self._closed:
            self.dropped += 1
            return
        self._gaps.add(event)
        if self._gaps.rows > _ROWS:
            self._overflow(self._gaps.drop_oldest())
        self._has_gaps.set()

    @property
    def waiting(self) -> int:
        """Messages that wait for the bus."""
        return len(self._told) + len(self._queue) + (self._flight is not None)

    # -- running -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Pass on what is told, until cancelled. What waits then is left to :meth:`aclose`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on(), name="events")
            group.create_task(self._gather(), name="gap events")
            group.create_task(self._send(), name="events to the bus")

    async def aclose(self, timeout_s: float = 2.0) -> None:
        """Publish what is left, within so many seconds; the rest counts as dropped. Idempotent.

        Call it while the bus is open, with :meth:`run` running or ended. What is told afterwards is dropped.
        """
        self._closed = True
        self._gaps.ripen()
        await self._announce_told()
        await self._announce_gaps()
        try:
            async with asyncio.timeout(timeout_s):
                while self._queue or self._flight is not None:
                    await self._send_one()
        except TimeoutError:
            left = self.waiting
            self.dropped += left
            self._queue.clear()
            self._flight, self._bytes = None, 0
            _log.warning("%d events were not published: the bus did not take them before the end", left)

    async def _pass_on(self) -> None:
        while True:
            await self._has_told.wait()
            self._has_told.clear()
            await self._announce_told()

    async def _gather(self) -> None:
        while True:
            await self._has_gaps.wait()
            while (wait_s := self._gaps.due_s()) > 0:
                await self._sleep(wait_s)
            self._has_gaps.clear()
            self._gaps.ripen()
            await self._announce_gaps()

    async def _send(self) -> None:
        while True:
            await self._has_messages.wait()
            self._has_messages.clear()
            while self._queue or self._flight is not None:
                await self._send_one()
                await asyncio.sleep(0)  # a bus that takes at once does not let others run

    # -- one event; ticks come in between two ------------------------------------------------------------------

    async def _announce_told(self) -> None:
        while self._told:
            self._announce(self._told.popleft())
            await asyncio.sleep(0)

    async def _announce_gaps(self) -> None:
        while (event := self._gaps.next()) is not None:
            self._announce(event)
            await asyncio.sleep(0)

    def _announce(self, event: ControlEvent) -> None:
        """To the observers now, to the bus when it is its turn."""
        try:
            kind = event_kind(event)
            if not isinstance(event, LineStateChanged):
                fields = msgspec.to_builtins(event)
                del fields["type"]
                self._observers.warned(kind, fields)
            message = _Message(event_subject(event), msgspec.json.encode(event))
        except Exception:  # noqa: BLE001 - one event that cannot be written must not end all others; it is logged
            self.dropped += 1
            _log.exception("an event cannot be published: %r", event)
            return
        self._queue.append(message)
        self._bytes += len(message.payload)
        while len(self._queue) > self._limit or self._bytes > _BYTES:
            self._bytes -= len(self._queue.popleft().payload)
            self._overflow(1)
        self._has_messages.set()

    async def _send_one(self) -> None:
        """The oldest message; returns when the bus has it, or after a pause when it would not take it."""
        async with self._sending:
            if self._flight is None:
                if not self._queue:
                    return
                self._flight = self._queue.popleft()
                self._bytes -= len(self._flight.payload)
            message = self._flight
            if not self._bus.connected:
                await self._bus.wait_connected()
                if self._flight is not message:  # given up meanwhile
                    return
            if len(message.payload) > self._bus.max_payload:
                self._give_up(message, f"{len(message.payload)} bytes are more than the bus takes; raise max_payload")
                return
            try:
                await self._bus.publish(message.subject, message.payload)
            except BusError as error:
                if not self._troubled:
                    self._troubled = True
                    _log.warning("events wait for the bus: %s", error)
                await self._sleep(_RETRY_S)
                return
            except Exception as error:  # noqa: BLE001 - no error of a bus that is not the gateway's ends the events
                self._give_up(message, repr(error))
                return
            if self._flight is message:
                self._flight = None
                self.published += 1
            self._troubled = self._overflows = False

    def _give_up(self, message: _Message, why: str) -> None:
        self._flight = None
        self.dropped += 1
        _log.error("an event on %s was dropped: %s", message.subject, why)

    def _overflow(self, messages: int) -> None:
        self.dropped += messages
        if not self._overflows:
            self._overflows = True
            _log.warning("too many events wait; the oldest are dropped and counted")
