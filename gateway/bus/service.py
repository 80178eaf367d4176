"""The serving side of request/reply, the same for every bus: bounded, counted, errors turned into replies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import ControlError, FeedgateError
from gateway.ports import Handler

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """An answer on its way back: ``code`` is empty for success, else the error's code and ``text`` its words."""

    data: bytes = b""
    code: str = ""
    text: str = ""

    def result(self, subject: str) -> bytes:
        """The payload. Raises ControlError with ``reply_code`` when this is an error reply."""
        if self.code:
            raise ControlError(f"{subject}: {self.text} [{self.code}]", subject=subject, reply_code=self.code)
        return self.data


@dataclass
class ServiceCounters:
    """What happened to the requests of one endpoint."""

    requests: int = 0
    errors: int = 0
    busy: int = 0


class Responder:
    """Runs handlers, at most ``limit`` at a time over all endpoints; more are refused at once with code ``busy``.

    A FeedgateError of a handler becomes an error reply with its code and text. Any other exception is logged with
    its traceback and answered with code ``internal``, without its text: it may hold what the asker must not see.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: set[asyncio.Task[None]] = set()
        self.counters: dict[str, ServiceCounters] = {}

    def take(
        self,
        subject: str,
        handler: Handler,
        payload: bytes,
        answer: Callable[[Reply], Awaitable[None]],
    ) -> asyncio.Task[None]:
        """Start to answer one request and return; the task is owned here and ends with ``aclose``."""
        task = asyncio.create_task(self._run(subject, handler, payload, answer), name=f"request {subject}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def aclose(self) -> None:
        """Cancel what still runs and wait for it. Idempotent."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(
        self, subject: str, handler: Handler, payload: bytes, answer: Callable[[Reply], Awaitable[None]]
    ) -> None:
        counters = self.counters.setdefault(subject, ServiceCounters())
        counters.requests += 1
        if len(self._running) > self._limit:
            counters.busy += 1
            reply = Reply(code="busy", text=f"{self._limit} requests are running already; ask again later")
        else:
            reply = await self._reply(subject, handler, payload)
            counters.errors += bool(reply.code)
        try:
            await answer(reply)
        except Exception as error:  # noqa: BLE001 - whatever the way back raises, only this one reply is lost
            _log.warning("the reply to a request on %s is lost: %s", subject, error)

    async def _reply(self, subject: str, handler: Handler, payload: bytes) -> Reply:
        try:
            return Reply(await handler(payload))
        except FeedgateError as error:
            return Reply(code=error.code, text=str(error))
        except Exception:  # noqa: BLE001 - a handler's bug is logged and must not end the service
            _log.exception("the handler of %s failed", subject)
            return Reply(code="internal", text="the service failed on this request; its log has the reason")
