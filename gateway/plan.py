"""What a router is given and what it answers. Values only; a router is a pure function from a View to a Plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, runtime_checkable

from gateway.model import Instrument, LineState

ALL: Final = "all"
"""The word for everything wanted, in ``Plan.carry``."""
Carry = Literal["all"] | frozenset[Instrument]
"""``"all"``: everything wanted, now and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFacts:
    """One line as a router sees it."""

    name: str
    """``ctp:primary``"""
    state: LineState
    restarts: int = 0
    """Faults since the gateway started: ends of the line's process and verdicts of the watchdog."""
    failures: int = 0
    """Faults within the failover's window (``failures_window_s``)."""
    capacity: int | None = None
    """Most contracts of one login; None: no limit."""
    first_share: float = 0.0
    """Share of the published ticks for which this line was the first, 0 to 1, over a recent stretch."""
    suspect: bool = False
    """The arbiter publishes nothing of it."""
    silent: bool = False
    """The watchdog's verdict: logged in, in session, and nothing comes."""
    role: Literal["hot", "cold"] = "hot"
    """Cold: parked on purpose, it neither connects nor fails."""
    since_ns: int = 0
    """When it entered its state."""

    @property
    def usable(self) -> bool:
        """Logged in and not silent."""
        return self.state.is_up and not self.silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who does what."""

    prefer: str | None = None
    """The line that is called active. Whoever is not preferred still publishes when it is hot and first."""
    login: frozenset[str] = frozenset()
    """Lines to keep logged in; the others are parked."""
    carry: Mapping[str, Carry] = field(default_factory=dict)
    """What each line of ``login`` subscribes to."""
    unplaced: frozenset[Instrument] = frozenset()
    """Wanted contracts for which no line has room, or that no line can carry now. Never dropped silently."""

    def carries(self, line: str, wanted: Collection[Instrument]) -> frozenset[Instrument]:
        """The contracts of a line, with ``"all"`` spelt out."""
        carried = self.carry.get(line, frozenset())
        return frozenset(wanted) if isinstance(carried, str) else carried


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that a router may look at."""

    lines: tuple[LineFacts, ...]
    """In order of preference (the settings' order, ``ACTIVE_FEED`` first)."""
    wanted: frozenset[Instrument] = frozenset()
    current: Plan = Plan()
    chosen: str | None = None
    """The line that an operator asked for: it comes before the order of preference while it is as good as others."""

    def line(self, name: str | None) -> LineFacts | None:
        """The facts of that line."""
        return next((line for line in self.lines if line.name == name), None)


@runtime_checkable
class AccountRouter(Protocol):
    """Decides which line carries what. Same input, same answer; called on the loop, so it must not block.

    What every router promises is written down as tests: ``gateway.testing.router_contract.RouterContract``.
    """

    def plan(self, view: View) -> Plan:
        """The plan for now. ``plan(view)`` with ``view.current`` set to its own answer gives that answer again."""
