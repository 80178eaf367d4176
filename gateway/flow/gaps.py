"""What a gap is called in the ledger's rows, and what was traded during one. The values are in ``gateway.gaps``."""

from __future__ import annotations

from gateway.errors import LedgerError
from gateway.gaps import Gap, GapEvent, Mark, Past, Seen, StoreHealth, Watched

__all__ = [
    "CLOSED",
    "MEASURED",
    "OPENED",
    "Gap",
    "GapEvent",
    "LedgerError",
    "Mark",
    "Past",
    "Seen",
    "StoreHealth",
    "Watched",
    "lost_volume",
]

OPENED, CLOSED, MEASURED = "opened", "closed", "measured"


def lost_volume(before: Seen | None, after: Seen | None, trading_day: int) -> int | None:
    """Contracts traded between two ticks, for a gap of ``trading_day``; None when the ticks cannot say.

    The cumulative volume begins anew with the trading day, so a ``before`` of an earlier one counts as 0. A volume
    that goes back is no evidence.
    """
    if after is None:
        return None
    if before is not None and before.trading_day == after.trading_day:
        lost = after.volume - before.volume
        return lost if lost >= 0 else None
    if after.trading_day != trading_day or (before is not None and before.trading_day > trading_day):
        return None
    if before is None:
        return 0 if after.volume == 0 else None
    return after.volume
