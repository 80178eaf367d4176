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

import msgspec

from gateway.bus.nats import NatsBus
from gateway.codec import decode_any
from gateway.control import (
    ContractsReply,
    ContractsRequest,
    StatusReply,
    SubscribeReply,
    SubscribeRequest,
    SubscriptionsReply,
    SubscriptionsRequest,
    SubscriptionState,
)
from gateway.errors import ControlError
from gateway.model import Contract, Instrument, Tick
from gateway.stream import QUEUE, BatchStream, LastPages, Loss, TickStream
from gateway.subjects import batch_subject, control_subject, matcher, subscription_subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from gateway.clock import Clock
    from gateway.ports import Bus
    from gateway.stream.snapshot import Reply

__all__ = ["BatchStream", "Client", "Loss", "TickStream", "connect"]

_GLOB = frozenset("*?[")

Snapshot = bool | Literal["optional"]


class Client:
    """Streams and requests over a bus that somebody else opens and closes. Usable from one event loop."""

    def __init__(self, bus: Bus, *, name: str = "feedgate", timeout: float = 5.0, clock: Clock | None = None) -> None:
        """``name`` is the gateway's; ``timeout`` in seconds bounds each request."""
        self._bus = bus
        self._name = name
        self._timeout = timeout
        self._clock = clock
        self._streams: WeakSet[TickStream | BatchStream] = WeakSet()

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
        )
        self._streams.add(stream)
        return stream

    def batches(self, feed: str, *, on_loss: Callable[[Loss], None] | None = None, queue: int = QUEUE) -> BatchStream:
        """All ticks of one feed in lists; the gateway must have the batch subject switched on. No snapshot."""
        subjects = (batch_subject(feed),)
        stream = BatchStream(self._bus, subjects, lambda _name: True, on_loss=on_loss, queue=queue, clock=self._clock)
        self._streams.add(stream)
        return stream

    async def last(self, *patterns: str) -> list[Tick]:
        """The last tick of each instrument that matches. Raises ControlError."""
        ticks: dict[tuple[str, str], Tick] = {}
        pages = self._pages(patterns or ("*",), optional=False)
        while (page := await pages.next()) is not None:
            for tick in map(decode_any, page):
                ticks[tick.exchange, tick.code] = tick
        return list(ticks.values())

    async def contracts(self, *patterns: str) -> list[Contract]:
        """The catalogue, as far as it matches. Raises ControlError."""
        found: list[Contract] = []
        cursor: int | None = 0
        while cursor is not None:
            request = ContractsRequest(patterns=patterns or ("*",), cursor=cursor)
            reply = await self._ask("contracts", request, ContractsReply)
            found += reply.contracts
            cursor = reply.cursor
        return found

    async def subscriptions(
        self, *patterns: str, line: str | None = None, states: Iterable[SubscriptionState] = ()
    ) -> SubscriptionsReply:
        """Where the subscriptions stand, all pages in one. Raises ControlError."""
        request = SubscriptionsRequest(line=line, patterns=patterns or ("*",), states=tuple(states))
        reply = await self._ask("subscriptions", request, SubscriptionsReply)
        rows, cursor = list(reply.subscriptions), reply.cursor
        while cursor is not None:
            request = msgspec.structs.replace(request, cursor=cursor)
            reply = await self._ask("subscriptions", request, SubscriptionsReply)
            rows += reply.subscriptions
            cursor = reply.cursor
        return msgspec.structs.replace(reply, subscriptions=rows)

    async def subscribe(self, *wanted: str | Instrument) -> SubscribeReply:
        """Have the gateway subscribe: instruments, names, or patterns over its catalogue. Raises ControlError."""
        return await self._ask("subscribe", _wish(wanted), SubscribeReply)

    async def unsubscribe(self, *unwanted: str | Instrument) -> SubscribeReply:
        """Have the gateway unsubscribe, for every consumer. Raises ControlError."""
        return await self._ask("unsubscribe", _wish(unwanted), SubscribeReply)

    async def status(self) -> StatusReply:
        """The gateway as of now. Raises ControlError."""
        return await self._ask("status", None, StatusReply)

    def _pages(self, patterns: tuple[str, ...], *, optional: bool) -> LastPages:
        return LastPages(self._ask, patterns, self._name, optional=optional)

    async def _ask(self, endpoint: str, request: Any, kind: type[Reply]) -> Reply:
        payload = b"" if request is None else msgspec.json.encode(request)
        subject = control_subject(endpoint, self._name)
        data = await self._bus.request(subject, payload, timeout=self._timeout)
        try:
            if data[:1] == b"{":
                return msgspec.json.decode(data, type=kind)
            return msgspec.msgpack.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ControlError(
                f"{endpoint}: gateway {self._name!r} answered with something else than a {kind.__name__} "
                f"({error}); use a client of the gateway's version",
                endpoint=endpoint,
            ) from None


@asynccontextmanager
async def connect(
    url: str | Sequence[str] = "nats://127.0.0.1:4222", *, name: str = "feedgate", **options: Any
) -> AsyncIterator[Client]:
    """A client with a NATS connection of its own; ``name`` is the gateway's.

    ``options`` are those of NatsOptions: ``user`` and ``password``, ``token``, ``creds_file``, ``tls_ca`` and so
    on. Raises BusError that names each server and why it did not take us.
    """
    settings: dict[str, Any] = {"name": f"{name} consumer", "queue_limit": QUEUE} | options
    bus = NatsBus(url, **settings)
    await bus.start()
    try:
        async with Client(bus, name=name) as client:
            yield client
    finally:
        await bus.aclose()


def _wish(wanted: Iterable[str | Instrument]) -> SubscribeRequest:
    names = [str(one) for one in wanted if isinstance(one, Instrument) or not _GLOB.intersection(one)]
    patterns = [one for one in wanted if isinstance(one, str) and _GLOB.intersection(one)]
    return SubscribeRequest(instruments=tuple(names), patterns=tuple(patterns))


def _narrowest(subjects: Iterable[str]) -> tuple[str, ...]:
    """Without those that another one covers, so that nothing is delivered twice."""
    unique = tuple(dict.fromkeys(subjects))
    return tuple(one for one in unique if not any(other != one and _covers(other, one) for other in unique))


def _covers(wide: str, narrow: str) -> bool:
    return all(a in ("*", b) for a, b in zip(wide.split("."), narrow.split("."), strict=True))
