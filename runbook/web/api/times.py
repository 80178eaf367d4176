"""Times of the API: RFC 3339 with milliseconds and +08:00 on the way out, any offset on the way in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from gateway.model import SHANGHAI
from runbook.runner.run import shanghai
from runbook.web.errors import ApiError, WrongField

Moment = Annotated[str, Meta(description="RFC 3339, +08:00", examples=["2026-11-23T09:00:00.000+08:00"])]
MaybeMoment = Annotated[
    str | None, Meta(description="RFC 3339, +08:00; null: never", examples=["2026-11-23T09:00:00.000+08:00"])
]

NS: Final = 1_000_000_000


def moment(at_ns: int | None) -> str | None:
    """Unix nanoseconds as written; None for nothing and 0."""
    return shanghai(at_ns) if at_ns else None


def age_s(now_ns: int, had_at_ns: int) -> float | None:
    """Seconds since it was had, to a millisecond; None: never had."""
    return round(max(0, now_ns - had_at_ns) / NS, 3) if had_at_ns else None


def parse_moment(text: str, field: str) -> int:
    """Unix nanoseconds of what somebody wrote; without an offset it is Shanghai. Raises ApiError (400)."""
    try:
        # an offset's plus sign is a blank in a query that was not quoted
        found = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
        if found.tzinfo is None:
            found = found.replace(tzinfo=SHANGHAI)
        return round(found.timestamp() * NS)
    except (ValueError, OverflowError):
        message = "is no time; write 2026-11-23 or 2026-11-23T08:45:00+08:00"
        wrong = WrongField(field=field, message=message, source="query")
        raise ApiError(400, "usage", f"{field} {message}", errors=[wrong]) from None
