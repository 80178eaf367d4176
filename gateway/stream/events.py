"""Events of a gateway as a consumer reads them: typed where their kind is known, plain where it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from gateway.control.events import ALL_FEEDS, ControlEvent
from gateway.stream.merged import Merged
from gateway.subjects import EVENTS, token

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from gateway.ports import Bus

EVENT_QUEUE = 4_096
"""Events that a stream holds for its consumer; beyond it the oldest are dropped and counted."""

_KIND = re.compile(r"[a-z][a-z0-9_]*")

_decode: Callable[[bytes], ControlEvent] = msgspec.json.Decoder(ControlEvent).decode
_decode_plain = msgspec.json.Decoder(dict[str, Any]).decode
_known = frozenset(kind.__struct_config__.tag for kind in get_args(ControlEvent))


class EventStream:
    """``async for event in stream``: for one consumer task, events as they come; nothing from before it was opened.

    Yields the structs of ``gateway.control.events``; a ``dict`` for a kind that this version does not know. Close it
    with ``aclose`` or ``async with``; closing the client closes it too. Iteration ends when the stream or the bus is
    closed. Raises BusError. What was told during an interruption of the connection does not come later: ask the
    control service for the state after one (``interruptions``).
    """

    def __init__(
        self, bus: Bus, kinds: Iterable[str] = (), *, feed: str | None = None, queue: int = EVENT_QUEUE
    ) -> None:
        """No kinds means all kinds, no feed all feeds. Raises ValueError for what cannot be a kind or a feed.

        What concerns no feed (``ledger``) comes whatever the feed.
        """
        self._feed = feed
        self._queue = Merged(bus, event_subjects(kinds, feed), queue, lambda: None)
        self.yielded: int = 0
        """Events given to the consumer."""
        self.rejected: int = 0
        """Messages that are no event, or that do not have what their kind must have."""
        self.first_rejection: str = ""
        """What was wrong with the first of them."""

    @property
    def overflow(self) -> int:
        """Events dropped in this process because the consumer was too slow."""
        return self._queue.overflow

    @property
    def interruptions(self) -> int:
        """How often the way to the server broke. Events of that time are lost."""
        return self._queue.interruptions

    async def open(self) -> None:
        """Subscribe. Later calls do nothing; iterating does it too. Raises BusError."""
        await self._queue.open()

    async def aclose(self) -> None:
        """Unsubscribe; a waiting iteration ends. Idempotent."""
        await self._queue.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ControlEvent | dict[str, Any]:
        await self.open()
        queue = self._queue
        while not queue.closed:
            while queue.waiting:
                subject, data = queue.waiting.popleft()
                try:
                    event = decode_event(data)
                except ValueError as error:
                    self.rejected += 1
                    self.first_rejection = self.first_rejection or f"{subject}: {error}"
                    continue
                if self._feed is None or _feed_of(event) in (None, self._feed):
                    self.yielded += 1
                    return event
            if queue.ended:
                break
            await queue.woken()
        raise StopAsyncIteration


def decode_event(data: bytes) -> ControlEvent | dict[str, Any]:
    """An event from the bytes of a message. Raises ValueError for what is none."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            event = _decode_plain(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ValueError(f"no event: {error}") from None
        kind = event.get("type")
        if kind in _known or not isinstance(kind, str):
            raise ValueError(f"no event: {error}") from None
        return event


def event_subjects(kinds: Iterable[str], feed: str | None) -> tuple[str, ...]:
    """The NATS subjects of these kinds and this feed. Raises ValueError for what cannot be a kind or a feed."""
    kinds = tuple(dict.fromkeys(kinds))
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            raise ValueError(f"{kind!r} is no kind of event; the known ones are: {', '.join(sorted(_known))}")
    feeds = ("*",) if feed is None else tuple(dict.fromkeys((token(feed), ALL_FEEDS)))
    return tuple(f"{EVENTS}.{kind}.{one}" for kind in kinds or ("*",) for one in feeds)


def _feed_of(event: ControlEvent | dict[str, Any]) -> object:
    return event.get("feed") if isinstance(event, dict) else event.feed
