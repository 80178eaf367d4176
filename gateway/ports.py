"""What the core asks of its replaceable parts. Nothing here runs; everything here is relied upon.

Threads: every coroutine and every method of these protocols is called on the event loop of its process,
except the methods of :class:`TickSink`, which a source may call from any thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from gateway.model import Account, Contract, Instrument, LineId, LineState, Tick


class TickSink(Protocol):
    """Where a source delivers. Every method returns at once, never raises, and may be called from any thread."""

    def tick(self, tick: Tick) -> None:
        """A finished tick. ``epoch``, ``seq``, ``line`` and ``account`` are overwritten downstream."""

    def raw(self, record: bytes) -> None:
        """A vendor record, copied out of vendor memory; the source's ``parse`` gets it later, in a batch."""

    def state(self, state: LineState, reason: str = "") -> None:
        """CONNECTING, CONNECTED, LOGGED_IN, REFUSED or LOST, in the vendor's words. Storms are counted, not told."""

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        """The vendor accepted the subscription of these."""

    def refused(self, instrument: Instrument, reason: str) -> None:
        """The vendor refused this one, and why."""

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        """The vendor confirmed that these are off."""

    def reject(self, reason: str) -> None:
        """A record that cannot be a tick was dropped; ``reason`` is a short stable word, it becomes a counter."""


@runtime_checkable
class FeedSource(Protocol):
    """One login at one counter. Built by a FeedKind, run by a line, in a child process or inline."""

    async def start(self, sink: TickSink) -> None:
        """Begin to connect and return at once; success and failure are told to the sink. Called once."""

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Ask for these. The answer comes through the sink. Only called while the line is logged in."""

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Stop these."""

    async def aclose(self) -> None:
        """Give everything back. Idempotent; nothing reaches the sink afterwards."""


@runtime_checkable
class ParsingSource(FeedSource, Protocol):
    """A source that hands over raw records and decodes them later, off the vendor's thread."""

    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> Sequence[Tick]:
        """Decode a batch of ``(recv_ns, record)`` in order. A bad record calls ``reject`` and is left out."""


@runtime_checkable
class ReferencingSource(FeedSource, Protocol):
    """A source whose counter tells reference prices (:attr:`gateway.model.Contract.reference_price`)."""

    def references(self) -> Sequence[tuple[Instrument, float]]:
        """Those that are new or changed since the last call. Called with each heartbeat, beside the way of a tick."""


class Catalogue(Protocol):
    """Where the list of contracts comes from."""

    async def contracts(self) -> Sequence[Contract]:
        """All contracts of the feed. Raises CatalogueError."""


class SecretStore(Protocol):
    """Where secrets live."""

    def read(self, path: str) -> Mapping[str, str]:
        """All keys under a path. Blocking; raises SettingsError without any value in its text."""


class Message(Protocol):
    """What a bus hands to a subscriber."""

    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> bytes: ...


Handler = Callable[[bytes], Awaitable[bytes]]
"""Answers a request: payload in, payload out. A raised FeedgateError is sent as an error reply."""


class Bus(Protocol):
    """Publishes. ``post`` is the tick path; the rest is slow and comfortable."""

    @property
    def connected(self) -> bool:
        """Whether ``post`` may be called now."""

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message that it takes."""

    @property
    def connection(self) -> int:
        """Number of the connection in use. When it changed, what was posted and not settled may be lost."""

    def head(self, subject: str) -> bytes:
        """What ``post`` wants in place of the subject, computed once per subject."""

    def post(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Queue ``(head, payload)`` messages in order, without waiting. Only while ``connected``."""

    async def settle(self) -> None:
        """Return when the bus has taken everything posted before. Raises BusError when it cannot say so."""

    async def wait_connected(self) -> None:
        """Return when connected; at once when it already is."""

    async def publish(self, subject: str, payload: bytes) -> None:
        """One message off the tick path (events, announcements)."""

    def subscribe(self, subject: str) -> AsyncIterator[Message]:
        """Messages of a subject (NATS wildcards), until the iterator is closed.

        In force before any later ``request`` is sent, so that a snapshot asked for afterwards leaves no hole.
        """

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        timeout: float = 2.0,  # noqa: ASYNC109 - asyncio.timeout raises a bare TimeoutError; our error names the subject
    ) -> bytes:
        """Ask a service; raises ControlError on an error reply, on no responder and on time-out."""

    async def serve(self, name: str, version: str, endpoints: Mapping[str, Handler]) -> None:
        """Answer requests on ``subject -> handler`` until the bus closes."""

    async def start(self) -> None:
        """Connect. Raises BusError with the next step when that fails."""

    async def aclose(self) -> None:
        """Idempotent."""


FeedFactory = Callable[[Account, LineId, Mapping[str, Any]], FeedSource]
"""``factory(account, line, options) -> FeedSource``; runs in the line's process."""
