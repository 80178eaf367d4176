"""What lines tell, applied to the books of coverage: one contract a step, so that the ledger can pause in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping

from gateway.clock import Clock
from gateway.flow.carried import Contract, Feed
from gateway.flow.outage import Outages
from gateway.model import Instrument, LineId


class Books:
    """Each method is a generator: nothing happens before it is iterated, and it may rest after any contract.

    ``now`` and ``since`` are when it happened, Unix nanoseconds; the work itself may come a little later.
    """

    def __init__(self, outages: Outages, clock: Clock, kin: Callable[[Instrument], Hashable], grace_s: float) -> None:
        self._outages = outages
        self._clock = clock
        self._kin = kin
        self._grace_s = grace_s
        self._new: deque[tuple[float, int, Contract]] = deque()
        """Wanted for the first time: ``(end of the grace, wanted since, contract)``."""

    def want(self, feed: Feed, wanted: Mapping[Instrument, None], now: int, ending: str) -> Iterator[None]:
        if wanted.keys() == feed.wanted:
            return
        before, feed.wanted = feed.wanted, frozenset(wanted)
        for instrument in before - feed.wanted:
            contract = feed.drop(instrument)
            if contract is not None:
                self._outages.end(contract, now, ending)
            yield
        for instrument in wanted:
            if instrument in before:
                continue
            contract = feed.add(instrument, self._kin(instrument))
            contract.left_ns = now
            if not contract.lines:
                self._new.append((self._clock.monotonic() + self._grace_s, now, contract))
            yield
        yield from self.past_grace()

    def past_grace(self) -> Iterator[None]:
        now = self._clock.monotonic()
        while self._new and self._new[0][0] <= now:
            _, since, contract = self._new.popleft()
            known = contract.feed.contracts.get(contract.instrument) is contract
            if known and not contract.lines and contract.left_ns == since:
                self._outages.begin(contract, since, "not yet confirmed")
            yield

    def cover(self, feed: Feed, line: LineId, instruments: list[Instrument], now: int) -> Iterator[None]:
        carried, refused = feed.carried.setdefault(line, {}), feed.refusals.setdefault(line, {})
        for instrument in instruments:
            carried[instrument] = None
            refused.pop(instrument, None)
            contract = feed.contracts.get(instrument)
            if contract is not None:
                bit, (sole, from_ns, until_ns) = feed.bit(line), contract.sole
                if contract.lines == sole and sole != bit and until_ns is None:
                    contract.sole = (sole, from_ns, now)
                contract.lines |= bit
                self._outages.cover(contract, now)
            yield
        feed.reasons.pop(line, None)

    def uncover(self, feed: Feed, line: LineId, instruments: list[Instrument], reason: str, now: int) -> Iterator[None]:
        carried, refused = feed.carried.setdefault(line, {}), feed.refusals.setdefault(line, {})
        for instrument in instruments:
            carried.pop(instrument, None)
            refused[instrument] = reason
            self._leave(feed, line, instrument, reason, now)
            yield

    def lose(self, feed: Feed, line: LineId, reason: str, since: int) -> Iterator[None]:
        feed.reasons[line] = reason
        feed.refusals.pop(line, None)
        carried = feed.carried.get(line, {})
        feed.carried[line] = {}
        for instrument in carried:
            self._leave(feed, line, instrument, reason, since)
            yield

    def _leave(self, feed: Feed, line: LineId, instrument: Instrument, reason: str, since: int) -> None:
        contract = feed.contracts.get(instrument)
        bit = feed.bit(line)
        if contract is None or not contract.lines & bit:
            return
        sole, from_ns, until_ns = contract.sole
        if sole == bit and until_ns is not None and since < until_ns and contract.lines != bit:
            # it was silent while no other line was there: others cover the contract now, but did not then
            self._outages.past(contract, max(since, from_ns), until_ns, f"{line}: {reason}")
        contract.lines &= ~bit
        if contract.lines and not contract.lines & (contract.lines - 1):
            contract.sole = (contract.lines, since, None)
        contract.left_ns = max(contract.left_ns, since)
        if not contract.lines:
            self._outages.begin(contract, contract.left_ns, f"{line}: {reason}")
