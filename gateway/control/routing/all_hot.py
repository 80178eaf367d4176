"""The policy ``all_hot``: every line logged in, every line carries everything, the arbiter takes the first copy."""

from __future__ import annotations

from gateway.control.routing.standing import all_logged_in, prefer
from gateway.plan import Plan, View


class AllHot:
    """Nothing to switch when a line dies: the others deliver already."""

    def plan(self, view: View) -> Plan:
        """The plan for now."""
        return all_logged_in(view, prefer(view))
