"""Which lines of a feed are believed: gathers the evidence of :mod:`gateway.flow.suspicion` and acts on it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.flow.suspicion import ArbiterEvent, ArbiterRules, LineRecord, decode, fault_of, stands_still
from gateway.flow.window import Arrival, Contract, Key

_RIVALS = 16
"""Refused snapshots remembered per contract, for lines that agree with each other against the published one."""
_SHADOW = 16
"""Unpublished ticks of suspects remembered per contract, until another line brings the same."""
_UNCONFIRMED_SHARE = 10
_MAJORITY = 3
"""Lines that must be up before two can outvote one."""


class Belief:
    """All records of a feed's lines, by index. Removed lines stay, with ``up`` false."""

    def __init__(self, rules: ArbiterRules, events: Callable[[ArbiterEvent], None]) -> None:
        self.rules = rules
        self.records: list[LineRecord] = []
        self.suspects: frozenset[int] = frozenset()
        self.up = 0
        self.withdrawn = 0
        """Published snapshots that were taken back."""
        self._events = events
        self._agreements = 0

    def count(self) -> None:
        """After any change of who is up or suspect."""
        self.up = sum(record.up for record in self.records)
        self.suspects = frozenset(record.index for record in self.records if record.suspect)

    def is_alone(self, record: LineRecord) -> bool:
        """Whether no other line is up that is believed."""
        return not any(other.up and not other.suspect for other in self.records if other is not record)

    def is_behind(self, index: int, contract: Contract) -> bool:
        """Whether another line that is up and believed got further."""
        at = contract.position(index)
        return any(
            contract.position(other.index) > at and other.up and not other.suspect
            for other in self.records
            if other.index != index
        )

    # -- evidence ----------------------------------------------------------------------------------------------

    def agree(self, record: LineRecord, publisher: int) -> None:
        """Two lines brought the same snapshot. On the fast path told once per batch."""
        if publisher != record.index:
            self._agreements += 1
            other = self.records[publisher]
            record.lonely = other.lonely = 0
            record.mark = other.mark = self._agreements

    def contradict(self, record: LineRecord, contract: Contract, key: Key, market: bytes) -> None:
        """A line brings something that should be among the published snapshots, and is not."""
        publisher = self.records[contract.who[-1]]
        if publisher is record:
            return
        record.lonely += 1
        publisher.lonely += 1
        rival = contract.rivals.pop(market, None)
        if rival is not None and rival != record.index:
            self.agree(record, rival)
        else:
            if len(contract.rivals) >= _RIVALS:
                del contract.rivals[next(iter(contract.rivals))]
            contract.rivals[market] = record.index
        for one in (record, publisher):
            self._judge_lonely(one)
        against = contract.entries[contract.keys.index(key) if key in contract.keys else -1]
        alone = self.is_alone(record)
        for one, snapshot in ((record, market), (publisher, against)):
            tick = decode(snapshot)
            fault = fault_of(contract, tick, alone=alone)
            if fault is not None:
                self.strike(one, contract, fault)
            elif tick is not None and stands_still(contract, one.index, tick, self.rules):
                self._suspect(one, contract.name, "frozen")

    def passes(self, record: LineRecord, contract: Contract, market: bytes) -> bool:
        """Decode a tick that would be published, and hold it against the limits. Counts it if it fails."""
        fault = fault_of(contract, decode(market), alone=self.is_alone(record))
        strikes = record.strikes
        if fault is None:
            if strikes and record.ticks - strikes[-1] > self.rules.strike_span:
                strikes.clear()
            record.countdown = 1 if strikes or record.suspect else self.rules.check_every
            return True
        record.countdown = 1
        record.dropped[fault] += 1
        self.strike(record, contract, fault)
        return False

    def strike(self, record: LineRecord, contract: Contract, reason: str) -> None:
        """An honest line does not do that."""
        strikes = record.strikes
        strikes.append(record.ticks)
        record.agreed = record.unconfirmed = 0
        record.countdown = 1
        if len(strikes) == strikes.maxlen and record.ticks - strikes[0] <= self.rules.strike_span:
            self._suspect(record, contract.name, reason)

    def stuck(self, record: LineRecord, contract: Contract, key: Key) -> None:
        """A line brings the very same snapshot again."""
        since, total, times = contract.stuck.get(record.index, (key, contract.total, 0))
        if since != key:
            total, times = contract.total, 0
        contract.stuck[record.index] = (key, total, times + 1)
        if times >= self.rules.frozen_ticks and contract.total - total >= self.rules.frozen_moves:
            self._suspect(record, contract.name, "frozen")

    def _judge_lonely(self, record: LineRecord) -> None:
        most = self.rules.lonely_ticks
        if record.lonely >= most and self.up >= _MAJORITY and self._agreements - record.mark >= most:
            self._suspect(record, "", "lonely")

    # -- consequences ------------------------------------------------------------------------------------------

    def _suspect(self, record: LineRecord, contract: str, reason: str) -> None:
        record.agreed = record.unconfirmed = 0
        if not record.suspect:
            record.suspect = True
            record.reason = reason
            self.count()
            self._events(ArbiterEvent(kind="suspect", line=record.id, reason=reason, contract=contract))

    def trust(self, record: LineRecord) -> None:
        """Believe a line again."""
        if record.suspect:
            record.clear()
            record.mark = self._agreements
            self.count()
            self._events(ArbiterEvent(kind="trusted", line=record.id, reason=record.reason))

    def earn(self, record: LineRecord) -> None:
        """Believe a suspect again if it agreed for long enough."""
        if record.agreed >= self.rules.trust_after:
            if record.unconfirmed * _UNCONFIRMED_SHARE <= record.agreed:
                self.trust(record)
            record.agreed = record.unconfirmed = 0

    def withdraw_suspects(self, contract: Contract) -> bool:
        """Take back what only suspects vouch for, when it stands in the way of others."""
        gone = contract.withdraw(self.suspects)
        self.withdrawn += gone
        return gone > 0

    def withdraw_newest(self, record: LineRecord, contract: Contract) -> None:
        """Take back a snapshot that its own line refuted."""
        contract.withdraw_newest()
        self.withdrawn += 1
        self._events(ArbiterEvent(kind="withdrawn", line=record.id, reason="refuted", contract=contract.name))

    def compare(self, record: LineRecord, contract: Contract, arrival: Arrival) -> None:
        """A tick of a suspect: not published, only compared."""
        _topic, day, ns, volume, _recv_ns, market = arrival
        record.dropped["suspect"] += 1
        index = record.index
        place = contract.find(index, market)
        if place >= 0:
            contract.cursors[index] = place + 1
            if contract.who[place] not in self.suspects:
                record.agreed += 1
        elif (day, volume, ns) > contract.newest:
            contract.shadow.append((index, market))
            contract.watched = True
            if len(contract.shadow) > _SHADOW:
                self.records[contract.shadow.popleft()[0]].unconfirmed += 1
        else:
            record.unconfirmed += 1
        self.earn(record)

    def confirm(self, contract: Contract, publisher: int, key: Key, market: bytes) -> None:
        """A snapshot was published: lines that brought it before, unpublished, are as far; suspects earn trust."""
        for line, its_key, snapshot in contract.refused:
            if its_key == key and snapshot == market:
                contract.cursors[line] = len(contract.entries)
        contract.refused = [one for one in contract.refused if one[1] == key and one[2] != market]
        for entry in [entry for entry in contract.shadow if entry[1] == market and entry[0] != publisher]:
            record = self.records[entry[0]]
            contract.shadow.remove(entry)
            contract.cursors[record.index] = len(contract.entries)
            if publisher not in self.suspects:
                record.agreed += 1
        contract.watched = bool(contract.refused or contract.shadow)

    def refuse(self, record: LineRecord, contract: Contract, key: Key, market: bytes) -> None:
        """Remember a tick that could not be placed under the newest key."""
        contract.refused = [*contract.refused[-_RIVALS:], (record.index, key, market)]
        contract.watched = True
