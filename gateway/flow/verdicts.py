"""Whether a tick that is not newer than what is out is published all the same, and why not."""

from __future__ import annotations

from gateway.flow.belief import Belief
from gateway.flow.suspicion import ArbiterRules, LineRecord
from gateway.flow.window import Contract, Key

_NS = 1_000_000_000
_OVERTAKEN_NS = 60 * _NS
"""A tick that is older than its line's last by less than this was overtaken; by more, it was sent again."""


class Verdicts:
    """Of one arbiter, whose docstring names the reasons."""

    def __init__(self, belief: Belief, rules: ArbiterRules, *, waits: bool) -> None:
        """``waits``: there is a reorder window."""
        self._belief, self._rules, self._waits = belief, rules, waits

    def is_new(self, record: LineRecord, contract: Contract, key: Key, market: bytes) -> bool:
        """Whether a tick that is not newer is published all the same. Otherwise it is counted."""
        reason = self._verdict(record, contract, key, market)
        if reason is None:
            return True
        belief = self._belief
        if belief.suspects and reason != "copy" and not record.suspect and belief.withdraw_suspects(contract):
            # what outran this tick came from a line that is not believed any more
            if key > contract.newest:
                return True
            reason = self._verdict(record, contract, key, market)
            if reason is None:
                return True
        record.dropped[reason] += 1
        return False

    def _verdict(self, record: LineRecord, contract: Contract, key: Key, market: bytes) -> str | None:
        """Why a tick drops that is not newer than what is out; None: publish it."""
        own = contract.last_of(record.index)
        reason = self._known(record, contract, key, market)
        if reason is not None:
            return reason
        belief = self._belief
        if key == contract.newest:
            if record.ticks < record.ordered_from and belief.up > 1 and market in contract.entries:
                return "disordered"
            if self._waits or not belief.is_behind(record.index, contract):
                # whoever waits for the others has heard all of them: what comes now is no loss of theirs
                return None
            belief.refuse(record, contract, key, market)
        elif own is None:
            return "junk"
        elif key < own:
            return self._gone_back(record, contract, key, own)
        if key >= contract.keys[0]:
            belief.contradict(record, contract, key, market)
        return "late"

    def _known(self, record: LineRecord, contract: Contract, key: Key, market: bytes) -> str | None:
        """Why a tick drops whose bytes were published before; the line's cursor moves there. None: they were not."""
        index = record.index
        at = contract.cursors[index]
        own = contract.last_of(index)
        if contract.entries[at - 1] == market if at else key == own:
            self._belief.stuck(record, contract, key)
            return "repeat"
        place = contract.find(index, market)
        if place < 0:
            return None
        contract.cursors[index] = place + 1
        if contract.who[place] == index:
            return "junk" if own is None else "repeat"
        self._belief.agree(record, contract.who[place])
        return "copy"

    def _gone_back(self, record: LineRecord, contract: Contract, key: Key, own: Key) -> str:
        """A line brings something older than what it brought before."""
        day, volume, ns = key
        if day == own[0] and volume < own[1] and ns > own[2]:
            if ns - own[2] >= self._rules.stale_night_s * _NS:
                return "night_dated_late"
            self._belief.strike(record, contract, "volume_back")
            return "volume_back"
        if contract.is_sole_witness(record.index) and (len(contract.keys) == 1 or key > contract.keys[-2]):
            contract.withdrawals += 1
            if contract.withdrawals >= self._rules.withdraw_after:
                self._belief.withdraw_newest(record, contract)
        if day == own[0] and own[2] - ns < _OVERTAKEN_NS:
            record.ordered_from = record.ticks + self._rules.order_probation
        return "stale"
