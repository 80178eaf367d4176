"""Live ticks as a consumer reads them: subscriptions merged, the last ticks first, loss made visible."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import msgspec

from gateway.codec import Codec, decode_any, decode_any_batch
from gateway.errors import WireError
from gateway.model import Tick
from gateway.stream.merged import Merged
from gateway.stream.order import Loss, Order, Track
from gateway.stream.snapshot import LastPages, Missing, Refresh
from gateway.subjects import tick_subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from gateway.bus.mailbox import Pair
    from gateway.clock import Clock
    from gateway.ports import Bus

QUEUE = 65_536
"""Messages that a stream holds for its consumer; beyond it the oldest are dropped and counted."""

_TURN = 1_024
"""Ticks that a busy consumer gets before the bus may read on."""

_decode = msgspec.msgpack.Decoder(Tick).decode
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Stream(Order):
    """Subscriptions merged into one bounded queue, and the order of ``(epoch, seq)`` over it."""

    _chunk_size: ClassVar = 256
    """Messages decoded at a time. 256 ticks stay in the processor's cache until the consumer has read them."""

    def __init__(
        self,
        bus: Bus,
        subjects: Iterable[str],
        wanted: Callable[[str], bool],
        *,
        snapshot: LastPages | None = None,
        refresh: Callable[[], LastPages] | None = None,
        on_loss: Callable[[Loss], None] | None = None,
        queue: int = QUEUE,
        clock: Clock | None = None,
        codec: Codec | None = None,
    ) -> None:
        super().__init__(wanted, on_loss=on_loss, clock=clock)
        self._decode: Callable[[bytes], Tick] = decode_any if codec is None else codec.decode
        self._decode_fast: Callable[[bytes], Tick] = _decode if codec is None else codec.decode
        self._decode_batch: Callable[[bytes], list[Tick]] = decode_any_batch if codec is None else codec.decode_batch
        self._queue = Merged(bus, subjects, queue, self._ask_again)
        self._snapshot = snapshot
        self._refresh = Refresh(refresh, self._missing_of, self._found) if refresh is not None else None
        self._missing: list[Missing] = []
        self._missing_after = 0
        self._given = 0
        self.yielded: int = 0
        """Ticks given to the consumer, the snapshot's included."""
        self.filtered: int = 0
        """Messages of a wider subject that no pattern asked for."""
        self.refreshes: int = 0
        """How often the last ticks were asked for again, and answered, after an interruption."""

    @property
    def received(self) -> int:
        """Messages taken from the bus."""
        return self._queue.received

    @property
    def overflow(self) -> int:
        """Messages dropped in this process because the consumer was too slow; ``lost`` has their ticks too."""
        return self._queue.overflow

    @property
    def interruptions(self) -> int:
        """How often the way to the server broke. What was published meanwhile shows up as lost."""
        return self._queue.interruptions

    async def open(self) -> None:
        """Subscribe. Later calls do nothing; iterating does it too. Raises BusError."""
        await self._queue.open()

    async def aclose(self) -> None:
        """Unsubscribe; a waiting iteration ends. Idempotent."""
        self._snapshot = None
        await self._queue.aclose()
        if self._refresh is not None:
            await self._refresh.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def chunks(self) -> AsyncIterator[list[Tick]]:
        """What came since the last wake-up, in lists of at most 256, or one batch: no ``await`` a tick."""
        while chunk := await self._chunk():
            yield chunk

    async def _chunk(self) -> list[Tick]:
        """The next ticks; empty at the end."""
        await self.open()
        while self._snapshot is not None:
            page = await self._snapshot.next()
            if page is None:
                self._snapshot = None
            elif ticks := self._take_snapshot(page):
                return self._give(ticks)
        queue, waiting = self._queue, self._queue.waiting
        while not queue.closed:
            if ticks := self._take_missing():
                return self._give(ticks)
            if waiting:
                if self._given >= _TURN:
                    self._given = 0
                    await asyncio.sleep(0)  # a busy consumer still lets the bus read
                messages = [waiting.popleft() for _ in range(min(len(waiting), self._chunk_size))]
                if ticks := self._take(messages):
                    return self._give(ticks)
                self._given += len(messages)
            elif queue.ended:
                break
            else:
                self._given = 0
                await queue.woken()
        return []

    def _give(self, ticks: list[Tick]) -> list[Tick]:
        self.yielded += len(ticks)
        self._given += len(ticks)
        return ticks

    def _take(self, messages: Sequence[Pair]) -> list[Tick]:
        raise NotImplementedError

    def _take_snapshot(self, page: Sequence[bytes]) -> list[Tick]:
        return [tick for track, tick in self._of_page(page) if self._admit(track, tick)]

    def _of_page(self, page: Sequence[bytes]) -> Iterator[tuple[Track, Tick]]:
        for payload in page:
            try:
                tick = self._decode(payload)
                yield self._track_of(tick_subject(tick.instrument)), tick
            except (WireError, ValueError) as error:
                self._reject(str(error))

    def _ask_again(self) -> None:
        if self._refresh is not None and not self._queue.closed:
            self._refresh.start()

    def _missing_of(self, page: Sequence[bytes]) -> list[Missing]:
        return [
            Missing(track, tick, track.epoch, track.seq)
            for track, tick in self._of_page(page)
            if tick.epoch != track.epoch or tick.seq > track.seq
        ]

    def _take_missing(self) -> list[Tick]:
        """What a refresh found, when all messages are read that were here before, and told it better."""
        if not self._missing or self._queue.received - len(self._queue.waiting) < self._missing_after:
            return []
        missing, self._missing = self._missing, []
        return [one.tick for one in missing if one.still and self._admit(one.track, one.tick)]

    def _found(self, missing: list[Missing]) -> None:
        self.refreshes += 1
        self._missing = missing
        self._missing_after = self._queue.received
        self._queue.wake()


class TickStream(_Stream):
    """Ticks of some patterns: ``async for tick in stream``, or ``async for ticks in stream.chunks()``.

    For one consumer task. Close it with ``aclose`` or ``async with``; closing the client closes it too. An
    iteration ends when the stream or the bus is closed. Raises BusError and, for a required snapshot, ControlError.
    """

    _ready: Iterator[Tick] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Tick:
        tick = next(self._ready, None)
        if tick is None:
            self._ready = iter(await self._chunk())
            tick = next(self._ready, None)
            if tick is None:
                raise StopAsyncIteration
        return tick

    def _take(self, messages: Sequence[Pair]) -> list[Tick]:
        tracks, admit, decode = self._tracks, self._admit, self._decode_fast
        ticks: list[Tick] = []
        keep = ticks.append
        for subject, data in messages:
            try:
                track = tracks.get(subject) or self._track_of(subject)
                if not track.wanted:
                    self.filtered += 1
                    continue
                try:
                    tick = decode(data)
                except _MALFORMED:
                    tick = self._decode(data)
            except (WireError, ValueError) as error:
                self._reject(f"{subject}: {error}")
                continue
            if tick.code != track.code or tick.exchange != track.exchange:
                self._reject(f"{subject}: carries a tick of {tick.instrument}")
            elif (seq := tick.seq) == track.seq + 1 and tick.epoch == track.epoch:
                track.seq = seq
                keep(tick)
            elif admit(track, tick):
                keep(tick)
        return ticks


class BatchStream(_Stream):
    """The batch subject of a feed: ``async for ticks in stream`` yields lists. Otherwise like :class:`TickStream`."""

    _chunk_size: ClassVar = 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Tick]:
        if chunk := await self._chunk():
            return chunk
        raise StopAsyncIteration

    def _take(self, messages: Sequence[Pair]) -> list[Tick]:
        tracks, admit = self._tracks, self._admit
        ticks: list[Tick] = []
        for subject, data in messages:
            try:
                batch = self._decode_batch(data)
            except WireError as error:
                self._reject(f"{subject}: {error}")
                continue
            refused: list[Tick] = []
            for tick in batch:
                track = tracks.get(tick.code)
                if track is None or track.exchange != tick.exchange:
                    track = self._track_of_tick(tick)
                if (seq := tick.seq) == track.seq + 1 and tick.epoch == track.epoch:
                    track.seq = seq
                elif not admit(track, tick):
                    refused.append(tick)
            if refused:
                gone = set(map(id, refused))
                batch = [tick for tick in batch if id(tick) not in gone]
            ticks += batch
        return ticks

    def _track_of_tick(self, tick: Tick) -> Track:
        """By code the track used last, which spares a key a tick: codes of two exchanges are hardly ever the same."""
        key = tick.exchange, tick.code
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = Track(*key, wanted=True)
        self._tracks[tick.code] = track
        return track
