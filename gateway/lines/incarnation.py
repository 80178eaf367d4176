"""One incarnation of a line: a source that is started once, watched, and ended once.

The vendor library may never call back (a refused front is silent for ever), so connect and login have timers of our
own; a process that hangs or storms is ended. Nothing here knows a vendor.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import LineError, WireError
from gateway.lines.cells import Cells
from gateway.lines.counts import LineCounts
from gateway.lines.frame import Arrival, TickUnpacker
from gateway.lines.hosts import HostFactory
from gateway.lines.messages import (
    Beat,
    Called,
    Failed,
    FromLine,
    Ready,
    Rejected,
    StateChanged,
    Subscribe,
    Unsubscribe,
)
from gateway.lines.restarts import RestartPolicy
from gateway.lines.vigil import A_CONNECTION, A_LOGIN, LineTimers, Vigil
from gateway.model import LineId, LineState

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """The line, as its incarnation sees it."""

    id: LineId
    state: LineState

    @property
    def leaving(self) -> bool:
        """Whether it was ordered to end."""

    def entered(self, state: LineState, reason: str) -> None:
        """The line is in this state now."""

    def lost(self, reason: str) -> None:
        """The incarnation ends and was not asked to."""

    def arrived(self, arrivals: list[Arrival]) -> None:
        """A batch of ticks; maybe an empty one."""

    def answered(self, message: FromLine) -> None:
        """The vendor's answer to a subscription."""


class Incarnation:
    """Made, and then run once. All methods on the loop."""

    def __init__(
        self,
        line: Owner,
        host: HostFactory,
        unpacker: TickUnpacker[object],
        *,
        counts: LineCounts,
        restarts: RestartPolicy,
        timers: LineTimers,
        clock: Clock,
    ) -> None:
        """``counts`` and ``restarts`` are the line's, over all its incarnations. Raises OSError of the host."""
        self.reason = ""
        """Why it ended, when it was not asked to."""
        self.obeyed = False
        """Whether it ended because it was asked to."""
        self._line, self._unpacker = line, unpacker
        self._counts, self._restarts, self._timers, self._clock = counts, restarts, timers, clock
        self._vigil = Vigil(timers, clock.monotonic())
        self._before_hang: LineState | None = None
        self._calls: deque[asyncio.Future[str]] = deque()
        self._ended = asyncio.Event()
        self._host = host(self)

    # -- for its line ----------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Of the child process, when it has one."""
        return self._host.pid

    @property
    def cells(self) -> Cells:
        """What the process has counted."""
        return self._host.cells

    def quiet_s(self) -> float | None:
        """How long it has been silent, when it is hung."""
        now = self._clock.monotonic()
        return self._vigil.quiet_s(now) if self._vigil.is_silent(now) else None

    def leave(self) -> None:
        """End in order."""
        self._ended.set()

    async def order(self, order: Subscribe | Unsubscribe) -> None:
        """Pass on and wait until the source's call has returned. Raises LineError when it did not, or raised."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._calls.append(answer)
        self._host.send(order)
        reason = await answer
        if reason:
            raise LineError(f"line {self._line.id}: {reason}", line=str(self._line.id), leaving=self._line.leaving)

    async def run(self) -> None:
        """From its start to its end, whatever ends it; then see ``obeyed`` and ``reason``."""
        host = self._host
        delivered_before = self._counts.delivered
        try:
            await host.start()
            await self._watch()
        except OSError as error:
            self.reason = f"cannot start the process: {error}"
        finally:
            # an order that comes while a dead one is cleared away does not make its death a wish
            on_purpose = self.obeyed = not self.reason and self._line.leaving
            if not on_purpose:
                self._line.lost(self.reason)  # clearing away may take a moment; who depends on it need not wait
            await host.stop(self._timers.stop_s if on_purpose else 0.5)
            while self._calls:
                self._answer_call("the line ended meanwhile")
            reason = "line_stopped" if on_purpose else "line_died"
            self._counts.close(host.cells, self._counts.delivered - delivered_before, reason=reason)
            host.cells.close()

    async def _watch(self) -> None:
        """Timers and heartbeats, until it ends or must end."""
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
                self.reason = verdict
                self._line.entered(LineState.LOST, verdict)
                self._host.kill()
                return

    def _overdue(self, now: float) -> str:
        """Why it must end now, or nothing. A silent line is told as lost first."""
        verdict = self._vigil.verdict(now)
        if not verdict and self._vigil.is_silent(now) and self._line.state.is_up and self._before_hang is None:
            self._before_hang = self._line.state
            self._line.entered(LineState.LOST, self._vigil.silence(now))
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
        self._line.arrived(arrivals)

    def message(self, message: FromLine) -> None:
        """A MESSAGE (HostEvents)."""
        self._alive()
        match message:
            case StateChanged():
                self._vigil.called(message.calls)
                self._end_storm()
                self._vendor_state(message.state, message.reason, message.calls)
            case Rejected():
                self._counts.rejects.update(message.counts)
            case Failed():
                self._end(message.reason)
            case Ready():
                if self._line.state is LineState.CONNECTING:
                    self._vigil.wait_for(A_CONNECTION, self._clock.monotonic())
            case Called():
                self._answer_call(message.reason)
            case Beat():
                pass
            case _:
                self._line.answered(message)

    def ended(self, reason: str) -> None:
        """The process or task is over (HostEvents)."""
        self._end(reason)

    def _end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._ended.set()

    def _alive(self) -> None:
        self._vigil.heard(self._clock.monotonic())
        if self._before_hang is not None:
            state, self._before_hang = self._before_hang, None
            self._line.entered(state, "answers again")

    def _vendor_state(self, state: LineState, reason: str, calls: int) -> None:
        now = self._clock.monotonic()
        match state:
            case LineState.REFUSED:
                self._restarts.refused()
                _log.warning("line %s: %s", self._line.id, reason)
                self._end(reason)
            case LineState.LOST:
                self._counts.disconnects += calls
                self._vigil.wait_for(A_CONNECTION, now)
            case LineState.CONNECTING:
                self._vigil.wait_for(A_CONNECTION, now)
            case LineState.CONNECTED:
                self._vigil.wait_for(A_LOGIN, now)
            case LineState.LOGGED_IN:
                self._restarts.logged_in()
                self._vigil.rest()
            case _:
                _log.warning("line %s: a source cannot be %s; ignored", self._line.id, state.value)
                return
        self._line.entered(state, reason)

    def _end_storm(self) -> None:
        """At the message that shows it, not at the next look: a storm is thousands of calls by then."""
        if self._vigil.storms and not self._ended.is_set():
            self._end(self._vigil.storm())
            self._host.kill()

    def _answer_call(self, reason: str) -> None:
        if self._calls:
            answer = self._calls.popleft()
            if not answer.done():
                answer.set_result(reason)
