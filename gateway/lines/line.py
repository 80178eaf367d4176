"""One line: its state machine, its timers, its restarts and its counts.

The vendor library may never call back (a refused front is silent for ever), so connect and login have timers of our
own; a process that dies, hangs or storms is ended and started again with back-off. Nothing here knows a vendor.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import LineError, WireError
from gateway.lines.counts import LineCounts
from gateway.lines.frame import Arrival, TickUnpacker
from gateway.lines.hosts import Host, HostFactory
from gateway.lines.messages import (
    Beat,
    Called,
    Confirmed,
    Failed,
    FromLine,
    Ready,
    Refused,
    Rejected,
    StateChanged,
    Subscribe,
    Unsubscribe,
    Unsubscribed,
)
from gateway.lines.restarts import RestartPolicy
from gateway.lines.vigil import A_CONNECTION, A_LOGIN, LineTimers, Vigil
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
        self._host: Host | None = None
        self._unpacker: TickUnpacker[object] = TickUnpacker(slot_of, self.last_ticks)
        self._vigil = Vigil(timers, clock.monotonic())
        self._before_hang: LineState | None = None
        self._calls: deque[asyncio.Future[str]] = deque()
        self._ended = asyncio.Event()
        self._end_reason = ""
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
        return self._host.pid if self._host is not None else None

    def heard_ns(self) -> int | None:
        """When the last sign of life of a hung line came, Unix nanoseconds; None when the line is not hung."""
        now = self._clock.monotonic()
        if self._host is None or not self._vigil.is_silent(now):
            return None
        return self._clock.wall_ns() - round(self._vigil.quiet_s(now) * 1e9)

    async def subscribe(self, instruments: Sequence[Instrument], /) -> None:
        """Pass on to the source and wait for its call to return; the vendor's answers come as events.

        Raises LineError when the call raised, or when the line ended before it returned.
        """
        await self._order(Subscribe(list(instruments)))

    async def unsubscribe(self, instruments: Sequence[Instrument], /) -> None:
        """Like :meth:`subscribe`."""
        await self._order(Unsubscribe(list(instruments)))

    async def _order(self, order: Subscribe | Unsubscribe) -> None:
        if self._host is None:
            raise LineError(f"line {self.id} is not running", line=str(self.id), leaving=self.leaving)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._calls.append(answer)
        self._host.send(order)
        reason = await answer
        if reason:
            raise LineError(f"line {self.id}: {reason}", line=str(self.id), leaving=self.leaving)

    def live_counts(self) -> LineCounts:
        """The counts as of now, the running process included."""
        return self.counts.with_running(self._host.cells if self._host is not None else None)

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
                self._set(LineState.IDLE, "parked")
                await self._ordered.wait()
            elif not await self._ordered_within(self._pause_s()):
                await self._incarnation()
        self._set(LineState.STOPPED, "closed")

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
        self._ended.set()

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

    # -- one incarnation -------------------------------------------------------------------------------

    async def _incarnation(self) -> None:
        now = self._clock.monotonic()
        self.incarnation += 1
        self._ended.clear()
        self._end_reason = self._on_purpose = ""
        self._unpacker = TickUnpacker(self._slot_of, self.last_ticks)
        self._before_hang = None
        self._vigil = Vigil(self._timers, now)
        self._restarts.started(now)
        self._set(LineState.CONNECTING, "starting")
        try:
            host = self._host = self._make_host(self)
        except OSError as error:
            self._failed(f"cannot start the process: {error}")
            return
        delivered_before = self.counts.delivered
        try:
            await host.start()
            await self._watch(host)
        except OSError as error:
            self._end_reason = f"cannot start the process: {error}"
        finally:
            # an order that comes while a dead one is cleared away does not make its death a wish
            on_purpose = not self._end_reason and bool(self._on_purpose)
            if not on_purpose:
                self._say_lost()  # clearing away may take a moment; who depends on the line need not wait for it
            await host.stop(self._timers.stop_s if on_purpose else 0.5)
            self._host = None
            while self._calls:
                self._answer_call("the line ended meanwhile")
            reason = "line_stopped" if on_purpose else "line_died"
            self.counts.close(host.cells, self.counts.delivered - delivered_before, reason=reason)
            host.cells.close()
        if on_purpose:
            if not self._closing:
                # not LOST: nobody failed
                self._set(LineState.IDLE, self._on_purpose)
            return
        self._failed(self._end_reason)

    def _failed(self, reason: str) -> None:
        self._end_reason = reason
        self._failed_at = self._clock.monotonic()
        self._restarts.ended(self._failed_at)
        self.counts.restarts += 1
        self._say_lost()
        _log.warning("line %s ended: %s", self.id, self._end_reason)

    def _say_lost(self) -> None:
        self._set(LineState.REFUSED if self.state is LineState.REFUSED else LineState.LOST, self._end_reason)

    async def _watch(self, host: Host) -> None:
        """Timers and heartbeats, until the incarnation ends or must end."""
        step = min(self._timers.hung_after_s / 4, 0.2)
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(step):
                    await self._ended.wait()
            except TimeoutError:
                pass
            else:
                return
            now = self._clock.monotonic()
            late, looked = loop.time() - looked - step, loop.time()
            if late > step:
                # this loop stood still, maybe with the whole machine: what came meanwhile is not read yet
                self._vigil.excuse(late, now)
            verdict = self._overdue(now)
            if verdict:
                self._end_reason = verdict
                self._set(LineState.LOST, verdict)
                host.kill()
                return

    def _overdue(self, now: float) -> str:
        """Why the incarnation must end now, or nothing. A silent line is told as lost first."""
        verdict = self._vigil.verdict(now)
        if not verdict and self._vigil.is_silent(now) and self.state.is_up and self._before_hang is None:
            self._before_hang = self.state
            self._set(LineState.LOST, self._vigil.silence(now))
        return verdict

    # -- what the host tells ---------------------------------------------------------------------------

    def ticks(self, body: bytes) -> None:
        """A TICKS body (HostEvents)."""
        self._alive()
        try:
            arrivals = self._unpacker.unpack(body)
        except WireError as error:
            self._end(str(error))
            return
        if arrivals:
            self.counts.delivered += len(arrivals)
            self.last_tick_ns = arrivals[-1][4]
            self.recent.append((arrivals[0][4], self.last_tick_ns))
        if self.state is LineState.LOGGED_IN and arrivals:
            self._set(LineState.STREAMING, "")
        self._deliver(self, arrivals)

    def message(self, message: FromLine) -> None:
        """A MESSAGE (HostEvents)."""
        self._alive()
        match message:
            case StateChanged():
                self._vigil.called(message.calls)
                self._end_storm()
                self._vendor_state(message.state, message.reason)
            case Rejected():
                self.counts.rejects.update(message.counts)
            case Failed():
                self._end(message.reason)
            case Ready():
                if self.state is LineState.CONNECTING:
                    self._vigil.wait_for(A_CONNECTION, self._clock.monotonic())
            case Called():
                self._answer_call(message.reason)
            case Beat():
                pass
            case _:
                self._tell_subscriptions(message)

    def ended(self, reason: str) -> None:
        """The process or task is over (HostEvents)."""
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._end_reason = self._end_reason or reason
        self._ended.set()

    def _alive(self) -> None:
        self._vigil.heard(self._clock.monotonic())
        if self._before_hang is not None:
            state, self._before_hang = self._before_hang, None
            self._set(state, "answers again")

    def _vendor_state(self, state: LineState, reason: str) -> None:
        now = self._clock.monotonic()
        match state:
            case LineState.REFUSED:
                self._restarts.refused()
                _log.warning("line %s: %s", self.id, reason)
                self._end(reason)
            case LineState.LOST:
                self.counts.disconnects += 1
                self._vigil.wait_for(A_CONNECTION, now)
            case LineState.CONNECTING:
                self._vigil.wait_for(A_CONNECTION, now)
            case LineState.CONNECTED:
                self._vigil.wait_for(A_LOGIN, now)
            case LineState.LOGGED_IN:
                self._restarts.logged_in()
                self._vigil.rest()
            case _:
                _log.warning("line %s: a source cannot be %s; ignored", self.id, state.value)
                return
        self._set(state, reason)

    def _end_storm(self) -> None:
        """At the message that shows it, not at the next look: a storm is thousands of calls by then."""
        if self._vigil.storms and self._host is not None and not self._ended.is_set():
            self._end(self._vigil.storm())
            self._host.kill()

    def _answer_call(self, reason: str) -> None:
        if self._calls:
            answer = self._calls.popleft()
            if not answer.done():
                answer.set_result(reason)

    def _tell_subscriptions(self, message: FromLine) -> None:
        subscriptions = self.subscriptions
        if subscriptions is None:
            return
        match message:
            case Confirmed():
                subscriptions.on_confirmed(message.instruments)
            case Refused():
                subscriptions.on_refused(message.instrument, message.reason)
            case Unsubscribed():
                subscriptions.on_unsubscribed(message.instruments)
            case _:
                pass

    # -- small things ----------------------------------------------------------------------------------

    def _set(self, state: LineState, reason: str) -> None:
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
