"""Several subscriptions as one bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from gateway.bus.mailbox import Mailbox, Pair
from gateway.ports import Bus, Message


class Merged:
    """Messages of some subjects for one reader, in the order in which they were read from the bus.

    At most ``limit`` wait here; beyond it the oldest drop and are counted in ``overflow``. ``on_interruption`` is
    called on the loop each time that the way to the server broke.
    """

    def __init__(self, bus: Bus, subjects: Iterable[str], limit: int, on_interruption: Callable[[], None]) -> None:
        self._bus = bus
        self._subjects = tuple(subjects)
        self._limit = limit
        self._on_interruption = on_interruption
        self._sources: list[AsyncIterator[Message]] = []
        self._pumps: list[asyncio.Task[None]] = []
        self._opening: asyncio.Lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._overflow = 0
        self._subscribed = False
        self.closed: bool = False
        self.received: int = 0
        """Messages taken from the bus."""
        self.waiting: deque[Pair] = deque()
        """What the reader may take, from the left."""

    @property
    def overflow(self) -> int:
        """Messages dropped because the reader was too slow, here and in the bus's own queues."""
        return self._overflow + sum(getattr(source, "dropped", 0) for source in self._sources)

    @property
    def interruptions(self) -> int:
        """How often the way to the server broke."""
        return max(map(_interruptions, self._sources), default=0)

    @property
    def ended(self) -> bool:
        """Whether every subscription has ended. Raises what one of them failed with."""
        if not all(pump.done() for pump in self._pumps):
            return False
        if not all(source.closed for source in self._sources if isinstance(source, Mailbox)):
            return False
        for pump in self._pumps:
            if not pump.cancelled() and (error := pump.exception()) is not None:
                raise error
        return True

    async def open(self) -> None:
        """Subscribe. Later calls do nothing. Raises BusError."""
        if self._subscribed:
            return  # each chunk asks
        async with self._opening:
            if self._subscribed or self.closed:
                return
            self._sources = [self._bus.subscribe(subject) for subject in self._subjects]
            self._subscribed = True
            for source in self._sources:
                if isinstance(source, Mailbox):
                    source.listen(self._put, self._listener(source))
                else:
                    self._pumps.append(asyncio.create_task(self._pump(source)))
            for pump in self._pumps:
                pump.add_done_callback(lambda _done: self.wake())
            await asyncio.sleep(0)  # a bus that subscribes with the first read does it now, before we ask

    async def aclose(self) -> None:
        """Unsubscribe and wake the reader. Idempotent."""
        self.closed = True
        self.wake()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for source in self._sources:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()
        self.waiting.clear()

    def wake(self) -> None:
        """Let the reader look again."""
        self._wake.set()

    async def woken(self) -> None:
        """Return with the next message, end, interruption or :meth:`wake`. Only for a reader that found nothing."""
        self._wake.clear()
        await self._wake.wait()

    def _put(self, run: Sequence[Pair]) -> None:
        waiting = self.waiting
        self.received += len(run)
        waiting.extend(run)
        while len(waiting) > self._limit:
            waiting.popleft()
            self._overflow += 1
        self._wake.set()

    def _listener(self, mailbox: Mailbox) -> Callable[[], None]:
        """What a mailbox calls when its way to the server broke, and when it ends."""
        interruptions = mailbox.interruptions

        def changed() -> None:
            nonlocal interruptions
            if mailbox.interruptions != interruptions:
                interruptions = mailbox.interruptions
                self._on_interruption()
            self.wake()

        return changed

    async def _pump(self, source: AsyncIterator[Message]) -> None:
        """For a bus of another make, whose subscriptions can only be iterated."""
        interruptions = 0
        async for message in source:
            self._put(((message.subject, message.data),))
            if _interruptions(source) != interruptions:
                interruptions = _interruptions(source)
                self._on_interruption()


def _interruptions(source: object) -> int:
    count: int = getattr(source, "interruptions", 0)
    return count
