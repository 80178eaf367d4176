"""From the loss of a contract's last line to the first tick after it: gaps open, are cut at the close, and end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from gateway.clock import Clock
from gateway.flow.carried import Aftermath, Contract, Outage, Stream
from gateway.flow.gaps import CLOSED, MEASURED, OPENED, Gap, GapEvent, Seen, lost_volume
from gateway.flow.phases import Stretch
from gateway.gaps import LedgerStore
from gateway.model import Instrument, Tick

_EVERY = 64
"""Quiet streams looked at in one step."""
_UNMEASURED_EVERY = 10
"""Rounds between two looks at contracts whose gap is closed already and that still have no tick."""


class Outages:
    """Opens, cuts and closes gaps. Every change is a row in the store and an event."""

    def __init__(
        self,
        store: LedgerStore,
        events: Callable[[GapEvent], None],
        clock: Clock,
        stream_of: Callable[[Instrument], Stream | None],
        settle_s: float,
        decode: Callable[[bytes], Tick],
    ) -> None:
        self.open = 0
        """Gaps without an end."""
        self._store = store
        self._events = events
        self._clock = clock
        self._stream_of = stream_of
        self._settle_s = settle_s
        self._decode = decode
        self._epoch = clock.wall_ns() // 1_000_000
        self._numbers = itertools.count(1)
        self._awaiting: dict[Contract, None] = {}
        """Covered, and the gap waits for its first tick."""
        self._unmeasured: dict[Contract, None] = {}
        """The gap is closed, and a first tick would still tell what was lost."""
        self._rounds = 0

    def begin(self, contract: Contract, since_ns: int, reason: str) -> None:
        """The last line is gone."""
        if contract.outage is not None:
            return
        if contract.after is not None:
            self._look_at(contract, contract.after)
            self._forget(contract)
        outage = Outage(since_ns, reason)
        stream = self._stream(contract)
        if stream is not None and stream.recv_ns <= self._clock.wall_ns() and stream.recv_ns > since_ns:
            outage.seq = stream.seq - 1  # looked too late: this one may be from after the gap, what was before is gone
        elif stream is not None:
            outage.payload, outage.seq = stream.payload, stream.seq
        self._enter(contract, outage)

    def past(self, contract: Contract, since_ns: int, until_ns: int, reason: str) -> None:
        """Nobody covered the contract from then to then, and that is known only now. Without ticks as evidence."""
        for stretch in contract.group.hours.trading(since_ns, until_ns):
            outage = Outage(since_ns, reason)
            self._open(contract, outage, stretch)
            outage.reached_ns = stretch.end_ns
            assert outage.gap is not None  # noqa: S101 - it was opened just now
            self.open -= 1
            self._tell(CLOSED, self._ended(contract, outage, outage.gap, "covered"))

    def resume(self, contract: Contract, gap: Gap | None, since_ns: int, reason: str, now: int) -> None:
        """The gateway was down since ``since_ns``; ``gap`` is older and was open then."""
        if gap is None:
            outage = Outage(since_ns, reason)
        else:
            outage = Outage(gap.start_ns, gap.reason, gap)
            outage.since_ns, outage.before = gap.outage_ns, gap.before
            self.open += 1
        contract.left_ns = outage.cursor_ns
        self._enter(contract, outage, now)

    def _enter(self, contract: Contract, outage: Outage, now: int | None = None) -> None:
        contract.outage = outage
        contract.group.uncovered[contract] = None
        self.advance(contract, self._clock.wall_ns() if now is None else now)

    def advance(self, contract: Contract, now: int, *, final: bool = False) -> None:
        """Follow the session rules up to ``now``: open, cut at the close, open again. ``final``: it ends now."""
        outage = contract.outage
        if outage is None:
            return
        until = max(now, outage.cursor_ns)
        hours = contract.group.hours
        for stretch in hours.trading(outage.cursor_ns, until):
            if final and stretch.start_ns >= until:
                break
            gap = outage.gap
            if gap is not None and (gap.trading_day, gap.session) != (stretch.trading_day, stretch.session):
                self._cut(contract, outage)
            if outage.gap is None:
                self._open(contract, outage, stretch)
            outage.reached_ns = max(outage.reached_ns, stretch.end_ns)
        outage.cursor_ns = until
        if outage.gap is not None and hours.at(until).phase == "closed":
            self._cut(contract, outage)

    def cover(self, contract: Contract, now: int) -> None:
        """A line carries the contract (again)."""
        contract.left_ns = max(contract.left_ns, now)
        outage = contract.outage
        if outage is None:
            return
        self.advance(contract, now, final=True)
        contract.outage = None
        contract.group.uncovered.pop(contract, None)
        if outage.gap is not None:
            gap, closed = self._ended(contract, outage, outage.gap, "covered"), False
            self.open -= 1
        elif outage.cut is not None:
            gap, closed = outage.cut, True
        else:
            return
        contract.after = Aftermath(gap, outage.seq, self._clock.monotonic() + self._settle_s, closed=closed)
        (self._unmeasured if closed else self._awaiting)[contract] = None

    def end(self, contract: Contract, now: int, ending: str) -> None:
        """The contract is of no interest any more."""
        if contract.after is not None:
            self._look_at(contract, contract.after)
            self._forget(contract)
        outage = contract.outage
        if outage is None:
            return
        self.advance(contract, now, final=True)
        contract.outage = None
        contract.group.uncovered.pop(contract, None)
        if outage.gap is not None:
            self.open -= 1
            self._tell(CLOSED, self._ended(contract, outage, outage.gap, ending))

    def look(self) -> Iterator[None]:
        """Find first ticks. A step is one gap closed, or a number of streams without news."""
        self._rounds += 1
        waiting = list(self._awaiting)
        if self._rounds % _UNMEASURED_EVERY == 0:
            waiting += self._unmeasured
        now = self._clock.monotonic()
        for number, contract in enumerate(waiting):
            after = contract.after
            if after is None:
                continue
            if self._look_at(contract, after):
                yield
            elif not after.closed and now >= after.deadline:
                after.closed = True
                self._tell(CLOSED, after.gap)
                del self._awaiting[contract]
                self._unmeasured[contract] = None
                yield
            elif number % _EVERY == 0:
                yield

    def settle(self) -> None:
        """Close what waits for its first tick, without it."""
        for contract in list(self._awaiting):
            if contract.after is not None:
                self._look_at(contract, contract.after)
                self._forget(contract)

    # -- one gap ---------------------------------------------------------------------------------------

    def _open(self, contract: Contract, outage: Outage, stretch: Stretch) -> None:
        if outage.payload:
            outage.before, outage.payload = self._seen(outage.payload), b""
        outage.reached_ns = stretch.start_ns
        outage.gap = Gap(
            id=f"{self._epoch}-{next(self._numbers)}",
            feed=contract.feed.name,
            instrument=str(contract.instrument),
            trading_day=stretch.trading_day,
            session=stretch.session,
            outage_ns=outage.since_ns,
            start_ns=stretch.start_ns,
            reason=outage.reason,
            lines=contract.feed.lines_down(contract.instrument),
            before=outage.before,
        )
        self.open += 1
        self._tell(OPENED, outage.gap)

    def _cut(self, contract: Contract, outage: Outage) -> None:
        assert outage.gap is not None  # noqa: S101 - the callers looked
        outage.cut = self._ended(contract, outage, outage.gap, "session over")
        outage.gap = None
        self.open -= 1
        self._tell(CLOSED, outage.cut)

    def _ended(self, contract: Contract, outage: Outage, gap: Gap, ending: str) -> Gap:
        end = max(outage.reached_ns, gap.start_ns)
        return replace(gap, end_ns=end, open_ns=contract.group.hours.open_ns(gap.start_ns, end), ending=ending)

    def _look_at(self, contract: Contract, after: Aftermath) -> bool:
        """Whether the first tick is there, and with it the last row of the gap."""
        stream = self._stream(contract)
        if stream is None or stream.seq == after.seq:
            return False
        seen, gap = self._seen(stream.payload), after.gap
        if seen.recv_ns <= gap.outage_ns:
            # on its way since before the loss: the last tick before, come late
            after.seq = stream.seq
            after.gap = replace(gap, before=seen)
            return False
        lost = lost_volume(gap.before, seen, gap.trading_day)
        if not after.closed or lost is not None:
            skipped = stream.seq - after.seq - 1
            measured = replace(gap, after=seen, skipped=skipped, lost_volume=lost)
            self._tell(MEASURED if after.closed else CLOSED, measured)
        after.closed = True
        self._forget(contract)
        return True

    def _forget(self, contract: Contract) -> None:
        """The next outage begins, or nobody asks any more: what is not closed is closed without a tick."""
        after, contract.after = contract.after, None
        self._awaiting.pop(contract, None)
        self._unmeasured.pop(contract, None)
        if after is not None and not after.closed:
            self._tell(CLOSED, after.gap)

    def _stream(self, contract: Contract) -> Stream | None:
        stream = contract.stream
        if stream is None:
            stream = contract.stream = self._stream_of(contract.instrument)
        return stream if stream is not None and stream.payload else None

    def _tell(self, kind: str, gap: Gap) -> None:
        event = GapEvent(kind, self._clock.wall_ns(), gap)
        self._store.put(event)
        self._events(event)

    def _seen(self, payload: bytes) -> Seen:
        tick = self._decode(payload)
        return Seen(tick.recv_ns, tick.trading_day, tick.volume)
