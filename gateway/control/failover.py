"""Failover and failback of one feed: one switch at a time, tried, confirmed, measured, and undone when it fails.

The controller owns no line. It has :class:`~gateway.control.deciding.Deciding` look at the facts and ask the router,
and tells the feed what to do. A switch wakes the new line *beside* the old one and parks the old one when the new one
has proved itself, so that a failed switch leaves what was.

Source of the rules: the operators' contract, §4 (latency).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from gateway.clock import Clock
from gateway.control.deciding import Deciding
from gateway.control.events import ControlEvent, Switch, Unplaced
from gateway.control.failing import FailureRules
from gateway.control.switching import FeedControl, Phases, Switching, SwitchRules
from gateway.errors import ControlError, FeedgateError
from gateway.model import LineState
from gateway.plan import AccountRouter, LineFacts, Plan

_log = logging.getLogger(__name__)

_SHOWN = 20
_KEPT = 100
COMMAND = "command"
"""The trigger of a switch that a person asked for."""


class SwitchRefusedError(ControlError):
    """Another switch runs; ``fields`` say which."""

    code = "busy"
    exit_code = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverRules:
    """Seconds, unless named otherwise."""

    cooldown_s: float = 10.0
    """After a switch, done or failed, no automatic one for so long. A command does not wait."""
    look_s: float = 0.25
    """How often the facts are looked at without being told that they changed."""
    switch: SwitchRules = field(default_factory=SwitchRules)
    failures: FailureRules = field(default_factory=FailureRules)


class Failover:
    """The controller of one feed. All methods on the loop; :meth:`run` is owned by the gateway."""

    def __init__(
        self,
        feed: str,
        control: FeedControl,
        router: AccountRouter,
        phases: Phases,
        clock: Clock,
        tell: Callable[[ControlEvent], None],
        *,
        rules: FailoverRules | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``tell`` gets every event; it must return at once and not raise. ``sleep`` is for tests."""
        self.feed = feed
        self.plan = Plan()
        """In force; after a failed switch what it was before."""
        self.history: deque[Switch] = deque(maxlen=_KEPT)
        """Switches, oldest first."""
        self.counts: Counter[str] = Counter()
        """``failover.ok``, ``failover.failed``, ``failback.ok``, ``failback.failed``, ``cooled``, ``refused``."""
        self._control, self._clock, self._tell, self._sleep = control, clock, tell, sleep
        self._rules = rules or FailoverRules()
        self._deciding = Deciding(feed, control, router, phases, clock, self._rules.failures, self.counts)
        self._switching = Switching(control, phases, clock, sleep, self._rules.switch)
        self._running = ""
        self._lock = asyncio.Lock()
        """Held while orders are given, so that a command does not cross a change of plan."""
        self._cool_until = 0.0
        self._unplaced: frozenset[object] = frozenset()
        self._news = asyncio.Event()

    # -- what it is told ---------------------------------------------------------------------------------------

    def line_changed(self, line: str, state: LineState, reason: str) -> None:
        """A line entered a state. Call it for each change; the next look acts on it."""
        self._deciding.line_changed(line, state, reason)
        self._news.set()

    def line_silent(self, line: str) -> None:
        """The watchdog's verdict."""
        self._deciding.line_silent(line)
        self._news.set()

    def line_speaks(self, line: str) -> None:
        """The watchdog takes its verdict back."""
        self._deciding.line_speaks(line)

    def require(self, reason: str) -> None:
        """``feed_failover_required`` rose above 0: leave the preferred line, if there is another (cooldown applies)."""
        self._deciding.required = reason or "feed_failover_required"
        self._news.set()

    def withdraw(self) -> None:
        """``feed_failover_required`` is 0 again before anything was done about it."""
        self._deciding.required = ""

    # -- what it can be asked ----------------------------------------------------------------------------------

    @property
    def running(self) -> str:
        """What runs now, in words; empty when nothing does."""
        return self._running

    @property
    def required(self) -> str:
        """Why a failover is asked for that has not happened yet; empty when none is."""
        return self._deciding.required

    def facts(self) -> tuple[LineFacts, ...]:
        """The lines with what the controller knows of them: failures in the window, verdicts."""
        return self._deciding.facts()

    async def failover(self, reason: str, to: str | None = None) -> Switch:
        """Leave the preferred line, for ``to`` or the next in order; returns when done or failed (``Switch.ok``).

        Raises SwitchRefusedError while another switch runs, ControlError when there is no such line. Ignores the
        cooldown.
        """
        return await self._command("failover", reason, to or self._deciding.next_line(self.plan))

    async def failback(self, reason: str) -> Switch:
        """Back to the first line of the settings' order. As :meth:`failover`."""
        lines = self._control.facts()
        return await self._command("failback", reason, lines[0].name if lines else None)

    async def run(self) -> None:
        """Look and act until cancelled."""
        while True:
            try:
                await self.look()
            except FeedgateError as error:  # a calendar that ended; commands say so too
                if not self.counts["blind"]:
                    _log.error("feed %s: no automatic failover: %s", self.feed, error)
                self.counts["blind"] += 1
            await self._pause()

    async def _pause(self) -> None:
        """Until there is news, or it is time to look again."""
        waits = [asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(self._sleep(self._rules.look_s))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._news.clear()
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def wishes_changed(self) -> None:
        """The wanted contracts changed: give the new plan out now, unless it needs a switch or one runs."""
        wish = self._deciding.wish(self.plan)
        if not self._running and wish.prefer == self.plan.prefer:
            await self._adopt(wish)

    async def look(self) -> Switch | None:
        """Act on the facts as they are: a new plan, a switch (returned), or nothing."""
        if self._running:
            return None
        cooling = self._clock.monotonic() < self._cool_until
        decision = self._deciding.decide(self.plan, cooling=cooling)
        if isinstance(decision, Plan):
            await self._adopt(decision)
        elif decision is not None:
            return await self._switch("failover", decision.source, decision.target, decision.reason, decision.trigger)
        return None

    # -- carrying out ------------------------------------------------------------------------------------------

    async def _adopt(self, plan: Plan) -> None:
        """A new plan without a switch: the start, a rebalance, changed wishes."""
        async with self._lock:
            try:
                await self._control.apply(plan)
            except FeedgateError as error:
                _log.warning("feed %s: the plan could not be applied, it is tried again: %s", self.feed, error)
                return
            self._in_force(plan)

    def _in_force(self, plan: Plan) -> None:
        self.plan = plan
        if plan.unplaced != self._unplaced:
            self._unplaced = frozenset(plan.unplaced)
            some = tuple(str(one) for one in sorted(plan.unplaced)[:_SHOWN])
            _log.warning("feed %s: %d contracts have no line with room: %s", self.feed, len(plan.unplaced), some)
            self._tell(
                Unplaced(feed=self.feed, at_ns=self._clock.wall_ns(), count=len(plan.unplaced), instruments=some)
            )

    async def _command(self, kind: Literal["failover", "failback"], reason: str, target: str | None) -> Switch:
        if self._running:
            self.counts["refused"] += 1
            raise SwitchRefusedError(
                f"feed {self.feed}: {self._running}; try again when it is over", feed=self.feed, running=self._running
            )
        known = [line.name for line in self._control.facts()]
        if target not in known:
            raise ControlError(
                f"feed {self.feed} has no line {target or 'to switch to'}; its lines are: {', '.join(known) or 'none'}",
                feed=self.feed,
            )
        return await self._switch(kind, self.plan.prefer, target, reason, COMMAND)

    async def _switch(
        self, kind: Literal["failover", "failback"], source: str | None, target: str, reason: str, trigger: str
    ) -> Switch:
        started_ns = self._clock.wall_ns()
        self._running = f"{kind} from {source} to {target} runs ({trigger}: {reason})"
        _log.warning("feed %s: %s", self.feed, self._running)
        switch = Switch(
            feed=self.feed, at_ns=0, kind=kind, source=source, target=target, reason=reason, trigger=trigger,
            started_ns=started_ns, finished_ns=0, ok=False,
        )  # fmt: skip
        try:
            async with self._lock:
                switch = await self._try(switch, source, target)
        finally:
            self._running = ""
            self._cool_until = self._clock.monotonic() + self._rules.cooldown_s
        if switch.ok:
            # an operator's choice stands until its line is lost; an automatic switch ends it
            self._deciding.chosen = target if trigger == COMMAND else None
        elif trigger != COMMAND:
            self._deciding.failures.blame(target, "switch failed")
        now = self._clock.wall_ns()
        switch = msgspec.structs.replace(switch, at_ns=now, finished_ns=now)
        self._record(switch)
        return switch

    async def _try(self, switch: Switch, source: str | None, target: str) -> Switch:
        """The switch, done or undone."""
        if source == target:
            return msgspec.structs.replace(switch, ok=True)
        before = self.plan
        # whatever ends this early (a cancellation, a bug): a plan that nobody wishes makes the next look apply one
        self.plan = replace(before, login=frozenset())
        try:
            goal = self._deciding.goal(target, before)
            measured = await self._switching.go(before, goal, source, target, alive=self._is_usable(source))
        except FeedgateError as error:
            return msgspec.structs.replace(switch, error=await self._restore(before, str(error)))
        self._in_force(goal)
        return Switching.measured(msgspec.structs.replace(switch, ok=True), measured, _SHOWN)

    def _is_usable(self, name: str | None) -> bool:
        return any(line.name == name and line.usable for line in self.facts())

    async def _restore(self, before: Plan, error: str) -> str:
        try:
            await self._control.apply(before)
        except FeedgateError as second:
            return f"{error}; and what was could not be restored: {second}"
        self.plan = before
        return error

    def _record(self, switch: Switch) -> None:
        self.history.append(switch)
        self.counts[f"{switch.kind}.{'ok' if switch.ok else 'failed'}"] += 1
        if switch.ok:
            _log.warning("feed %s: %s to %s done, %s ms", self.feed, switch.kind, switch.target, switch.latency_ms)
        else:
            _log.error("feed %s: %s to %s failed: %s", self.feed, switch.kind, switch.target, switch.error)
        self._tell(switch)
