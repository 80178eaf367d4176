"""The last ticks from the gateway: before a stream, and again after its connection was interrupted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from gateway.codec import CODECS
from gateway.control.messages.market import LastReply, LastRequest
from gateway.errors import ControlError
from gateway.model import Tick
from gateway.stream.order import Track

_log = logging.getLogger(__name__)

SETTLE_SECONDS = 5.0
"""Ticks may come behind a reply that names a later one: gateway and server give each connection its own way, and after
a restart of the server the gateway's tick connection may need up to 2.5 s longer than the one that answers."""

RETRY_SECONDS = 1.0
"""Between two attempts while no gateway answers."""

_TRIES = 3
_unwrapped = msgspec.msgpack.Decoder(bytes).decode
_ABSENT = frozenset({"no_responder", "timeout", "stopped", "disconnected"})
_PASSING = _ABSENT | {"busy"}

Reply = TypeVar("Reply")


class Ask(Protocol):
    """A request to the control service."""

    async def __call__(self, endpoint: str, request: Any, kind: type[Reply]) -> Reply: ...


class LastPages:
    """The last ticks, page by page; from the start again when the gateway restarts in between."""

    def __init__(self, ask: Ask, patterns: tuple[str, ...], name: str, *, optional: bool) -> None:
        self._ask = ask
        self._patterns = patterns
        self._name = name
        self._optional = optional
        self._cursor: int | None = 0
        self._epoch = 0
        self._tries = 0

    async def next(self) -> list[bytes] | None:
        """Payloads, or None at the end. Raises ControlError unless optional."""
        while self._cursor is not None:
            try:
                request = LastRequest(patterns=self._patterns, cursor=self._cursor)
                reply = await self._ask("last", request, LastReply)
            except ControlError as error:
                code = error.fields.get("reply_code")
                if code == "disconnected" and self._again():
                    continue
                if self._optional and code in _ABSENT:
                    break
                raise ControlError(
                    f"no snapshot of {', '.join(self._patterns)}: {error}; is a gateway named {self._name!r} "
                    "running on this server? (snapshot='optional' goes on without it)",
                    **error.fields,
                ) from error
            if not self._cursor or reply.epoch == self._epoch:
                self._epoch, self._cursor = reply.epoch, reply.cursor
                return _payloads(reply)
            if not self._again():
                raise ControlError("no snapshot: the gateway restarts again and again; see its log")
        return None

    def _again(self) -> bool:
        self._cursor, self._tries = 0, self._tries + 1
        return self._tries < _TRIES


def _payloads(reply: LastReply) -> list[bytes]:
    raws = map(bytes, reply.ticks)
    if reply.codec in CODECS:
        return list(raws)
    try:
        return [_unwrapped(raw) for raw in raws]
    except msgspec.DecodeError as error:
        raise ControlError(
            f"no snapshot: ticks of the codec {reply.codec!r} are not wrapped as bytes: {error}"
        ) from None


class Missing(NamedTuple):
    """A last tick that its stream had not brought, and where the stream stood."""

    track: Track
    tick: Tick
    epoch: int | None
    seq: int

    @property
    def still(self) -> bool:
        """Whether the stream has brought nothing of this instrument since, so that nothing else tells the loss."""
        return self.track.epoch == self.epoch and self.track.seq == self.seq


class Refresh:
    """Asks for the last ticks in the background and gives those to ``found`` that the stream did not bring.

    A reply may overtake ticks that are on their way, so ``found`` is called ``SETTLE_SECONDS`` later, and the caller
    asks each one whether it is ``still`` missing. While no gateway answers it tries again; when one refuses, that is
    logged and the end of it.
    """

    def __init__(
        self,
        pages: Callable[[], LastPages],
        missing_of: Callable[[Sequence[bytes]], list[Missing]],
        found: Callable[[list[Missing]], None],
    ) -> None:
        self._pages = pages
        self._missing_of = missing_of
        self._found = found
        self._task: asyncio.Task[None] | None = None
        self._old: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Ask, from the start again when it is asking already."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._run(), name="refresh of last ticks")
        self._old.add(self._task)
        self._task.add_done_callback(self._old.discard)

    async def aclose(self) -> None:
        """Stop. Idempotent."""
        running = list(self._old)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                missing = await self._all()
                break
            except ControlError as error:
                if error.fields.get("reply_code") not in _PASSING:
                    _log.warning("the last ticks were not asked for again: %s", error)
                    return
                _log.debug("the last ticks are asked for again later: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        self._found(missing)

    async def _all(self) -> list[Missing]:
        missing: list[Missing] = []
        pages = self._pages()
        while (page := await pages.next()) is not None:
            missing += self._missing_of(page)
        return missing
