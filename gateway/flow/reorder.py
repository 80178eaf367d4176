"""The reorder window: what lines brought waits a little, so that a slower line can fill what a faster one lost."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from gateway.flow.suspicion import LineRecord
from gateway.flow.window import Arrival, Contract, Key


class Pending(NamedTuple):
    """A tick that waits."""

    key: Key
    due: float
    arrival: Arrival


class Slot(NamedTuple):
    """One snapshot of a merged run: line index → the tick by which the line brought it."""

    items: dict[int, Pending]

    @property
    def due(self) -> float:
        return min(item.due for item in self.items.values())


def merge(runs: dict[int, list[Pending]]) -> list[Slot]:
    """Merge what lines brought under one key into one order that keeps each line's own order.

    Equal snapshots are one; the second showing of a book in a line's run is another than the first. What no line
    puts in order goes by its first arrival. Where lines contradict each other (a book that returned, and a line that
    lost one of its showings), the first arrival decides, too.
    """
    slots: dict[tuple[bytes, int], Slot] = {}
    rows: dict[int, deque[tuple[bytes, int]]] = {}
    for line, run in runs.items():
        shown: Counter[bytes] = Counter()
        rows[line] = deque()
        for item in run:
            book = item.arrival[5]
            label = (book, shown[book])
            shown[book] += 1
            rows[line].append(label)
            slots.setdefault(label, Slot({})).items[line] = item
    merged = []
    while slots:
        fronts = {row[0] for row in rows.values() if row}
        free = [one for one in fronts if all(rows[line][0] == one for line in slots[one].items)]
        label = min(free or fronts, key=lambda one: slots[one].due)
        slot = slots.pop(label)
        for line in slot.items:
            rows[line].remove(label)
        merged.append(slot)
    return merged


Out = Callable[[Contract, LineRecord, Arrival], None]


class ReorderWindow:
    """Holds ticks for ``reorder_s`` at most; ``out`` gets what is to be published, in order.

    A snapshot leaves when it is due, or sooner when every line that is up has brought it: since each line is in order,
    nothing older can come any more. Bounded by the lines' rate times ``reorder_s``.
    """

    def __init__(self, reorder_s: float, records: list[LineRecord], out: Out) -> None:
        self.reorder_s = reorder_s
        self.waiting = 0
        """Ticks held now."""
        self._records = records
        self._out = out
        self._timeline: deque[tuple[float, Contract]] = deque()

    def hold(self, record: LineRecord, contract: Contract, arrival: Arrival, now: float) -> None:
        """Let a tick wait. A tick that was overtaken by its own line's newer ones is put in order."""
        _topic, day, ns, volume, _recv_ns, market = arrival
        key = (day, volume, ns)
        while len(contract.queues) < len(self._records):
            contract.queues.append([])
        queue = contract.queues[record.index]
        due = now + self.reorder_s
        at = bisect_right(queue, key, key=lambda item: item.key)
        again = queue[at - 1 : at] if at == len(queue) else [item for item in queue[:at] if item.key == key]
        if any(item.arrival[5] == market for item in again):
            record.dropped["repeat"] += 1
            return
        queue.insert(at, Pending(key, due, arrival))
        self.waiting += 1
        self._timeline.append((due, contract))
        self._release_agreed(contract)

    def is_holding(self, record: LineRecord, contract: Contract, key: Key) -> bool:
        """Whether the line's last tick that waits in this contract has this key."""
        queue = contract.queues[record.index] if record.index < len(contract.queues) else []
        return bool(queue) and queue[-1].key == key

    def _release_agreed(self, contract: Contract) -> None:
        while True:
            fronts = {}
            for record, queue in zip(self._records, contract.queues, strict=False):
                if queue:
                    fronts[record.index] = queue[0]
                elif record.up and not record.suspect:
                    return
            if not fronts or len({item.arrival[5] for item in fronts.values()}) > 1:
                return
            self._emit(contract, Slot(fronts))

    def next_due(self) -> float | None:
        """When :meth:`release` has work (monotonic seconds)."""
        return self._timeline[0][0] if self._timeline else None

    def release(self, now: float) -> None:
        """Let go what is due, and everything before it in its contract."""
        timeline = self._timeline
        while timeline and timeline[0][0] <= now:
            contract = timeline.popleft()[1]
            due = [item.key for queue in contract.queues for item in queue if item.due <= now]
            if due:
                self._release_until(contract, max(due), now)

    def _release_until(self, contract: Contract, last: Key, now: float) -> None:
        runs: dict[Key, dict[int, list[Pending]]] = {}
        for line, queue in enumerate(contract.queues):
            for item in queue[: bisect_right(queue, last, key=lambda item: item.key)]:
                runs.setdefault(item.key, {}).setdefault(line, []).append(item)
        for key in sorted(runs):
            slots = merge(runs[key])
            if key == last:
                # later ones of the same key may still be joined by what a slower line has between them
                while slots[-1].due > now:
                    slots.pop()
            for slot in slots:
                self._emit(contract, slot)

    def _emit(self, contract: Contract, slot: Slot) -> None:
        first = min(slot.items, key=lambda line: slot.items[line].due)
        for line, item in slot.items.items():
            contract.queues[line].remove(item)
        self.waiting -= len(slot.items)
        self._out(contract, self._records[first], slot.items[first].arrival)
        for line in slot.items:
            contract.cursors[line] = len(contract.entries)
            if line != first:
                self._records[line].dropped["copy"] += 1
