"""Short ways to write moments."""

from __future__ import annotations

from datetime import datetime

from gateway.model import SHANGHAI


def at(text: str) -> datetime:
    """``"2026-11-23 09:00"``, Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)
