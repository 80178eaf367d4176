"""The front of a plain ``sim`` line, which has none: what is known of it is what the gateway says."""

from __future__ import annotations

from tests.faults.ability import Ability
from tests.faults.style import Style


class ToldFront:
    """Keeps the books; everything that needs a front is refused. Implements :class:`tests.faults.front.Front`."""

    def __init__(self) -> None:
        self.ability = Ability()
        self._since_ns = 0

    def told(self, *, stands: bool, since_ns: int) -> None:
        """What the control service says of the line; ``since_ns`` tells one session from another."""
        self.ability.session(stands=stands, fresh=since_ns != self._since_ns)
        if stands:
            self._since_ns = since_ns

    async def refuse(self) -> None:
        raise NotImplementedError

    serve = drop = accept_only = refuse_logins = garbage = storm = refuse

    def distort(self, style: Style) -> None:
        raise NotImplementedError
