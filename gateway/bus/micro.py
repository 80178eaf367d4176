"""Request/reply over a wire: asking, and answering as a NATS micro service."""

from __future__ import annotations

import asyncio
import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from nats import errors, micro
from nats.micro.request import Request
from nats.micro.service import EndpointStats

from gateway.bus.service import Reply, Responder, ServiceCounters
from gateway.bus.wire import Wire
from gateway.cancellation import cancellation_heard
from gateway.errors import BusError, ControlError
from gateway.ports import Handler

_log = logging.getLogger(__name__)

_ERROR = "Nats-Service-Error"
_ERROR_CODE = "Nats-Service-Error-Code"
_UNNAMED = re.compile(r"[^A-Za-z0-9_-]+")


async def ask(wire: Wire | None, subject: str, payload: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109 - handed on
    """Ask over this wire. Raises ControlError with ``subject`` and ``reply_code``, at once when the wire is lost.

    ``timeout`` in seconds is nats-py's clean-up; the caller bounds the wait. Raises TimeoutError without a wire.
    """
    if wire is None:
        raise TimeoutError
    asking = asyncio.ensure_future(wire.request(subject, payload, timeout=timeout + 1))
    try:
        waiting: set[asyncio.Future[Any]] = {asking, wire.lost}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise ControlError(
                f"NATS was lost while {subject} was asked; ask again", subject=subject, reply_code="disconnected"
            )
        message = asking.result()
    except errors.NoRespondersError:
        raise ControlError(
            f"nobody answers on {subject}; is the gateway running?", subject=subject, reply_code="no_responder"
        ) from None
    except errors.Error as error:
        raise ControlError(
            f"{subject} could not be asked: {error}", subject=subject, reply_code="disconnected"
        ) from error
    finally:
        asking.cancel()
    headers = message.headers or {}
    return Reply(message.data, headers.get(_ERROR_CODE, ""), headers.get(_ERROR, "")).result(subject)


@dataclass(frozen=True)
class Service:
    """What a micro service is called and what it answers."""

    name: str
    version: str
    endpoints: Mapping[str, Handler]


class Services:
    """The services of one bus: announced on each wire anew, answered by one responder."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._services: list[Service] = []

    async def add(self, service: Service, wire: Wire | None) -> None:
        """Serve on this wire, if there is one, and on every later one. Raises BusError for what NATS does not take."""
        self._services.append(service)
        if wire is None:
            return
        try:
            await self._serve_on(wire, service)
        except ValueError as error:
            self._services.remove(service)
            raise BusError(f"service {service.name!r} version {service.version!r}: {error}") from error
        except errors.Error as error:
            _log.debug("service %s waits for the next connection: %s", service.name, error)

    async def resume(self, wire: Wire) -> None:
        """Serve everything on a new wire."""
        for service in self._services:
            await self._serve_on(wire, service)

    async def aclose(self) -> None:
        """Cancel the requests that still run. Idempotent."""
        await self._responder.aclose()

    async def _serve_on(self, wire: Wire, service: Service) -> None:
        with cancellation_heard():
            with warnings.catch_warnings():
                # nats-py 2.16 stamps a service with datetime.utcnow(), which Python 3.12 deprecates.
                warnings.simplefilter("ignore", DeprecationWarning)
                running = await micro.add_service(
                    wire, name=service.name, version=service.version, stats_handler=self._statistics
                )
            for subject, handler in service.endpoints.items():
                await running.add_endpoint(
                    name=_UNNAMED.sub("-", subject).strip("-"),
                    subject=subject,
                    handler=partial(self._take, subject, handler),
                )
            # nats-py's flush sends its PING ahead of the SUBs that still wait for its flusher
            await wire.round_trip()

    async def _take(self, subject: str, handler: Handler, request: Request) -> None:
        self._responder.take(subject, handler, request.data, partial(_answer, request))

    def _statistics(self, endpoint: EndpointStats) -> dict[str, Any]:
        counters = self._responder.counters.get(endpoint.subject, ServiceCounters())
        return {"requests": counters.requests, "errors": counters.errors, "busy": counters.busy}


async def _answer(request: Request, reply: Reply) -> None:
    if reply.code:
        await request.respond_error(reply.code, reply.text)
        return
    try:
        await request.respond(reply.data)
    except errors.MaxPayloadError:
        text = f"the answer of {len(reply.data)} bytes exceeds the server's max_payload; ask for less"
        await request.respond_error("too_large", text)
