"""What a fault can do to the front of a line, whatever the source."""

from __future__ import annotations

from typing import Protocol

from tests.faults.ability import Ability
from tests.faults.style import Style


class Front(Protocol):
    """One line's front. Every method acts at once and keeps the books of :class:`Ability`."""

    ability: Ability

    async def refuse(self) -> None:
        """Close the listener and all connections."""

    async def serve(self) -> None:
        """Listen and serve again as a good front does."""

    async def drop(self) -> None:
        """Close the connections; new ones are welcome."""

    async def accept_only(self) -> None:
        """Close the connections; new ones are accepted and never answered."""

    async def refuse_logins(self) -> None:
        """Refuse the logins to come; sessions that stand are left alone."""

    async def garbage(self) -> None:
        """Send what is no message into the session that stands, and to whatever is asked next."""

    async def storm(self) -> None:
        """Close the connections and each new one at once, or what else makes the source call back without end."""

    def distort(self, style: Style) -> None:
        """Deliver ticks in this style from now on."""
