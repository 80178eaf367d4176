"""Time-zone data: the market's zone is known and is +08:00."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding

ZONE: Final = "Asia/Shanghai"
_OFFSET: Final = timedelta(hours=8)
_INSTALL: Final = "apt-get install tzdata, or pip install tzdata"


def check(inspection: Inspection) -> Sequence[Finding]:
    """Our own times need no data, because Shanghai has one fixed offset; the scheduler and other libraries do."""
    return (judge(inspection, ZONE),)


def judge(inspection: Inspection, zone: str) -> Finding:
    """Whether a zone's data is there and says what it should."""
    now = datetime.fromtimestamp(inspection.clock.wall_ns() / 1e9, UTC)
    try:
        offset = now.astimezone(zoneinfo.ZoneInfo(zone)).utcoffset()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return inspection.lacking(f"there is no time-zone data for {zone}", _INSTALL)
    if offset != _OFFSET:
        return inspection.lacking(f"the time-zone data says that {zone} is {offset} from UTC, not 8 hours", _INSTALL)
    return Finding.ok(f"{zone} is known, +08:00")


CHECK = Check(name="timezone", title="Time-zone data", run=check)
