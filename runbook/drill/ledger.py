"""Gaps that the gateway's ledger got since a moment."""

from __future__ import annotations

from typing import Any

from gateway.client import Client
from runbook.drill.backlog import UnmeasuredError

_SHOWN = 200


async def new_gaps(client: Client, feed: str, since_ns: int) -> dict[str, Any]:
    """Those of a feed that began at ``since_ns`` or later. Raises UnmeasuredError when nobody keeps watch."""
    status = await client.status()
    if status.ledger.degraded or status.ledger.lost:
        raise UnmeasuredError(
            f"the gap ledger is incomplete ({status.ledger.reason or 'rows were lost'}); free its disk, drill again"
        )
    reply = await client.gaps(feed=feed)
    watched = [row for row in reply.watched if row.feed == feed and row.to_ns > since_ns]
    if not (reply.known and watched):
        raise UnmeasuredError(
            f"the gap ledger does not watch feed {feed} now, so gaps could not be measured; drill while it trades"
        )
    rows = [row for row in reply.gaps if row.feed == feed and row.start_ns >= since_ns]
    return {
        "gaps": len(rows),
        "gaps_open": sum(row.end_ns is None for row in rows),
        "gap_contracts": len({row.instrument for row in rows}),
        "gap_longest_s": max((row.duration_s for row in rows if row.duration_s is not None), default=None),
        "gap_lost_volume": sum(row.lost_volume or 0 for row in rows),
        "gap_rows": [
            {"instrument": row.instrument, "start": row.start, "end": row.end, "reason": row.reason}
            for row in rows[:_SHOWN]
        ],
    }
