"""What the messages share: the names of the endpoints, pages, and words of people."""

from __future__ import annotations

from typing import Annotated

import msgspec

ENDPOINTS = (
    *("last", "contracts", "subscriptions", "subscribe", "unsubscribe", "status", "figures"),
    *("failover", "failback", "failover_required", "restart_line", "rotate", "reload_catalogue"),
    *("coverage", "gaps", "switches"),
)

MAX_LIMIT = 100_000

Cursor = Annotated[int, msgspec.Meta(ge=0)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)]
Patterns = tuple[str, ...]
"""Shell globs over ``EXCHANGE.CODE``: ``SHFE.rb*``; a bare ``*`` is everything."""
Words = Annotated[str, msgspec.Meta(max_length=1000)]
Operator = Annotated[str, msgspec.Meta(max_length=200)]
"""Who asks, for the gateway's log; may be empty."""
