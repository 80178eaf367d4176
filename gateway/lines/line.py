"""One line: its state, its counts, the orders that it obeys, and its restarts.

What runs between two restarts is an :class:`~gateway.lines.incarnation.Incarnation`. One that ended without being asked
is followed by the next with back-off.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import LineError
from gateway.lines.counts import LineCounts
from gateway.lines.frame import Arrival, TickUnpacker
from gateway.lines.hosts import HostFactory
from gateway.lines.incarnation import Incarnation
from gateway.lines.messages import Confirmed, FromLine, References, Refused, Subscribe, Unsubscribe, Unsubscribed
from gateway.lines.restarts import RestartPolicy
from gateway.lines.vigil import LineTimers
from gateway.model import Account, Instrument, LineId, LineState

_log = logging.getLogger(__name__)

_REMEMBERED = 4096
"""Batches."""


class SubscriptionEvents(Protocol):
    """What a line tells its subscriptions (flow.subscriptions)."""

    def line_up(self) -> None: ...
    def line_down(self, reason: str) -> None: ...
    def on_confirmed(self, instruments: Sequence[Instrument]) -> None: ...
    def on_refused(self, instrument: Instrument, reason: str) -> None: ...
    def on_unsubscribed(self, instruments: Sequence[Instrument]) -> None: ...


class Line:
    """Runs incarnations of one line until it is closed. All methods on the loop."""

    def __init__(
        self,
        line: LineId,
        account: Account,
        *,
        host: HostFactory,
        slot_of: Callable[[str, str], object],
        deliver: Callable[[Line, list[Arrival]], None],
        changed: Callable[[Line], None],
        timers: LineTimers,
        restarts: RestartPolicy,
        clock: Clock,
        parked: bool = False,
    ) -> None:
        """``parked``: it waits for :meth:`wake` before it starts for the first time."""
        self.id = line
        self.account = account
        self.state = LineState.IDLE
        self.reason = ""
        self.since_ns = clock.wall_ns()
        self.up_since_ns = 0
        """When it came up last (its first tick does not count); 0: never."""
        self.counts = LineCounts()
        self.subscriptions: SubscriptionEvents | None = None
        self.last_tick_ns = 0
        """``recv_ns`` of the last tick; 0: none yet."""
        self.last_ticks: dict[object, int] = {}
        """The same for each slot (of ``slot_of``) that this line ever delivered."""
        self.recent: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        """First and last ``recv_ns`` of the latest batches: some seconds of a busy line, more of a calm one."""
        self.references: dict[Instrument, float] = {}
        """The reference prices that the counter told last (:attr:`gateway.model.Contract.reference_price`)."""
        self._make_host = host
        self.incarnation = 0
        """Counts the starts of the source."""
        self.taken = 0
        """The last incarnation that ran before :meth:`take`; later ones have the credentials taken."""
        self._slot_of = slot_of
        self._deliver = deliver
        self._changed = changed
        self._timers = timers
        self._restarts = restarts
        self._clock = clock
        self._running: Incarnation | None = None
        self._failed_at = clock.monotonic()
        """Pauses count from here."""
        self._closing = False
        self._parked = parked
        self._on_purpose = ""
        """Why the incarnation is to end in order."""
        self._ordered = asyncio.Event()
        """Somebody asked to close, park, wake or restart."""

    # -- for others ------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Of the child process, when it has one."""
        return self._running.pid if self._running is not None else None

    def heard_ns(self) -> int | None:
        """When the last sign of life of a hung line came, Unix nanoseconds; None when the line is not hung."""
        quiet_s = self._running.quiet_s() if self._running is not None else None
        return None if quiet_s is None else self._clock.wall_ns() - round(quiet_s * 1e9)

    async def subscribe(self, instruments: Sequence[Instrument], /) -> None:
        """Pass on to the source and wait for its call to return; the vendor's answers come as events.

        Raises LineError when the call raised, or when the line ended before it returned.
        """
        await self._order(Subscribe(list(instruments)))

    async def unsubscribe(self, instruments: Sequence[Instrument], /) -> None:
        """Like :meth:`subscribe`."""
        await self._order(Unsubscribe(list(instruments)))

    async def _order(self, order: Subscribe | Unsubscribe) -> None:
        if self._running is None:
            raise LineError(f"line {self.id} is not running", line=str(self.id), leaving=self.leaving)
        await self._running.order(order)

    def live_counts(self) -> LineCounts:
        """The counts as of now, the running process included."""
        return self.counts.with_running(self._running.cells if self._running is not None else None)

    @property
    def parked(self) -> bool:
        """Kept out of service on purpose; it neither connects nor fails."""
        return self._parked

    @property
    def leaving(self) -> bool:
        """Whether it was ordered to end (and maybe to start again): it may still tick, and is not to be relied on."""
        return bool(self._on_purpose)

    async def run(self) -> None:
        """Until :meth:`close`. Owned by the gateway's task group."""
        while not self._closing:
            self._ordered.clear()
            if self._parked:
                self.entered(LineState.IDLE, "parked")
                await self._ordered.wait()
            elif not await self._ordered_within(self._pause_s()):
                await self._live()
        self.entered(LineState.STOPPED, "closed")

    def close(self) -> None:
        """Ask :meth:`run` to end in order."""
        self._closing = True
        self._order_to("closed")

    def park(self) -> None:
        """Log out in order and stay out until :meth:`wake`. No failure is counted. Idempotent."""
        if not self._parked:
            self._parked = True
            self._order_to("parked")

    def wake(self) -> None:
        """Back into service; the pauses after failures and refusals still hold. Idempotent."""
        if self._parked:
            self._parked = False
            self._ordered.set()

    def restart(self, reason: str) -> None:
        """End in order and start again at once, with a new process. No failure is counted."""
        if not self._parked:
            self._order_to(reason or "restart")

    def take(self, account: Account, host: HostFactory, reason: str) -> None:
        """From the next incarnation on be this account; unless parked, that begins at once. No failure is counted.

        What the counter refused before were other credentials, so the pause after refusals is over; the limit of
        logins a minute holds.
        """
        self.account, self._make_host = account, host
        self.taken = self.incarnation
        self._restarts.forgive()
        self.restart(reason)

    def _order_to(self, purpose: str) -> None:
        self._on_purpose = purpose
        self._ordered.set()
        if self._running is not None:
            self._running.leave()

    def _pause_s(self) -> float:
        """What is left of the pause: a line that was out of service since it failed has waited long enough."""
        return self._restarts.wait_s(self._failed_at) - (self._clock.monotonic() - self._failed_at)

    async def _ordered_within(self, seconds: float) -> bool:
        """Whether an order came before the time was over."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._ordered.wait()
            except TimeoutError:
                pass
        return self._ordered.is_set()

    async def _live(self) -> None:
        """Through one incarnation."""
        self.incarnation += 1
        self._on_purpose = ""
        self._restarts.started(self._clock.monotonic())
        self.entered(LineState.CONNECTING, "starting")
        try:
            running = self._running = Incarnation(
                self,
                self._make_host,
                TickUnpacker(self._slot_of, self.last_ticks),
                counts=self.counts,
                restarts=self._restarts,
                timers=self._timers,
                clock=self._clock,
            )
        except OSError as error:
            self._failed(f"cannot start the process: {error}")
            return
        if self._on_purpose:  # whoever heard that it starts would not have it
            running.leave()
        try:
            await running.run()
        finally:
            self._running = None
        if not running.obeyed:
            self._failed(running.reason)
        elif not self._closing:
            # not LOST: nobody failed
            self.entered(LineState.IDLE, self._on_purpose)

    def _failed(self, reason: str) -> None:
        self._failed_at = self._clock.monotonic()
        self._restarts.ended(self._failed_at)
        self.counts.restarts += 1
        self.lost(reason)
        _log.warning("line %s ended: %s", self.id, reason)

    # -- what its incarnation tells ----------------------------------------------------------------------

    def entered(self, state: LineState, reason: str) -> None:
        """It is in this state now; whoever must know is told, if anything is new."""
        if state is self.state and reason == self.reason:
            return
        was_up, self.state, self.reason = self.state.is_up, state, reason
        self.since_ns = self._clock.wall_ns()
        if state.is_up and not was_up:
            self.up_since_ns = self.since_ns
        if self.subscriptions is not None and state.is_up != was_up:
            if state.is_up:
                self.subscriptions.line_up()
            else:
                self.subscriptions.line_down(reason)
        self._changed(self)

    def lost(self, reason: str) -> None:
        """It failed. A login that was refused stays told as that."""
        self.entered(LineState.REFUSED if self.state is LineState.REFUSED else LineState.LOST, reason)

    def arrived(self, arrivals: list[Arrival]) -> None:
        """A batch of ticks."""
        if arrivals:
            self.counts.delivered += len(arrivals)
            self.last_tick_ns = arrivals[-1][4]
            self.recent.append((arrivals[0][4], self.last_tick_ns))
            if self.state is LineState.LOGGED_IN:
                self.entered(LineState.STREAMING, "")
        self._deliver(self, arrivals)

    def answered(self, message: FromLine) -> None:
        """The vendor's answer to a subscription, or what it says of a contract."""
        if isinstance(message, References):
            self.references.update(message.prices)
            return
        if self.subscriptions is None:
            return
        match message:
            case Confirmed():
                self.subscriptions.on_confirmed(message.instruments)
            case Refused():
                self.subscriptions.on_refused(message.instrument, message.reason)
            case Unsubscribed():
                self.subscriptions.on_unsubscribed(message.instruments)
            case _:
                pass
