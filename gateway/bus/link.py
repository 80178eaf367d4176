"""A connection that comes back: the next Wire after each loss, for as long as the link is open."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.bus.dial import Dialler
from gateway.bus.wire import Wire
from gateway.errors import BusError

_log = logging.getLogger(__name__)


@dataclass
class LinkCounters:
    """One connection's history. ``last_error`` is the latest trouble in words, with no secret in it."""

    disconnects: int = 0
    reconnects: int = 0
    failed_attempts: int = 0
    slow_consumers: int = 0
    refused: int = 0
    last_error: str = ""


class Link:
    """``wire`` is the connection in use, None from the moment of its loss until the next one is up."""

    def __init__(
        self,
        role: str,
        dialler: Dialler,
        *,
        on_up: Callable[[Wire], Awaitable[None]] | None = None,
        on_down: Callable[[], None] | None = None,
    ) -> None:
        """``on_up`` runs for each new wire before anyone else learns of it; when it raises, the wire is lost."""
        self.role = role
        self.wire: Wire | None = None
        self.counters = LinkCounters()
        self._dialler = dialler
        self._on_up = on_up
        self._on_down = on_down
        self._up = asyncio.Event()
        self._closing = False
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect. Raises BusError when no server takes us; from then on losses are repaired, not raised."""
        wire = await self._connect()
        self._keeper = asyncio.create_task(self._keep(wire), name=f"nats {self.role}")

    async def wait_up(self) -> None:
        """Return when there is a wire."""
        await self._up.wait()

    async def aclose(self) -> None:
        """Close within the options' ``close_timeout``. Idempotent."""
        self._closing = True
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        wire, self.wire = self.wire, None
        self._up.clear()
        if wire is not None:
            await wire.finish(self._dialler.options.close_timeout)

    async def _connect(self) -> Wire:
        wire = await self._dialler.dial(self.role, self._lost, self._told)
        self.wire = wire
        if self._on_up is not None:
            try:
                await self._on_up(wire)
            except BaseException as error:
                wire.fail(error if isinstance(error, Exception) else ConnectionError("cancelled"))
                await wire.finish(0.1)
                raise
        if wire.lost.done():
            await wire.finish(0.1)
            raise BusError(f"NATS closed the {self.role} connection while it was set up: {wire.lost.result()}")
        self._up.set()
        return wire

    async def _keep(self, wire: Wire) -> None:
        while True:
            await asyncio.wait({wire.lost})
            await wire.finish(0.1)
            wire = await self._reconnect()
            if self._closing:
                return
            self.counters.reconnects += 1
            _log.warning("the %s connection to NATS is back", self.role)

    async def _reconnect(self) -> Wire:
        options = self._dialler.options
        delay = options.backoff_first
        said = ""
        while True:
            # Jitter, so that the lines of a restarted server do not all knock in the same moment.
            await asyncio.sleep(delay * random.uniform(0.75, 1.25))  # noqa: S311 - spreading load, not secrecy
            try:
                return await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may succeed; the text is kept
                self.counters.failed_attempts += 1
                self.counters.last_error = str(error)
                level = logging.DEBUG if said == str(error) else logging.WARNING
                _log.log(level, "the %s connection to NATS is still down: %s", self.role, error)
                if not isinstance(error, BusError):
                    _log.debug("unexpected error while connecting", exc_info=error)
                said = str(error)
            delay = min(delay * 2, options.backoff_limit)

    def _lost(self, wire: Wire, error: Exception) -> None:
        if wire is not self.wire:
            return
        self.wire = None
        self._up.clear()
        self.counters.disconnects += 1
        reason = str(error).removeprefix("nats: ") or type(error).__name__
        self.counters.slow_consumers += "slow consumer" in reason.lower()
        self.counters.last_error = f"{self.role} connection lost: {reason}"
        _log.warning("the %s connection to NATS is lost: %s", self.role, reason)
        if self._on_down is not None:
            self._on_down()

    def _told(self, text: str) -> None:
        lowered = text.lower()
        slow = "slow consumer" in lowered
        self.counters.slow_consumers += slow
        refused = "permissions violation" in lowered
        self.counters.refused += refused
        level = logging.DEBUG if self.counters.last_error == text else logging.WARNING
        _log.log(level, "NATS says on the %s connection: %s", self.role, text)
        self.counters.last_error = text
