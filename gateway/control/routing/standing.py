"""How good a line is, and which of several is preferred. The rule that all built-in routers share.

Source: the operators' contract (§3 ``ACTIVE_FEED``; §8 "failover when the primary fails more than 3 times").
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.model import Instrument, LineState
from gateway.plan import ALL, Carry, LineFacts, Plan, View

MOST_FAILURES: Final = 3
"""More than so many failures within the window make a line shaky, even while it is up."""

_ON_ITS_WAY: Final = (LineState.IDLE, LineState.CONNECTING, LineState.CONNECTED)


class Standing(enum.IntEnum):
    """Lower is better. A usable line is always better than one that is not."""

    GOOD = 0
    SHAKY = 1
    """Usable, but failed too often within the window."""
    SUSPECT = 2
    UNTRIED = 3
    """Parked, or on its way for the first time since it last failed."""
    DOWN = 4
    """Lost, silent, or failing to come up."""


def standing(line: LineFacts) -> Standing:
    """How good a line is."""
    if line.usable:
        if line.suspect:
            return Standing.SUSPECT
        return Standing.SHAKY if line.failures > MOST_FAILURES else Standing.GOOD
    parked = line.role == "cold" and not line.state.is_up
    if not line.failures and not line.silent and (parked or line.state in _ON_ITS_WAY):
        return Standing.UNTRIED
    return Standing.DOWN


def best(view: View) -> list[LineFacts]:
    """The lines of the best standing that there is, in order of preference."""
    if not view.lines:
        return []
    top = min(standing(line) for line in view.lines)
    return [line for line in view.lines if standing(line) is top]


def prefer(view: View) -> LineFacts | None:
    """The line to prefer, among the best that there are.

    What the operator chose; else the first in order if it has never failed (so that a backup that logged in sooner at
    the start gives way to it); else the current one; else the first in order.
    A preferred line that failed and came back is not returned to by itself: going back is a decision.
    """
    candidates = best(view)
    if not candidates:
        return None
    by_name = {line.name: line for line in candidates}
    if view.chosen in by_name:
        return by_name[view.chosen]
    first = candidates[0]
    if first is view.lines[0] and first.usable and not first.restarts and not first.failures:
        return first
    return by_name.get(view.current.prefer or "", first)


def share_out(view: View, login: Sequence[LineFacts]) -> tuple[dict[str, Carry], frozenset[Instrument]]:
    """Every line carries everything, as far as its login allows; and what is carried by none that is usable.

    The first contracts in alphabetical order go to a line with too little room: with two equal lines both carry
    the same, which is what redundancy asks for. ``shard`` is for more contracts than one login may have.
    """
    carry: dict[str, Carry] = {}
    for line in login:
        if line.capacity is None or line.capacity >= len(view.wanted):
            carry[line.name] = ALL
        else:
            carry[line.name] = frozenset(sorted(view.wanted)[: line.capacity])
    return carry, unplaced(view, carry)


def unplaced(view: View, carry: Mapping[str, Carry]) -> frozenset[Instrument]:
    """Wanted contracts that no line was given."""
    left = view.wanted
    for carried in carry.values():
        if isinstance(carried, str):
            return frozenset()
        left = left - carried
    return left


def all_logged_in(view: View, preferred: LineFacts | None) -> Plan:
    """Every line logged in and carrying everything."""
    carry, missing = share_out(view, view.lines)
    return Plan(
        prefer=preferred.name if preferred else None,
        login=frozenset(line.name for line in view.lines),
        carry=carry,
        unplaced=missing,
    )
