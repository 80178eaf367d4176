"""A bus inside the process, for embedding and for tests: the same behaviour as NATS, without a server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence

from gateway.bus.mailbox import Mailbox
from gateway.bus.service import Reply, Responder
from gateway.bus.subject import check_pattern, check_subject
from gateway.errors import BusError, ControlError
from gateway.ports import Handler, Message

_ROUTES_KEPT = 100_000
"""Subjects whose receivers are remembered; beyond it the table starts afresh (30,000 contracts fit)."""


def _pattern(subject: str) -> re.Pattern[str]:
    wild = {"*": "[^.]+", ">": ".+"}
    return re.compile(r"\.".join(wild.get(part) or re.escape(part) for part in subject.split(".")) + r"\Z")


class MemoryBus:
    """Delivers at once, on the event loop that calls.

    A subscriber that does not read loses its oldest messages, counted in its ``dropped``; ``queue_limit`` is how
    many messages wait for one subscriber at most.
    """

    def __init__(self, *, queue_limit: int = 16_384, request_limit: int = 64) -> None:
        self._queue_limit = queue_limit
        self._open = False
        self._mailboxes: dict[Mailbox, re.Pattern[str]] = {}
        self._routes: dict[str, list[Mailbox]] = {}
        self._handlers: dict[str, Handler] = {}
        self._responder = Responder(request_limit)
        self._started = asyncio.Event()
        self.posted: int = 0

    @property
    def connected(self) -> bool:
        """Between ``start`` and ``aclose``."""
        return self._open

    @property
    def connection(self) -> int:
        """Always 1: what is posted here cannot be lost with a connection."""
        return 1

    @property
    def max_payload(self) -> int:
        """1 MiB, like NATS by default, so that what is split for one fits the other. Nothing larger is refused here."""
        return 1 << 20

    async def start(self) -> None:
        """Open for messages."""
        self._open = True
        self._started.set()

    async def aclose(self) -> None:
        """End every subscription and every running request. Idempotent."""
        self._open = False
        self._started.clear()
        await self._responder.aclose()
        for mailbox in list(self._mailboxes):
            mailbox.end()
        self._mailboxes.clear()
        self._routes.clear()
        self._handlers.clear()

    async def wait_connected(self) -> None:
        """Return when started."""
        await self._started.wait()

    def head(self, subject: str) -> bytes:
        """The subject as bytes."""
        return check_subject(subject).encode()

    def post(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Deliver to every subscription that matches. Raises BusError when the bus is not open."""
        self._require_open()
        for head, payload in messages:
            self._deliver(head.decode(), payload)
        self.posted += len(messages)

    async def settle(self) -> None:
        """Posting delivers, so there is nothing to wait for; lets the readers run once."""
        self._require_open()
        await asyncio.sleep(0)

    async def publish(self, subject: str, payload: bytes) -> None:
        """Deliver to every subscription that matches. Raises BusError when the bus is not open."""
        self._require_open()
        self._deliver(check_subject(subject), payload)

    def subscribe(self, subject: str) -> AsyncIterator[Message]:
        """See :class:`~gateway.bus.mailbox.Mailbox`; messages count from this call on."""
        mailbox = Mailbox(check_pattern(subject), self._queue_limit, self._forget)
        self._mailboxes[mailbox] = _pattern(subject)
        self._routes.clear()
        return mailbox

    async def request(self, subject: str, payload: bytes, *, timeout: float = 2.0) -> bytes:  # noqa: ASYNC109 - the protocol's
        """Ask; the handler runs in a task of its own. Raises ControlError."""
        handler = self._handlers.get(check_subject(subject))
        if not self._open or handler is None:
            raise ControlError(
                f"nobody answers on {subject}; is the gateway running?", subject=subject, reply_code="no_responder"
            )
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        async def deliver(reply: Reply) -> None:
            if not answer.done():
                answer.set_result(reply)

        task = self._responder.take(subject, handler, payload, deliver)
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if answer.done():
            return answer.result().result(subject)
        if done:
            raise ControlError(
                f"the service on {subject} stopped while it answered", subject=subject, reply_code="stopped"
            )
        raise ControlError(f"{subject} did not answer within {timeout:g} s", subject=subject, reply_code="timeout")

    async def serve(self, name: str, version: str, endpoints: Mapping[str, Handler]) -> None:  # noqa: ARG002 - only NATS announces name and version
        """Answer requests on these subjects until the bus closes. Raises BusError for a subject served already."""
        for subject in endpoints:
            if check_subject(subject) in self._handlers:
                raise BusError(f"{subject} is served already on this bus; give the second gateway another name")
        self._handlers.update(endpoints)

    def _deliver(self, subject: str, payload: bytes) -> None:
        route = self._routes.get(subject)
        if route is None:
            if len(self._routes) >= _ROUTES_KEPT:
                self._routes.clear()
            route = [mailbox for mailbox, pattern in self._mailboxes.items() if pattern.match(subject)]
            self._routes[subject] = route
        for mailbox in route:
            mailbox.push(subject, payload)

    def _forget(self, mailbox: Mailbox) -> None:
        self._mailboxes.pop(mailbox, None)
        self._routes.clear()

    def _require_open(self) -> None:
        if not self._open:
            raise BusError("the memory bus is not open; call start() first")
