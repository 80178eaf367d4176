"""Which session a moment belongs to, for the records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from gateway.calendar import Calendar
from gateway.model import SHANGHAI


def session_namer(calendar: Calendar, products: Iterable[str] | None = None) -> Callable[[int], str]:
    """``day``, ``night`` or ``closed`` at a moment (Unix nanoseconds): the session of any of the products.

    A session includes its breaks. Without ``products`` those of the calendar count. The answer raises
    CalendarError outside the calendar; the runner records ``unknown`` then. For one thread, as the calendar is.
    """
    groups = calendar.same_hours(products or calendar.products)
    known = [group[0] for group in groups]

    def session(wall_ns: int) -> str:
        moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, SHANGHAI)
        found = (calendar.session_at(product, moment) for product in known)
        return next((session.kind for session in found if session is not None), "closed")

    return session
