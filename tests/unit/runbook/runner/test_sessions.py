"""The word for a moment in the records."""

from __future__ import annotations

from datetime import datetime

import pytest

from gateway.calendar import CalendarError, load_calendar
from gateway.model import SHANGHAI
from runbook.runner import session_namer


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-03-04 09:30", "day"),
        ("2026-03-04 10:20", "day"),  # a break belongs to its session
        ("2026-03-04 21:30", "night"),
        ("2026-03-05 02:10", "night"),  # the longest products
        ("2026-03-05 03:00", "closed"),
        ("2026-03-04 18:00", "closed"),
        ("2026-03-07 10:00", "closed"),
    ],
)
def test_a_moment_is_named_by_any_products_session(moment: str, name: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=SHANGHAI)
    assert session_namer(load_calendar())(int(at.timestamp() * 1e9)) == name


def test_outside_the_calendar_it_does_not_guess() -> None:
    with pytest.raises(CalendarError):
        session_namer(load_calendar())(4_000_000_000_000_000_000)
