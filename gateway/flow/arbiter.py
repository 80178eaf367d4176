"""Several lines carry the same market; each snapshot of it is published once, from whichever line has it first.

CTP snapshots carry no sequence number and may share a stamp, so identity is found by *alignment*. Each line is in order
in itself. Per contract the arbiter keeps the last published snapshots and, for each line, a cursor into them: what the
line should deliver next. "Newer" means a greater (trading day, cumulative volume, exchange time). A tick is

1. equal, byte for byte, to a published snapshot at or after its line's cursor: a **copy**; the cursor moves behind it;
2. newer than the newest published one: **published**; the cursor moves to the end;
3. of the same key as the newest, and in no known place: **published** if no other line that is up has got further
   than this one (a correction of the book without a trade, also a return to an earlier book); otherwise **late**. A
   line that is behind its peer and brings something unknown brings either what the peer lost (older than what is out)
   or what follows something that it lost itself; nothing tells the two apart, and an older book must never overwrite a
   newer one. In the second case the peer, which is healthy, brings the snapshot itself;
4. anything else is older than what is out and **drops**; the reason says why.

With a reorder window nothing is published before it has waited ``reorder_s`` (or all lines that are up have brought
it): what the lines brought meanwhile is merged under each key (:func:`gateway.flow.reorder.merge`). Lines whose lag to
each other stays within the window then fill each other's losses.

Guarantees: keys never fall within a contract (but for a snapshot that is withdrawn, an event); no snapshot is published
twice; each tick that arrives before a newer one of its contract is out is published. Two cases cannot be decided by
anybody, and only under one key: books that return to an earlier state while a line loses one of these very snapshots,
and a line that is not in order in itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gateway.clock import Clock
from gateway.flow.belief import Belief
from gateway.flow.reorder import ReorderWindow
from gateway.flow.suspicion import ArbiterEvent, ArbiterRules, LineRecord
from gateway.flow.verdicts import Verdicts
from gateway.flow.window import Arrival, Contract
from gateway.model import LineId

__all__ = ["Arbiter", "ArbiterEvent", "ArbiterRules", "Arrival"]


class Arbiter:
    """The arbiter of one feed. All methods on the loop; none blocks.

    Ticks, per line: ``in = published + dropped``, plus what waits in the reorder window. Reasons of drops: ``copy``;
    ``repeat`` (the same bytes again from the same line); ``late`` (another line was faster); ``stale`` (older than what
    this very line brought); ``junk`` (old, before anything else after a login); ``night_dated_late``, ``volume_back``,
    ``limits``, ``malformed`` (see :mod:`gateway.flow.suspicion`); ``disordered`` (an earlier book again, from a line
    that was out of order of late); ``suspect`` (anything of a line that is not believed).

    A line that is not believed is still published when it is the last one, tick by tick, if the tick itself is sound.
    """

    def __init__(
        self,
        lines: Sequence[LineId],
        *,
        clock: Clock,
        events: Callable[[ArbiterEvent], None],
        reorder_s: float = 0.0,
        rules: ArbiterRules | None = None,
    ) -> None:
        """``events`` is called on the loop, within the other methods; it must return at once and not raise."""
        self.rules = rules or ArbiterRules()
        self.reorder_s = reorder_s
        self.dropped: dict[LineId, Counter[str]] = {}
        """Line → reason → ticks. Lines that were removed keep their counts."""
        self._monotonic = clock.monotonic
        self._belief = Belief(self.rules, events)
        self._records = self._belief.records
        self._lines: dict[LineId, LineRecord] = {}
        self._contracts: list[Contract] = []
        self._window = ReorderWindow(reorder_s, self._records, self._publish) if reorder_s > 0 else None
        self._is_new = Verdicts(self._belief, self.rules, waits=self._window is not None).is_new
        self._ready: list[tuple[LineId, Arrival]] = []
        for line in lines:
            self.add(line)

    # -- lines -------------------------------------------------------------------------------------------------

    def add(self, line: LineId) -> None:
        """Make a line known; one that was removed comes back with its counts. A known line is reset."""
        if line not in self._lines:
            record = next((old for old in self._records if old.id == line), None)
            if record is None:
                counts = self.dropped.setdefault(line, Counter())
                record = LineRecord(line, len(self._records), self.rules, counts)
                self._records.append(record)
                for contract in self._contracts:
                    contract.cursors.append(0)
            self._lines[line] = record
        self.reset(line)

    def remove(self, line: LineId) -> None:
        """The line is gone for good, and so is what is held against it. What waits of it is still published."""
        record = self._lines.pop(line)
        record.up = False
        self._belief.trust(record)
        self._belief.count()

    def lost(self, line: LineId) -> None:
        """The line is down: nobody waits for it until it delivers again or :meth:`reset` says that it is back."""
        self._lines[line].up = False
        self._belief.count()

    def reset(self, line: LineId) -> None:
        """The line restarted or logged in again: its cursors begin anew. It stays suspect if it was. O(contracts)."""
        record = self._lines[line]
        for contract in self._contracts:
            contract.forget(record.index)
        record.up = True
        self._belief.count()

    @property
    def suspects(self) -> set[LineId]:
        """Lines that are not believed now."""
        return {record.id for record in self._records if record.suspect}

    @property
    def published(self) -> Counter[LineId]:
        """Ticks published, by line."""
        return Counter({record.id: record.published for record in self._records})

    @property
    def first(self) -> Counter[LineId]:
        """Ticks that a line brought first while at least two lines were up."""
        return Counter({record.id: record.first for record in self._records})

    @property
    def waiting(self) -> int:
        """Ticks in the reorder window."""
        return self._window.waiting if self._window else 0

    @property
    def withdrawn(self) -> int:
        """Published snapshots that were taken back, because a line was lying."""
        return self._belief.withdrawn

    # -- ticks -------------------------------------------------------------------------------------------------

    def admit(self, line: LineId, arrivals: Sequence[Arrival]) -> list[Arrival]:  # noqa: C901 - the hot loop: calls would cost more than they explain
        """What to publish now, in order, all of it from this line. With a reorder window nothing: :meth:`release`."""
        record = self._lines[line]
        record.ticks += len(arrivals)
        rest = iter(arrivals)
        if (self._window or record.suspect or not record.up) and self._set_aside(record, rest):
            return []
        index = record.index
        fresh: list[Arrival] = []
        copies = late = 0
        for arrival in rest:
            topic, day, ns, volume, _recv_ns, market = arrival
            contract = topic.arbitration or self._open(topic)
            entries = contract.entries
            at = contract.cursors[index]
            if at < len(entries) and entries[at] == market:
                contract.cursors[index] = at + 1
                if not copies:
                    self._belief.agree(record, contract.who[at])
                copies += 1
                continue
            key = (day, volume, ns)
            if (
                not at
                and contract.base
                and key < contract.keys[0]
                and contract.floors.get(index, key) < key
                and not self._belief.suspects
            ):
                # a line so far behind that the window has left it: its verdict needs no search (the long way says
                # the same); a pair at full speed lives here
                late += 1
                continue
            if key > contract.newest or self._is_new(record, contract, key, market):
                record.countdown -= 1
                if record.countdown > 0 or self._belief.passes(record, contract, market):
                    contract.extend(index, key, market)
                    if contract.watched:
                        self._belief.confirm(contract, index, key, market)
                    fresh.append(arrival)
                    continue
            if record.suspect and not self._belief.is_alone(record):
                self._compare(record, rest)
        if late:
            record.dropped["late"] += late
        self._count(record, len(fresh), copies)
        return fresh

    def _set_aside(self, record: LineRecord, arrivals: Iterator[Arrival]) -> bool:
        """Whether these ticks go another way than straight through."""
        if not record.up:
            record.up = True
            self._belief.count()
        if self._window:
            self._hold(self._window, record, arrivals)
            return True
        if record.suspect and not self._belief.is_alone(record):
            self._compare(record, arrivals)
            return True
        return False

    def _count(self, record: LineRecord, fresh: int, copies: int = 0) -> None:
        if copies:
            record.dropped["copy"] += copies
        record.published += fresh
        if self._belief.up > 1:
            record.first += fresh
        if record.suspect:
            record.agreed += fresh
            self._belief.earn(record)

    def _open(self, topic: Any) -> Contract:
        contract = Contract(topic.name, len(self._records), self.rules.window)
        topic.arbitration = contract
        self._contracts.append(contract)
        return contract

    def _compare(self, record: LineRecord, arrivals: Iterator[Arrival]) -> None:
        for arrival in arrivals:
            topic = arrival[0]
            self._belief.compare(record, topic.arbitration or self._open(topic), arrival)

    # -- reorder window ----------------------------------------------------------------------------------------

    def _hold(self, window: ReorderWindow, record: LineRecord, arrivals: Iterator[Arrival]) -> None:
        now = self._monotonic()
        belief = self._belief
        for arrival in arrivals:
            if record.suspect and not belief.is_alone(record):
                self._compare(record, iter((arrival,)))
                continue
            topic, day, ns, volume, _recv_ns, market = arrival
            contract = topic.arbitration or self._open(topic)
            key = (day, volume, ns)
            newest = contract.newest
            if key > newest or (key == newest and window.is_holding(record, contract, key)):
                new = True
            else:
                new = self._is_new(record, contract, key, market)
            if new:
                record.countdown -= 1
                if record.countdown > 0 or belief.passes(record, contract, market):
                    window.hold(record, contract, arrival, now)

    def _publish(self, contract: Contract, record: LineRecord, arrival: Arrival) -> None:
        _topic, day, ns, volume, _recv_ns, market = arrival
        key = (day, volume, ns)
        contract.extend(record.index, key, market)
        if contract.watched:
            self._belief.confirm(contract, record.index, key, market)
        self._count(record, 1)
        self._ready.append((record.id, arrival))

    def next_due(self) -> float | None:
        """When to call :meth:`release` (monotonic seconds; a moment that has passed: at once); None: nothing waits."""
        if self._ready:
            return self._monotonic()
        return self._window.next_due() if self._window else None

    def release(self, now: float) -> list[tuple[LineId, Arrival]]:
        """What the reorder window lets go, in order: each tick with the line that brought it first. May be empty."""
        if self._window:
            self._window.release(now)
        ready, self._ready = self._ready, []
        return ready
