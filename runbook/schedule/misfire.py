"""What becomes of moments that have passed: the newest is run or missed, the older ones give way to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runbook.schedule.jobs import Occurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about the moments of one job that are due."""

    do: Literal["run", "miss"]
    occurrence: Occurrence
    """The newest."""
    lateness: timedelta
    passed_over: int
    """Older moments that were due too; nothing is done for them."""

    def late(self, on_time_s: float) -> bool:
        return self.lateness > timedelta(seconds=on_time_s)


def decide(occurrences: Sequence[Occurrence], now: datetime) -> Decision | None:
    """For the moments that are due by ``now``, in order; None when there are none.

    Deadlines never go back from one moment to the next, so when the newest is past its own, all are.
    """
    if not occurrences:
        return None
    newest = occurrences[-1]
    in_time = newest.deadline is None or now <= newest.deadline
    return Decision(
        do="run" if in_time else "miss",
        occurrence=newest,
        lateness=max(now - newest.moment, timedelta()),
        passed_over=len(occurrences) - 1,
    )
