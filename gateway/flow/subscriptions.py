"""What a line is asked to carry, what it confirmed, and the task that works off the difference."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import LineError
from gateway.flow.book import SubscriptionBook
from gateway.flow.pace import Batch, SubscriptionPolicy
from gateway.model import Instrument, LineId

__all__ = ["SubscriptionPolicy", "SubscriptionPort", "Subscriptions"]

log = logging.getLogger(__name__)


class SubscriptionPort(Protocol):
    """The line, as far as subscriptions need it. Only called while the line is up; raises LineError."""

    async def subscribe(self, instruments: Sequence[Instrument], /) -> None:
        """Ask the vendor; the answers come to ``on_confirmed`` and ``on_refused``."""

    async def unsubscribe(self, instruments: Sequence[Instrument], /) -> None:
        """Stop these; the answer comes to ``on_unsubscribed``."""


class Subscriptions(SubscriptionBook):
    """The subscriptions of one line: the book, and ``run``, which does the sending.

    The caller's TaskGroup owns ``run``; everything else may be used without it. ``changed`` is called after each
    change, on the loop; it must return at once and not raise. ``sleep`` exists for tests with a manual clock.
    """

    def __init__(
        self,
        line: LineId,
        port: SubscriptionPort,
        policy: SubscriptionPolicy,
        clock: Clock,
        changed: Callable[[], None] | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(line, policy, clock, changed)
        self.batches_sent = 0
        """Calls of ``port.subscribe``."""
        self.rate_limit_waits = 0
        """Batches that had to wait for the token bucket."""
        self._port, self._sleep = port, sleep
        self._bucket_waits = False

    async def settled(self) -> None:
        """Return when nothing wanted is unsent or pending (failed counts as settled)."""
        while not self._settled.is_set():
            await self._settled.wait()

    # -- the work ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what is due until cancelled. One such task per object."""
        while True:
            self._wake.clear()
            self._pass_time()
            until = await self._send_next() if self._up else math.inf
            if until is not None:
                await self._pause(until - self._clock.monotonic())

    async def _send_next(self) -> float | None:
        """Make one call to the port, or say until when there is nothing to do (monotonic seconds)."""
        now, pace = self._clock.monotonic(), self.pace
        idle = self._next_due()
        if self._offs:
            if now < self._offs_from:
                return min(idle, self._offs_from)
            offs = list(itertools.islice(self._offs, pace.size))
            if (wait_until := self._rate_limited(len(offs))) is None:
                await self._unsubscribe(offs)
            return wait_until
        if not self._queue:
            return idle
        suspect = next(iter(self._queue)) in pace.suspects
        quiet_until = pace.quiet_until(suspect=suspect)
        if now < quiet_until:
            return min(idle, quiet_until)
        same = itertools.takewhile(lambda one: (one in pace.suspects) == suspect, self._queue)
        batch = list(itertools.islice(same, pace.limit(suspect=suspect)))
        if (wait_until := self._rate_limited(len(batch))) is None:
            await self._subscribe(batch, suspect=suspect)
        return wait_until

    def _rate_limited(self, count: int) -> float | None:
        delay = self.pace.bucket.delay(count)
        if not delay:
            self._bucket_waits = False
            self.pace.bucket.take(count)
            return None
        if not self._bucket_waits:
            self._bucket_waits = True
            self.rate_limit_waits += 1
        return min(self._clock.monotonic() + delay, self._next_due())

    async def _subscribe(self, instruments: list[Instrument], *, suspect: bool) -> None:
        batch = Batch(instruments)
        for instrument in instruments:
            del self._queue[instrument]
            self._pending[instrument] = batch
            self._tries[instrument] = self._tries.get(instrument, 0) + 1
        self._unanswered.append(batch)
        self.pace.sending(batch, suspect=suspect)
        self.batches_sent += 1
        self._note(wake=False)
        try:
            await self._port.subscribe(instruments)
        except LineError as error:
            log.warning("%s: a batch of %d contracts could not be sent: %s", self.line, len(instruments), error)
            self._again(batch, str(error))
        finally:
            batch.sent_at = self._clock.monotonic()

    async def _unsubscribe(self, instruments: list[Instrument]) -> None:
        states = {instrument: self._offs.pop(instrument) for instrument in instruments}
        for instrument in instruments:
            self._leaving[instrument] = self._deadlines.set(self._policy.confirm_timeout_s, instrument)
        try:
            await self._port.unsubscribe(instruments)
        except LineError as error:
            # a line that was told to go has taken its subscriptions with it
            level = logging.DEBUG if error.fields.get("leaving") else logging.WARNING
            log.log(level, "%s: unsubscribing %d contracts failed: %s", self.line, len(instruments), error)
            self._off_tries += 1
            self._offs_from = self._clock.monotonic() + self._policy.back_off(self._off_tries)
            for instrument, was_confirmed in states.items():
                if self._leaving.pop(instrument, None) is not None:
                    self._offs[instrument] = was_confirmed
                elif self._returning.pop(instrument, None) is not None:
                    (self._confirmed if was_confirmed else self._queue)[instrument] = None
            self._note()
        else:
            self._off_tries, self._offs_from = 0, -math.inf

    async def _pause(self, seconds: float) -> None:
        """Wait for a change, at most that long."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        if seconds < math.inf:
            waits.append(asyncio.ensure_future(self._sleep(max(seconds, 0.0))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
