"""What a consumer uses: live ticks with the last ones first, loss made visible, and the control service.

::

    async with connect("nats://127.0.0.1:4222") as client:
        async for tick in client.ticks("SHFE.rb*"):
            print(tick.instrument, tick.last)

A stream subscribes first, then asks for the last ticks, then goes on live. Per instrument it yields each
``(epoch, seq)`` once, in rising order (:class:`~gateway.stream.order.Order`); what is missing in between is counted and
named. After an interruption of its connection it asks for the last ticks again, so that quiet instruments tell
what they lost too.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from gateway.bus.nats import NatsBus
from gateway.codec import Codec, decode_any
from gateway.control.events import Switch
from gateway.control.figures import Figures
from gateway.control.messages.catalogue import Reloaded
from gateway.control.messages.market import SubscribeReply, SubscriptionsReply
from gateway.control.messages.orders import Rotated
from gateway.control.messages.reports import FeedCoverage, GapsReply, StatusReply
from gateway.control.requests import SWITCH_TIMEOUT, Requests
from gateway.model import Tick
from gateway.stream import QUEUE, BatchStream, LastPages, Loss, TickStream
from gateway.stream.events import EVENT_QUEUE, EventStream
from gateway.subjects import batch_subject, matcher, subscription_subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from gateway.clock import Clock
    from gateway.ports import Bus

__all__ = [
    "BatchStream",
    "Client",
    "EventStream",
    "FeedCoverage",
    "Figures",
    "GapsReply",
    "Loss",
    "Reloaded",
    "Rotated",
    "StatusReply",
    "SubscribeReply",
    "SubscriptionsReply",
    "Switch",
    "TickStream",
    "connect",
]

Snapshot = bool | Literal["optional"]


class Client(Requests):
    """Streams and requests over a bus that somebody else opens and closes. Usable from one event loop."""

    def __init__(
        self,
        bus: Bus,
        *,
        name: str = "feedgate",
        timeout: float = 5.0,
        switch_timeout: float = SWITCH_TIMEOUT,
        clock: Clock | None = None,
        codec: Codec | None = None,
    ) -> None:
        """``name`` is the gateway's; ``timeout`` in seconds bounds each request, ``switch_timeout`` each switch.

        ``codec``: the gateway's own one; the built-in ones are told apart by what comes.
        """
        super().__init__(bus, name=name, timeout=timeout, switch_timeout=switch_timeout)
        self._clock, self._codec = clock, codec
        self._decode = decode_any if codec is None else codec.decode
        self._streams: WeakSet[TickStream | BatchStream | EventStream] = WeakSet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all streams; the bus stays. Idempotent."""
        for stream in tuple(self._streams):
            await stream.aclose()

    def ticks(
        self,
        *patterns: str,
        snapshot: Snapshot = True,
        refresh: bool | None = None,
        on_loss: Callable[[Loss], None] | None = None,
        queue: int = QUEUE,
    ) -> TickStream:
        """Ticks of all instruments that match, the last known one of each first; subscribes when first awaited.

        Patterns are shell globs over ``EXCHANGE.CODE``, none means everything. Without a gateway to ask for the
        last ticks the stream raises ControlError; ``snapshot="optional"`` goes on without, False does not ask.

        After an interruption of the connection a busy instrument shows its loss with its next tick. With ``refresh``
        (usual with a snapshot) the stream asks for the last ticks again, in the background, and yields those that did
        not come by themselves within seconds, so that a quiet instrument shows its loss too. Raises ValueError for a
        bad pattern.
        """
        patterns = patterns or ("*",)
        tests = [matcher(pattern) for pattern in patterns]
        again = bool(snapshot) if refresh is None else refresh
        stream = TickStream(
            self._bus,
            _narrowest(subscription_subject(pattern) for pattern in patterns),
            tests[0] if len(tests) == 1 else lambda name: any(test(name) for test in tests),
            snapshot=self._pages(patterns, optional=snapshot == "optional") if snapshot else None,
            refresh=(lambda: self._pages(patterns, optional=False)) if again else None,
            on_loss=on_loss,
            queue=queue,
            clock=self._clock,
            codec=self._codec,
        )
        self._streams.add(stream)
        return stream

    def batches(self, feed: str, *, on_loss: Callable[[Loss], None] | None = None, queue: int = QUEUE) -> BatchStream:
        """All ticks of one feed in lists; the gateway must have the batch subject switched on. No snapshot."""
        subjects = (batch_subject(feed),)
        stream = BatchStream(
            self._bus,
            subjects,
            lambda _name: True,
            on_loss=on_loss,
            queue=queue,
            clock=self._clock,
            codec=self._codec,
        )
        self._streams.add(stream)
        return stream

    def events(self, *kinds: str, feed: str | None = None, queue: int = EVENT_QUEUE) -> EventStream:
        """Events of these kinds (``switch``, ``line_silent`` …; none: all) and of one feed or all, as they come.

        Subscribes when first awaited. Those of kinds that this version does not know come as a dict. What concerns no
        feed (``ledger``) comes whatever the feed. Raises ValueError for a name that cannot be a kind.
        """
        stream = EventStream(self._bus, kinds, feed=feed, queue=queue)
        self._streams.add(stream)
        return stream

    async def last(self, *patterns: str) -> list[Tick]:
        """The last tick of each instrument that matches. Raises ControlError."""
        ticks: dict[tuple[str, str], Tick] = {}
        pages = self._pages(patterns or ("*",), optional=False)
        while (page := await pages.next()) is not None:
            for tick in map(self._decode, page):
                ticks[tick.exchange, tick.code] = tick
        return list(ticks.values())

    def _pages(self, patterns: tuple[str, ...], *, optional: bool) -> LastPages:
        return LastPages(self._ask, patterns, self._name, optional=optional)


@asynccontextmanager
async def connect(
    url: str | Sequence[str] = "nats://127.0.0.1:4222",
    *,
    name: str = "feedgate",
    codec: Codec | None = None,
    timeout: float = 5.0,  # noqa: ASYNC109 - of each request later, not of this call
    **options: Any,
) -> AsyncIterator[Client]:
    """A client with a NATS connection of its own; ``name`` is the gateway's, ``codec`` its own codec if it has one.

    ``timeout`` in seconds bounds each request. ``options`` are those of NatsOptions: ``user`` and ``password``,
    ``token``, ``creds_file``, ``tls_ca`` and so on. Raises BusError that names each server and why it did not take us.
    """
    settings: dict[str, Any] = {"name": f"{name} consumer", "queue_limit": QUEUE} | options
    bus = NatsBus(url, **settings)
    await bus.start()
    try:
        async with Client(bus, name=name, codec=codec, timeout=timeout) as client:
            yield client
    finally:
        await bus.aclose()


def _narrowest(subjects: Iterable[str]) -> tuple[str, ...]:
    """Without those that another one covers, so that nothing is delivered twice."""
    unique = tuple(dict.fromkeys(subjects))
    return tuple(one for one in unique if not any(other != one and _covers(other, one) for other in unique))


def _covers(wide: str, narrow: str) -> bool:
    return all(a in ("*", b) for a, b in zip(wide.split("."), narrow.split("."), strict=True))
