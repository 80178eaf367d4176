"""Stops 6 to 8 of a tick: payload, publish, and the proof that the bus has it.

Nothing counts as *out* before the bus has answered that it took it (a PING after the ticks, its PONG back). Until then
ticks are held here. When the connection breaks, everything unsettled is posted again after the reconnect and a short
wait for the consumers, in order: delivery is at least once, and ``seq`` lets consumers drop what they have. While the
bus is away ticks wait, up to a stated bound; then the oldest drop and are counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from gateway.codec import Codec, Origin
from gateway.errors import BusError
from gateway.flow.topics import Topic
from gateway.ports import Bus

_log = logging.getLogger(__name__)

Arrival = tuple[Topic, int, int, int, int, bytes]
"""``(topic, trading_day, exchange_ns, volume, recv_ns, market bytes)``"""

_SETTLE_EVERY_S = 0.02
"""At most so many PINGs a second; a tick waits that long to count as out, not to be published."""
_REJOIN_S = 0.3
_REJOIN_PER_S_AWAY = 1.3
_REJOIN_MOST_S = 2.8
"""After the bus was away, so long is waited for the consumers, who lost it too: ``gateway.client`` tries again after at
most 1.25 times what it has waited already, 2.5 s at most."""
_REPOST_YIELD = 64
"""Batches posted in a row when a backlog is worked off; then the loop gets its turn."""


class _Batch(NamedTuple):
    ticks: int
    messages: list[tuple[bytes, bytes]]


class Publisher:
    """Publishes what the flow lets through. All methods on the loop; :meth:`run` is owned by the gateway."""

    def __init__(
        self,
        bus: Bus,
        codec: Codec,
        *,
        form: str,
        held: int,
        batch: int,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``form``: ``tick``, ``batch`` or ``both``. ``held``: ticks kept at most while the bus does not take them.

        ``sleep`` waits for the consumers after a break; it is for tests.
        """
        self._sleep = sleep
        self._bus = bus
        self._codec = codec
        self._singles = form in ("tick", "both")
        self._batches = form in ("batch", "both")
        self._limit = held
        self._window = max(held // 2, 1)
        self._batch = batch
        self._posted: deque[_Batch] = deque()
        self._waiting: deque[_Batch] = deque()
        self._posted_ticks = 0
        self._waiting_ticks = 0
        self._connection = 0
        """On which everything in ``_posted`` was posted."""
        self._rejoined: int | None = None
        """The connection on which consumers are taken to be there; None before the first."""
        self._work = asyncio.Event()
        self._closing = False
        self.taken = 0
        self.settled = 0
        self.reposted = 0
        """Ticks that were posted again because the connection broke before the bus had confirmed them."""
        self.dropped: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Ticks that the bus has not confirmed: ``taken = settled + dropped + held``."""
        return self._posted_ticks + self._waiting_ticks

    def publish(self, origin: Origin, batch_head: bytes, arrivals: Sequence[Arrival]) -> None:
        """Number, encode and post ticks of one line, in order."""
        payload_of = origin.payload
        messages: list[tuple[bytes, bytes]] = []
        for topic, _day, _exchange_ns, _volume, recv_ns, market in arrivals:
            seq = topic.seq = topic.seq + 1
            payload = topic.payload = payload_of(seq, recv_ns, market)
            topic.recv_ns = recv_ns
            messages.append((topic.head, payload))
            if topic.taps:
                for take in topic.taps:
                    take(payload)
        self.taken += len(arrivals)
        if self._batches:
            grouped = [(batch_head, batch) for batch in self._group([payload for _, payload in messages])]
            messages = messages + grouped if self._singles else grouped
        self._queue(_Batch(len(arrivals), messages))

    def _group(self, payloads: list[bytes]) -> Iterator[bytes]:
        """Batch messages, none of more ticks than the setting nor larger than the bus takes."""
        for start in range(0, len(payloads), self._batch):
            yield from self._fitting(payloads[start : start + self._batch])

    def _fitting(self, payloads: list[bytes]) -> Iterator[bytes]:
        message = self._codec.batch(payloads)
        if len(message) <= self._bus.max_payload or len(payloads) == 1:
            yield message
            return
        half = len(payloads) // 2
        yield from self._fitting(payloads[:half])
        yield from self._fitting(payloads[half:])

    def _queue(self, batch: _Batch) -> None:
        if self._waiting or not self._open or self._posted_ticks >= self._window or not self._post(batch):
            self._wait(batch)
        self._work.set()

    @property
    def _open(self) -> bool:
        """Whether what is posted now reaches those who listen."""
        if self._rejoined is None:
            self._rejoined = self._bus.connection
        return self._bus.connected and self._bus.connection == self._rejoined

    def _wait(self, batch: _Batch) -> None:
        self._waiting.append(batch)
        self._waiting_ticks += batch.ticks
        self._bound()

    def _post(self, batch: _Batch) -> bool:
        """Whether the bus took it; it refuses while it is away or has too much to write already."""
        if self._posted and self._bus.connection != self._connection:
            return False  # the older ones are to be posted again first
        self._connection = self._bus.connection
        try:
            self._bus.post(batch.messages)
        except BusError:
            return False
        self._posted.append(batch)
        self._posted_ticks += batch.ticks
        return True

    def _bound(self) -> None:
        reason = "bus_slow" if self._bus.connected else "bus_away"
        while self._waiting and self.held > self._limit:
            oldest = self._waiting.popleft()
            self._waiting_ticks -= oldest.ticks
            self.dropped[reason] += oldest.ticks

    async def run(self) -> None:
        """Settle what was posted, post what waits; until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self._round()
            if self.held:
                self._work.set()
            await asyncio.sleep(_SETTLE_EVERY_S)

    async def _round(self) -> None:
        count = len(self._posted)
        if count:
            try:
                await self._bus.settle()
            except BusError as error:
                self._take_back(str(error))
            else:
                self._confirmed(count)
        if not self._open:
            self._take_back("the bus is away")
            await self._rejoin()
        await self._post_waiting()

    async def _rejoin(self) -> None:
        """Return when the bus is back and its consumers had time to be: core NATS stores nothing for those who are not.

        A connection that is replaced meanwhile is waited for anew.
        """
        loop = asyncio.get_running_loop()
        while not self._open:
            since = loop.time()
            await self._bus.wait_connected()
            connection, away_s = self._bus.connection, loop.time() - since
            await self._sleep(min(away_s * _REJOIN_PER_S_AWAY + _REJOIN_S, _REJOIN_MOST_S))
            self._rejoined = connection

    def _confirmed(self, count: int) -> None:
        """The bus answered after the first ``count`` batches."""
        if self._bus.connection != self._connection:
            # the answer came over a new connection: it says nothing about what went over the old one
            self._take_back("the connection was replaced")
            return
        for _ in range(count):
            batch = self._posted.popleft()
            self._posted_ticks -= batch.ticks
            self.settled += batch.ticks

    def _take_back(self, why: str) -> None:
        """Posted, but nobody knows whether it arrived: it waits to be posted again, before everything newer."""
        if not self._posted:
            return
        _log.warning("%d ticks unconfirmed (%s); they are posted again", self._posted_ticks, why)
        self.reposted += self._posted_ticks
        self._waiting.extendleft(reversed(self._posted))
        self._waiting_ticks += self._posted_ticks
        self._posted.clear()
        self._posted_ticks = 0
        self._bound()

    async def _post_waiting(self) -> None:
        posted = 0
        while self._waiting and self._bus.connected and self._posted_ticks < self._window:
            batch = self._waiting[0]
            if not self._post(batch):
                return
            self._waiting.popleft()
            self._waiting_ticks -= batch.ticks
            posted += 1
            if posted % _REPOST_YIELD == 0:
                await asyncio.sleep(0)

    async def drain(self, timeout_s: float) -> None:
        """Return when everything is settled; what is not within the limit is dropped and counted as ``closing``."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.held:
                    self._work.set()
                    await asyncio.sleep(_SETTLE_EVERY_S)
        except TimeoutError:
            self.dropped["closing"] += self.held
            self._posted.clear()
            self._waiting.clear()
            self._posted_ticks = self._waiting_ticks = 0


def sample(arrivals: Sequence[Arrival], most: int = 8) -> tuple[list[Arrival], int]:
    """Up to ``most`` evenly spaced arrivals and the weight of each, for statistics that need not see every tick."""
    step = max(1, -(-len(arrivals) // most))
    return list(islice(arrivals, 0, None, step)), step
