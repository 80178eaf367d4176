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

    async def go(self, before: Plan, goal: Plan, source: str | None, target: str) -> Measured:
        """From one plan to the other. Raises SwitchError that says what the target did not do; undo is the caller's."""
        rules, control = self._rules, self._control
        started_ns = self._clock.wall_ns()
        marks = self._marks(source)
        last_ns = control.last_tick_ns(source) if source else None
        await control.apply(beside(before, goal))
        if not await self._until(lambda: self._up(target), rules.up_s):
            raise SwitchError(f"{target} did not log in within {rules.up_s:g} s ({self._state(target)})")
        if goal.carries(target, control.wanted()):
            proof = lambda: control.confirmed(target) > 0 or self._ticked(target, started_ns)  # noqa: E731 - one line
            if not await self._until(proof, rules.confirm_s):
                raise SwitchError(f"{target} confirmed no subscription within {rules.confirm_s:g} s")
            await self._wait_for_tick(target, started_ns)
        await control.apply(goal)
        return await self._measure(source, target, marks, last_ns)

    async def _wait_for_tick(self, target: str, started_ns: int) -> None:
        rules, phases, clock = self._rules, self._phases, self._clock
        ticked = await self._until(
            lambda: self._ticked(target, started_ns) or not phases.any_open(clock.wall_ns()), rules.tick_s
        )
        if not ticked and not await self._control.probe(target):
            raise SwitchError(f"no tick from {target} within {rules.tick_s:g} s while the market is open")
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

    # -- measuring ---------------------------------------------------------------------------------------------

    def _marks(self, source: str | None) -> dict[Instrument, int]:
        """The old line's last ticks, of contracts that were not quiet."""
        if source is None:
            return {}
        control = self._control
        since = (control.last_tick_ns(source) or 0) - round(self._rules.active_s * _NS)
        marks = {one: control.last_tick_ns(source, one) or 0 for one in control.ticking(source)}
        return {one: moment for one, moment in marks.items() if moment > since}

    async def _measure(
        self, source: str | None, target: str, marks: dict[Instrument, int], last_ns: int | None
    ) -> Measured:
        if source is None or last_ns is None or not self._phases.any_open(self._clock.wall_ns()):
            return Measured(None, {})
        first: dict[Instrument, int] = {}
        wanting = set(marks)

        def all_seen() -> bool:
            for one in list(wanting):
                moment = self._control.first_tick_after(target, one, marks[one])
                if moment is not None:
                    first[one] = moment
                    wanting.discard(one)
            return not wanting

        await self._until(all_seen, self._rules.collect_s)
        overall = self._control.first_tick_after(target, None, last_ns)
        # an old line that was alive went on ticking until it was let go: then the later of its ticks counts
        ended = self._control.last_tick_ns(source) or last_ns
        return Measured(
            None if overall is None else max(0, overall - ended),
            {
                one: max(0, moment - (self._control.last_tick_ns(source, one) or marks[one]))
                for one, moment in first.items()
            },
        )

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
