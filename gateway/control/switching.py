"""One switch, step by step: wake the target beside the old line, wait for proof, let go of the old one, measure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import msgspec

from gateway.clock import Clock
from gateway.control.events import ContractLatency, Switch
from gateway.errors import FeedgateError
from gateway.model import Instrument
from gateway.plan import Carry, LineFacts, Plan

Phase = Literal["closed", "auction", "open", "break"]

_NS = 1_000_000_000
_MS = 1_000_000


class Phases(Protocol):
    """When markets are open. Answers from tables, so it may be asked often; moments are Unix nanoseconds."""

    def phase(self, instrument: Instrument, moment_ns: int) -> Phase:
        """Where the contract's product stands. ``"closed"`` for one that has no table."""

    def any_open(self, moment_ns: int) -> bool:
        """Whether anything that the gateway wants is in continuous trading."""


class FeedControl(Protocol):
    """What the controller needs of one feed. Called on the loop."""

    def facts(self) -> Sequence[LineFacts]:
        """The lines, in the settings' order of preference; ``failures`` and ``silent`` are filled in by others."""

    def wanted(self) -> frozenset[Instrument]:
        """All contracts that somebody wants. The same object while nothing changed, because it may be large."""

    async def apply(self, plan: Plan) -> None:
        """Wake the lines of ``login`` and park the others, make each want what it carries. Idempotent.

        Returns when the orders are given, not when they are carried out. All orders to subscribe are given before any
        order to unsubscribe or to park. Raises FeedgateError when an order cannot be given.
        """

    def confirmed(self, line: str) -> int:
        """Contracts whose subscription the vendor has confirmed in the line's present login."""

    def ticking(self, line: str) -> Iterable[Instrument]:
        """Contracts that this line has delivered."""

    def last_tick_ns(self, line: str, instrument: Instrument | None = None) -> int | None:
        """``recv_ns`` of the line's last tick, of one contract or of any."""

    def first_tick_after(self, line: str, instrument: Instrument | None, after_ns: int) -> int | None:
        """``recv_ns`` of the line's first tick later than that.

        The answer may be a later tick than the first; the latency is an upper bound then.
        """

    async def probe(self, line: str) -> bool:
        """Ask the line for a sign of life: subscribe a canary again and wait for its snapshot. At most a second."""


class SwitchError(FeedgateError):
    """A switch did not work out."""

    code = "switch"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRules:
    """Seconds."""

    up_s: float = 10.0
    """The target must be logged in within; the lines' own timers are 5 s for the front and 5 s for the login."""
    confirm_s: float = 5.0
    """Its first subscription must be confirmed within."""
    settle_s: float = 30.0
    """An old line that still delivers is kept until the new one has confirmed as many contracts, at most so long."""
    tick_s: float = 5.0
    """Its first tick must come within, while a market is open."""
    collect_s: float = 1.0
    """After the first tick, waited for those of other contracts, to measure them."""
    active_s: float = 5.0
    """Contracts without a tick in the old line's last so many seconds are quiet and not measured."""
    look_s: float = 0.01


@dataclass(frozen=True, slots=True)
class Measured:
    """From the last tick of the old line to the first of the new one, nanoseconds."""

    overall_ns: int | None
    contracts: dict[Instrument, int]


class FirstTicks:
    """From the old line's last ticks to the new line's first ones. Look often: a later look sees a later tick.

    A new line that is up already may have ticked between the two; one that has to log in first begins anew, and what
    it delivered in an earlier life is no beginning.
    """

    def __init__(
        self, control: FeedControl, source: str | None, target: str, *, alive: bool = True, active_s: float
    ) -> None:
        """``alive``: the old line still delivers, so that its last tick is the one before it is let go.

        Otherwise its last tick is the one from before the switch, also if it speaks again meanwhile. Contracts without
        a tick in its last ``active_s`` are quiet and not measured.
        """
        self._control, self._source, self._target, self._alive = control, source, target, alive
        self._last_ns = control.last_tick_ns(source) if source else None
        self._marks: dict[Instrument, int] = {}
        self._first: dict[Instrument, int] = {}
        self._overall: int | None = None
        if source is not None:
            since = (self._last_ns or 0) - round(active_s * _NS)
            marks = {one: control.last_tick_ns(source, one) or 0 for one in control.ticking(source)}
            self._marks = {one: moment for one, moment in marks.items() if moment > since}
        self._wanting = set(self._marks)
        fresh = not any(one.name == target and one.state.is_up for one in control.facts())
        self._earlier = {one: (control.last_tick_ns(target, one) or 0) if fresh else 0 for one in self._marks}
        self._earlier_any = (control.last_tick_ns(target) or 0) if fresh else 0

    def all_seen(self) -> bool:
        """Look; whether there is nothing left to look for."""
        if self._last_ns is None:
            return True
        after = self._control.first_tick_after
        if self._overall is None:
            self._overall = after(self._target, None, max(self._last_ns, self._earlier_any))
        for one in list(self._wanting):
            moment = after(self._target, one, max(self._marks[one], self._earlier[one]))
            if moment is not None:
                self._first[one] = moment
                self._wanting.discard(one)
        return not self._wanting

    def measured(self) -> Measured:
        """What was seen."""
        source, control = self._source, self._control
        if source is None or self._last_ns is None:
            return Measured(None, {})
        self.all_seen()
        if not self._alive:
            return Measured(
                None if self._overall is None else max(0, self._overall - self._last_ns),
                {one: max(0, moment - self._marks[one]) for one, moment in self._first.items()},
            )
        ended = control.last_tick_ns(source) or self._last_ns
        return Measured(
            None if self._overall is None else max(0, self._overall - ended),
            {
                one: max(0, moment - (control.last_tick_ns(source, one) or self._marks[one]))
                for one, moment in self._first.items()
            },
        )


class Switching:
    """Carries out the switches of one feed."""

    def __init__(
        self,
        control: FeedControl,
        phases: Phases,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        rules: SwitchRules,
    ) -> None:
        self._control, self._phases, self._clock, self._sleep, self._rules = control, phases, clock, sleep, rules

    async def go(self, before: Plan, goal: Plan, source: str | None, target: str, *, alive: bool = True) -> Measured:
        """From one plan to the other. Raises SwitchError that says what the target did not do; undo is the caller's.

        ``alive``: the source is usable, the switch is a wish and no rescue.
        """
        rules, control = self._rules, self._control
        started_ns = self._clock.wall_ns()
        first = FirstTicks(control, source, target, alive=alive, active_s=rules.active_s)
        await control.apply(beside(before, goal))
        if not await self._until(lambda: self._up(target), rules.up_s):
            raise SwitchError(f"{target} did not log in within {rules.up_s:g} s ({self._state(target)})")
        if goal.carries(target, control.wanted()):
            proof = lambda: control.confirmed(target) > 0 or self._ticked(target, started_ns)  # noqa: E731 - one line
            if not await self._until(proof, rules.confirm_s):
                raise SwitchError(f"{target} confirmed no subscription within {rules.confirm_s:g} s")
            await self._wait_for_tick(target, started_ns)
            if self._phases.any_open(self._clock.wall_ns()):
                await self._until(first.all_seen, rules.collect_s)
            await self._until(lambda: self._settled(first, goal, source, target), rules.settle_s)
            self._must_be_up(target)
        await control.apply(goal)
        # with the markets closed, what a login brings is the snapshot of hours ago: nothing to measure with
        return first.measured() if self._phases.any_open(self._clock.wall_ns()) else Measured(None, {})

    def _settled(self, first: FirstTicks, goal: Plan, source: str | None, target: str) -> bool:
        """Whether the old line may be let go: while it delivers what the new one does not yet, that would be a gap."""
        first.all_seen()
        control = self._control
        if source is None or not self._up(source) or not self._up(target):
            return True
        whole = min(control.confirmed(source), len(goal.carries(target, control.wanted())))
        return control.confirmed(target) >= whole

    async def _wait_for_tick(self, target: str, started_ns: int) -> None:
        rules, phases, clock = self._rules, self._phases, self._clock
        ticked = await self._until(
            lambda: self._ticked(target, started_ns) or not phases.any_open(clock.wall_ns()), rules.tick_s
        )
        if not ticked and not await self._control.probe(target):
            raise SwitchError(f"no tick from {target} within {rules.tick_s:g} s while the market is open")
        self._must_be_up(target)

    def _must_be_up(self, target: str) -> None:
        if not self._up(target):
            raise SwitchError(f"{target} was lost again ({self._state(target)})")

    def _ticked(self, line: str, after_ns: int) -> bool:
        return (self._control.last_tick_ns(line) or 0) > after_ns

    def _up(self, line: str) -> bool:
        return any(one.name == line and one.state.is_up for one in self._control.facts())

    def _state(self, line: str) -> str:
        return next((f"it is {one.state.value}" for one in self._control.facts() if one.name == line), "it is gone")

    async def _until(self, done: Callable[[], bool], limit_s: float) -> bool:
        until = self._clock.monotonic() + limit_s
        while not done():
            if self._clock.monotonic() >= until:
                return False
            await self._sleep(self._rules.look_s)
        return True

    @staticmethod
    def measured(switch: Switch, found: Measured, shown: int) -> Switch:
        """The switch with what was measured; the slowest contracts first, at most ``shown``."""
        slowest = sorted(found.contracts.items(), key=lambda item: item[1], reverse=True)[:shown]
        return msgspec.structs.replace(
            switch,
            latency_ms=None if found.overall_ns is None else found.overall_ns / _MS,
            contracts=tuple(ContractLatency(instrument=str(one), latency_ms=latency / _MS) for one, latency in slowest),
            measured=len(found.contracts),
        )


def beside(before: Plan, goal: Plan) -> Plan:
    """Both plans at once: nobody is parked and nothing is taken from a line; preferred is who was."""
    carry: dict[str, Carry] = dict(before.carry)
    for line, more in goal.carry.items():
        had = carry.get(line, frozenset())
        carry[line] = "all" if isinstance(more, str) or isinstance(had, str) else had | more
    return replace(before, login=before.login | goal.login, carry=carry, unplaced=before.unplaced & goal.unplaced)
