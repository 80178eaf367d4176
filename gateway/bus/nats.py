"""The bus over a NATS server or cluster."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.bus.dial import Dialler, NatsOptions
from gateway.bus.link import Link, LinkCounters
from gateway.bus.mailbox import Mailbox
from gateway.bus.micro import Service, Services, ask
from gateway.bus.service import Responder
from gateway.bus.subject import check_pattern, check_subject
from gateway.bus.wire import Wire
from gateway.cancellation import to_the_end
from gateway.errors import BusError, ControlError
from gateway.ports import Handler, Message

__all__ = ["NatsBus", "NatsOptions"]

_PUBLISH_AHEAD = 1024 * 1024
_MAX_PAYLOAD = 1024 * 1024


@dataclass(frozen=True)
class NatsCounters:
    """What the bus did so far. ``ticks`` and ``control`` are the two connections."""

    posted: int
    settled: int
    oversize: int
    dropped: int
    pending_bytes: int
    ticks: LinkCounters
    control: LinkCounters


class NatsBus:
    """Two connections to NATS, one for ticks and one for everything else.

    Ticks are only written to the first, so that no flood of ticks delays a request on the second, and the PONG
    that :meth:`settle` waits for stands behind the ticks.

    A broken connection is replaced for as long as the bus is open. What was posted and not settled by then is
    gone: the bus discards what the socket had not taken, and whoever posted it posts it again. Subscriptions and
    services come back by themselves.
    """

    def __init__(self, urls: str | Sequence[str] | NatsOptions, **more: Any) -> None:
        """URLs with the other fields of :class:`NatsOptions` by keyword, or finished options.

        Connects nothing yet. Raises BusError for URLs, files and pairs that cannot work.
        """
        if isinstance(urls, NatsOptions):
            options = dataclasses.replace(urls, **more)
        else:
            options = NatsOptions(urls=(urls,) if isinstance(urls, str) else tuple(urls), **more)
        self.options = options
        dialler = Dialler(options)
        self._ticks = Link("ticks", dialler, on_up=self._ticks_up, on_down=self._ticks_down)
        self._control = Link("control", dialler, on_up=self._control_up, on_down=self._control_down)
        self._mailboxes: dict[Mailbox, int | None] = {}
        self._services = Services(Responder(options.request_limit))
        self._max_pending = options.max_pending_bytes
        self._tick_wire: Wire | None = None
        self._connections = 0
        self._max_payload = _MAX_PAYLOAD
        self._posted = 0
        self._settled = 0
        self._oversize = 0
        self._dropped = 0
        self._closed = False

    # State.

    @property
    def connected(self) -> bool:
        """Whether the tick connection is up."""
        return self._tick_wire is not None

    @property
    def connection(self) -> int:
        """Number of the tick connection, 1 for the first; what was posted over an earlier one may be lost."""
        return self._connections

    @property
    def control_connected(self) -> bool:
        """Whether the connection for events, subscriptions and requests is up."""
        return self._control.wire is not None

    @property
    def pending_bytes(self) -> int:
        """Bytes of ticks that the kernel has not taken yet: grows when the server does not keep up."""
        return self._tick_wire.pending_bytes if self._tick_wire is not None else 0

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message that the server takes; while it is away, that the last one took.

        1 MiB, which is NATS's own default, before the first connection.
        """
        return self._max_payload

    @property
    def last_error(self) -> str:
        """The latest trouble of either connection in words, with no secret in it; empty when there was none."""
        return self._ticks.counters.last_error or self._control.counters.last_error

    @property
    def counters(self) -> NatsCounters:
        """Figures of this moment."""
        wire = self._tick_wire
        return NatsCounters(
            posted=self._posted,
            settled=self._settled,
            oversize=self._oversize + (wire.oversize if wire is not None else 0),
            dropped=self._dropped + sum(mailbox.dropped for mailbox in self._mailboxes),
            pending_bytes=self.pending_bytes,
            ticks=self._ticks.counters,
            control=self._control.counters,
        )

    # The tick path.

    def head(self, subject: str) -> bytes:
        """``b"PUB <subject> "``. Raises BusError for what is no subject."""
        return b"PUB %b " % check_subject(subject).encode()

    def post(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Hand the messages to the socket, in order, in one write; about 0.3 µs a message at 256 a call.

        Never waits. Raises BusError, with nothing posted, when not ``connected`` and when ``max_pending_bytes``
        wait for the server already: settle before posting more. A message above ``max_payload`` is dropped and
        counted as ``oversize``.
        """
        wire = self._tick_wire
        if wire is None:
            raise BusError("NATS is not connected; wait_connected() first")
        if wire.pending_bytes > self._max_pending:
            raise BusError(f"NATS has {wire.pending_bytes} bytes of ticks still to take; settle() before posting more")
        self._posted += wire.send(messages)

    async def settle(self) -> None:
        """Return when the server has read everything posted before this call.

        Raises BusError as soon as the connection is known to be gone, and when it is not there at all; a hung
        server is noticed after ``ping_interval * (max_outstanding_pings + 1)`` seconds.
        """
        wire = self._tick_wire
        posted = self._posted
        if wire is None or not await wire.round_trip():
            raise BusError("the NATS connection broke before the server confirmed; post again when connected")
        self._settled = max(self._settled, posted)

    async def wait_connected(self) -> None:
        """Return when the tick connection is up."""
        await self._ticks.wait_up()

    # Everything else.

    async def publish(self, subject: str, payload: bytes) -> None:
        """One message over the control connection. Raises BusError when it is down or the message too large."""
        head = self.head(subject)
        wire = self._control.wire
        if wire is None:
            raise BusError(f"NATS is not connected; {subject} was not published")
        if not wire.send([(head, payload)]):
            raise BusError(
                f"a message of {len(payload)} bytes on {subject} exceeds the server's max_payload of"
                f" {wire.max_payload}; make it smaller or raise max_payload"
            )
        if wire.pending_bytes > _PUBLISH_AHEAD:
            try:
                await wire.drain()
            except OSError as error:
                raise BusError(f"NATS was lost while {subject} was published; publish it again") from error

    def subscribe(self, subject: str) -> AsyncIterator[Message]:
        """A :class:`~gateway.bus.mailbox.Mailbox`, at most ``queue_limit`` messages deep.

        The subscription is sent before this returns, so it holds for everything that a later request causes.
        While the connection is down it is kept, and sent when the connection is back.
        """
        mailbox = Mailbox(check_pattern(subject), self.options.queue_limit, self._forget)
        if self._closed:
            raise BusError(f"the bus is closed; {subject} cannot be subscribed to")
        wire = self._control.wire
        self._mailboxes[mailbox] = wire.attach(subject, mailbox.push_run) if wire is not None else None
        return mailbox

    async def request(self, subject: str, payload: bytes, *, timeout: float = 2.0) -> bytes:  # noqa: ASYNC109 - the protocol's
        """Ask a service over the control connection, waiting for the connection too within ``timeout`` seconds.

        Raises ControlError whose fields name the ``subject`` and the ``reply_code``: the service's own code,
        ``busy``, ``internal``, ``no_responder``, ``timeout``, ``disconnected``.
        """
        check_subject(subject)
        try:
            async with asyncio.timeout(timeout):
                await self._control.wait_up()
                return await ask(self._control.wire, subject, payload, timeout=timeout)
        except TimeoutError:
            state = "" if self.control_connected else "; NATS is not connected"
            raise ControlError(
                f"{subject} did not answer within {timeout:g} s{state}", subject=subject, reply_code="timeout"
            ) from None

    async def serve(self, name: str, version: str, endpoints: Mapping[str, Handler]) -> None:
        """Answer as a NATS micro service: ``nats micro ls`` shows it, several servers of one subject share the work.

        Raises BusError when ``name`` or ``version`` (semantic) is not one that NATS takes.
        """
        service = Service(name, version, {check_subject(subject): run for subject, run in endpoints.items()})
        await self._services.add(service, self._control.wire)

    async def start(self) -> None:
        """Connect both. Raises BusError that names each server and why it did not take us."""
        try:
            await self._ticks.open()
            await self._control.open()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close both connections within ``close_timeout``; subscriptions end, running requests are cancelled.

        Idempotent. Not cut short by a cancellation, which is raised when all is closed.
        """
        await to_the_end(self._close())

    async def _close(self) -> None:
        self._closed = True
        await self._services.aclose()
        self._tick_wire = None
        await asyncio.gather(self._ticks.aclose(), self._control.aclose())
        for mailbox in list(self._mailboxes):
            mailbox.end()

    # Connections come and go.

    async def _ticks_up(self, wire: Wire) -> None:
        self._connections += 1
        self._max_payload = wire.max_payload
        self._tick_wire = wire

    def _ticks_down(self) -> None:
        if self._tick_wire is not None:
            self._oversize += self._tick_wire.oversize
        self._tick_wire = None

    async def _control_up(self, wire: Wire) -> None:
        for mailbox in self._mailboxes:
            self._mailboxes[mailbox] = wire.attach(mailbox.subject, mailbox.push_run)
        await self._services.resume(wire)

    def _control_down(self) -> None:
        for mailbox in self._mailboxes:
            self._mailboxes[mailbox] = None
            mailbox.interrupt()

    def _forget(self, mailbox: Mailbox) -> None:
        sid = self._mailboxes.pop(mailbox, None)
        self._dropped += mailbox.dropped
        if sid is not None and self._control.wire is not None:
            self._control.wire.detach(sid)
