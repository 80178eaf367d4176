"""The books of a line, over all its incarnations."""

from __future__ import annotations

from collections import Counter

from gateway.lines.cells import OVERFLOWED, RECEIVED, REJECTED, Cells


class LineCounts:
    """Stops 1 to 3 of one line: ``received = delivered + dropped + in the line``."""

    def __init__(self) -> None:
        self.received = 0
        self.delivered = 0
        self.dropped: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        """Why records were rejected; their sum is ``dropped["rejected"]`` when the line is at rest."""
        self.disconnects = 0
        self.restarts = 0

    def with_running(self, cells: Cells | None) -> LineCounts:
        """The counts as of now: with what the running process has counted in its shared page."""
        total = LineCounts()
        total.received, total.delivered = self.received, self.delivered
        total.dropped, total.rejects = Counter(self.dropped), Counter(self.rejects)
        total.disconnects, total.restarts = self.disconnects, self.restarts
        if cells is not None:
            total._take(cells)
        return total

    def close(self, cells: Cells, delivered: int, *, reason: str) -> None:
        """An incarnation is over: what it received and neither delivered nor dropped died with it, as ``reason``."""
        received, dropped = self._take(cells)
        lost = received - dropped - delivered
        if lost:
            self.dropped[reason] += lost

    def _take(self, cells: Cells) -> tuple[int, int]:
        view = cells.view
        received, rejected, overflowed = view[RECEIVED], view[REJECTED], view[OVERFLOWED]
        self.received += received
        self.dropped["rejected"] += rejected
        self.dropped["queue_full"] += overflowed
        return received, rejected + overflowed
