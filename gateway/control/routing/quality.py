"""The policy ``quality``: as ``all_hot``, and the line that is first most often is preferred."""

from __future__ import annotations

from typing import Final

from gateway.control.routing.standing import all_logged_in, best, prefer
from gateway.plan import Plan, View

HYSTERESIS: Final = 0.1
"""A line must be first for so much more of the ticks (0.1: ten in a hundred) before it is preferred."""


class Quality:
    """Shares that lie within the hysteresis of each other change nothing, so noise does not make lines take turns."""

    def __init__(self, hysteresis: float = HYSTERESIS) -> None:
        self._hysteresis = hysteresis

    def plan(self, view: View) -> Plan:
        """The plan for now."""
        candidates = best(view)
        if view.chosen in {line.name for line in candidates} or not candidates:
            return all_logged_in(view, prefer(view))
        fastest = max(candidates, key=lambda line: line.first_share)
        stay = next((line for line in candidates if line.name == view.current.prefer), None)
        if stay is None:
            # nobody to stay with: the order of preference, unless a line is clearly faster
            stay = candidates[0]
        clearly = fastest.first_share > stay.first_share + self._hysteresis
        return all_logged_in(view, fastest if clearly else stay)
