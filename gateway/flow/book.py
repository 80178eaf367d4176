"""The books of one line's subscriptions: what is wanted, and how far each contract got. No waiting, no sending."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, KeysView, Mapping
from types import MappingProxyType

from gateway.clock import Clock
from gateway.flow.deadlines import Deadlines
from gateway.flow.pace import Batch, Pace, SubscriptionPolicy
from gateway.model import Instrument, LineId

log = logging.getLogger(__name__)


class SubscriptionBook:
    """Every wanted instrument is in exactly one of four states.

    *unsent* (in the queue, or waiting for its next try), *pending* (sent, unanswered), *confirmed*, or *failed*
    with a reason. All methods belong to the event loop and return at once. The views ``wanted``, ``pending``,
    ``confirmed`` and ``failed`` are live: copy them before awaiting inside a loop over them.
    """

    def __init__(
        self, line: LineId, policy: SubscriptionPolicy, clock: Clock, changed: Callable[[], None] | None
    ) -> None:
        self.line = line
        self.pace = Pace(policy, clock)
        self.retries = 0
        """Contracts put back because nobody answered, the port failed, or the vendor took them off."""
        self._policy, self._clock, self._changed = policy, clock, changed
        self._up = False
        self._wanted: dict[Instrument, None] = {}
        self._queue: dict[Instrument, None] = {}
        self._waiting: dict[Instrument, float] = {}
        """Unsent until that moment (back-off)."""
        self._pending: dict[Instrument, Batch] = {}
        self._confirmed: dict[Instrument, None] = {}
        self._failed: dict[Instrument, str] = {}
        self._limited: dict[Instrument, None] = {}
        """Those of ``_failed`` that only lack room in this login."""
        self._given_up: set[Instrument] = set()
        """Those of ``_failed`` that take the line down: not even a new login tries them."""
        self._tries: dict[Instrument, int] = {}
        """Sent so often in this login without an answer."""
        self._offs: dict[Instrument, bool] = {}
        """To be unsubscribed, and whether it was confirmed."""
        self._off_tries, self._offs_from = 0, -math.inf
        self._leaving: dict[Instrument, float] = {}
        """Not wanted, unsubscribe sent, answer awaited until that moment."""
        self._returning: dict[Instrument, float] = {}
        """Like leaving, but wanted again meanwhile: counts as unsent."""
        self._unanswered: deque[Batch] = deque()
        self._deadlines = Deadlines(clock)
        """Of those in waiting, leaving and returning."""
        self._wake = asyncio.Event()
        """Set when there may be something to send."""
        self._settled = asyncio.Event()
        self._settled.set()

    # -- what others see ---------------------------------------------------------------------------------------

    @property
    def wanted(self) -> KeysView[Instrument]:
        """Everything asked for, in the order of asking."""
        return self._wanted.keys()

    @property
    def unsent(self) -> frozenset[Instrument]:
        """Wanted, but not with the vendor: a copy."""
        return frozenset(self._queue) | self._waiting.keys() | self._returning.keys()

    @property
    def pending(self) -> KeysView[Instrument]:
        return self._pending.keys()

    @property
    def confirmed(self) -> KeysView[Instrument]:
        return self._confirmed.keys()

    @property
    def failed(self) -> Mapping[Instrument, str]:
        """Instrument → why it is not carried."""
        return MappingProxyType(self._failed)

    @property
    def bisections(self) -> int:
        """Disconnects after which the batch size was halved."""
        return self.pace.bisections

    # -- what the gateway asks for -----------------------------------------------------------------------------

    def want(self, instruments: Iterable[Instrument]) -> None:
        """Carry these. Those that are carried already stay; those that failed get a fresh start."""
        for instrument in instruments:
            if instrument in self._wanted and instrument not in self._failed:
                continue
            self._wanted[instrument] = None
            if instrument in self._failed:
                self._clear_failure(instrument)
                self.pace.forgive(instrument)
                self._tries.pop(instrument, None)
            due = self._leaving.pop(instrument, None)
            if self._offs.pop(instrument, False):
                self._confirmed[instrument] = None
            elif due is not None:
                self._returning[instrument] = due
            else:
                self._queue[instrument] = None
        self._note()

    def release(self, instruments: Iterable[Instrument]) -> None:
        """Carry these no longer. Unknown ones are ignored."""
        for instrument in instruments:
            if instrument not in self._wanted:
                continue
            del self._wanted[instrument]
            self.pace.forgive(instrument)
            due = self._returning.pop(instrument, None)
            was_confirmed = instrument in self._confirmed
            if due is not None:
                self._leaving[instrument] = due
            elif self._up and (was_confirmed or instrument in self._tries):
                self._offs[instrument] = was_confirmed
            self._drop(instrument)
        self._note()

    # -- what the line tells -----------------------------------------------------------------------------------

    def line_up(self) -> None:
        """A new login: everything wanted is sent again, refusals of the old login included."""
        if self._up:
            return
        self._up = True
        for instrument in [one for one in self._failed if one not in self._given_up]:
            self._clear_failure(instrument)
        self._requeue()
        self.pace.login()
        self._note()

    def line_down(self, reason: str) -> None:
        """The login is gone, and all subscriptions with it."""
        if not self._up:
            return
        self._up = False
        culprit = self.pace.disconnected()
        for state in (self._offs, self._leaving, self._returning, self._waiting, self._tries):
            state.clear()
        self._pending.clear()
        self._confirmed.clear()
        self._unanswered.clear()
        self._deadlines.clear()
        self._off_tries, self._offs_from = 0, -math.inf
        if culprit is not None and culprit in self._wanted:
            log.warning("%s: %s took the line down alone twice (%s)", self.line, culprit, reason)
            self._failed[culprit] = f"took the line down alone twice: {reason}"
            self._given_up.add(culprit)
        self._requeue()
        self._note()

    def on_confirmed(self, instruments: Iterable[Instrument]) -> None:
        """The vendor carries these. A late answer counts as well, if there is room for it."""
        for instrument in instruments if self._up else ():
            if instrument not in self._tries or instrument not in self._wanted:
                continue
            if instrument in self._failed and self._room() <= 0:
                continue
            self._drop(instrument)
            self._confirmed[instrument] = None
        self._note(wake=False)

    def on_refused(self, instrument: Instrument, reason: str) -> None:
        """The vendor will not carry this one; it is not asked again before the next login."""
        known = instrument in self._tries or instrument in self._confirmed
        if self._up and known and instrument in self._wanted:
            self._drop(instrument)
            self._failed[instrument] = reason
            self._note()

    def on_unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        """The vendor stopped these. One that we still want is asked for again after a back-off."""
        for instrument in instruments:
            self._leaving.pop(instrument, None)
            if self._returning.pop(instrument, None) is not None:
                self._queue[instrument] = None
            elif instrument in self._confirmed:
                del self._confirmed[instrument]
                self.retries += 1
                self._waiting[instrument] = self._deadlines.set(self._policy.retry_initial_s, instrument)
        self._note()

    # -- the clock ---------------------------------------------------------------------------------------------

    def _again(self, batch: Batch, why: str) -> None:
        """Those of a batch that nobody answered wait for their next try, or fail after too many."""
        for instrument in batch.instruments:
            if self._pending.get(instrument) is not batch:
                continue
            del self._pending[instrument]
            tries = self._tries[instrument]
            if tries > self._policy.max_retries:
                self._failed[instrument] = f"{why} after {tries} tries"
            else:
                self.retries += 1
                self._waiting[instrument] = self._deadlines.set(self._policy.back_off(tries), instrument)
        self._note()

    def _pass_time(self) -> None:
        """Do what the clock asks for: time-outs, ends of back-offs, the pace."""
        if not self._up:
            return
        now = self._clock.monotonic()
        self.pace.pass_time()
        unanswered = self._unanswered
        while unanswered and unanswered[0].sent_at + self._policy.confirm_timeout_s <= now:
            self._again(unanswered.popleft(), "no answer")
        passed = False
        for due, instrument in self._deadlines.passed(now):
            passed = True
            if self._leaving.get(instrument) == due:
                del self._leaving[instrument]
            for unsent in (self._waiting, self._returning):
                if unsent.get(instrument) == due:
                    del unsent[instrument]
                    self._queue[instrument] = None
        if passed:
            self._note()

    def _next_due(self) -> float:
        answer = self._unanswered[0].sent_at + self._policy.confirm_timeout_s if self._unanswered else math.inf
        return min(answer, self._deadlines.next(), self.pace.due())

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _requeue(self) -> None:
        """Queue what is wanted and not failed: proven ones first, suspects last."""
        able = [one for one in self._wanted if one not in self._failed]
        limit = self._policy.per_login_limit
        for instrument in able[limit:] if limit is not None else ():
            self._limit(instrument)
        suspects = self.pace.suspects
        self._queue = dict.fromkeys(sorted(able[:limit], key=suspects.__contains__))

    def _room(self) -> float:
        limit = self._policy.per_login_limit
        if limit is None:
            return math.inf
        used = len(self._wanted) - len(self._failed) + len(self._offs) + len(self._leaving)
        return limit - used

    def _fit(self) -> None:
        """Keep to the limit of the login: the last of the queue step out, and step in again when there is room."""
        out: list[Instrument] = []
        while self._room() + len(out) < 0 and self._queue:
            out.append(self._queue.popitem()[0])
        for instrument in reversed(out):
            self._limit(instrument)
        while self._limited and self._room() > 0:
            instrument = next(iter(self._limited))
            self._clear_failure(instrument)
            self._queue[instrument] = None

    def _limit(self, instrument: Instrument) -> None:
        self._limited[instrument] = None
        self._failed[instrument] = (
            f"beyond the limit of {self._policy.per_login_limit} contracts per login; "
            "release others, raise per_login_limit if the counter allows it, or add an account"
        )

    def _drop(self, instrument: Instrument) -> None:
        """Take an instrument out of whatever state it is in."""
        for state in (self._queue, self._waiting, self._pending, self._confirmed, self._tries):
            state.pop(instrument, None)
        self._clear_failure(instrument)

    def _clear_failure(self, instrument: Instrument) -> None:
        self._failed.pop(instrument, None)
        self._limited.pop(instrument, None)
        self._given_up.discard(instrument)

    def _note(self, *, wake: bool = True) -> None:
        """After every change: keep to the limit, wake the task if it may have something to do, tell the owner."""
        self._fit()
        if len(self._confirmed) + len(self._failed) == len(self._wanted):
            self._settled.set()
        else:
            self._settled.clear()
        if wake:
            self._wake.set()
        if self._changed is not None:
            self._changed()
