"""The policy ``primary_backup``: one line is active; another stands by, logged in (hot) or parked (cold)."""

from __future__ import annotations

from typing import Literal

from gateway.control.routing.standing import Standing, prefer, share_out, standing
from gateway.plan import LineFacts, Plan, View


class PrimaryBackup:
    """Hot: the preferred line and one backup are logged in and carry everything. Cold: only the preferred one is.

    Cold, and no line is good: every line tries, and the first to come up is preferred; the others are parked again.
    """

    def __init__(self, mode: Literal["hot", "cold"] = "hot") -> None:
        self._hot = mode == "hot"

    def plan(self, view: View) -> Plan:
        """The plan for now."""
        active = prefer(view)
        if active is None:
            return Plan(unplaced=view.wanted)
        login = self._login(view, active)
        carry, missing = share_out(view, login)
        return Plan(prefer=active.name, login=frozenset(line.name for line in login), carry=carry, unplaced=missing)

    def _login(self, view: View, active: LineFacts) -> list[LineFacts]:
        if standing(active) is Standing.DOWN:
            return list(view.lines)
        others = [line for line in view.lines if line is not active]
        largest = max((_room(line) for line in view.lines), default=0.0)
        if not self._hot or not others:
            # a parked line with more room cannot help: only one is logged in
            return [active]
        room = min(largest, len(view.wanted))
        # the backup must hold what the active line cannot; then: good, logged in already, first in order
        backup = min(
            others,
            key=lambda line: (standing(line), _room(line) < room, line.name not in view.current.login),
        )
        return [active, backup]


def _room(line: LineFacts) -> float:
    return float("inf") if line.capacity is None else float(line.capacity)
