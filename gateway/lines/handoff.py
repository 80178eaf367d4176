"""From the vendor's thread to the line's loop: the sink that sources deliver to (stops 1 to 3 of a tick).

A callback costs one append. The first after a pause wakes the loop, which waits at most ``linger_s`` for company,
parses up to ``batch`` records, packs them into one frame and hands it on. Then it looks again by itself every
``linger_s``, or at once while a whole batch waits, until it finds nothing: a steady stream of callbacks wakes nobody.
It looks when the machine's monotonic clock is at a multiple of ``linger_s``, as all lines do: the frames of lines that
carry the same ticks reach the core together, and wake it, the bus and its readers once. When whoever takes the frames
cannot take more, nothing is drained and the queue drops its oldest, counted.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gateway.clock import Clock
from gateway.lines.cells import OVERFLOWED, RECEIVED, REJECTED, SENT, Cells
from gateway.lines.coalescing import Event, Pace, coalesce
from gateway.lines.frame import TickPacker
from gateway.lines.messages import (
    Beat,
    Confirmed,
    FromLine,
    Refused,
    Rejected,
    Tuning,
    Unsubscribed,
)
from gateway.model import Instrument, LineState, Tick

_log = logging.getLogger(__name__)

_EVENTS_HELD = 65_536


class Outlet(Protocol):
    """Who takes what a line delivers. Called on the loop."""

    @property
    def writable(self) -> bool:
        """False: hold back; ``Handoff.resume`` is called when it may go on."""

    def ticks(self, body: bytes) -> None:
        """A TICKS body."""

    def message(self, message: FromLine) -> None: ...


_Entry = tuple[int, bytes | Tick | str]
"""recv_ns and a raw record, a finished tick, or the reason of a reject."""
Parse = Callable[[Sequence[tuple[int, bytes]], Callable[[str], None]], Sequence[Tick]]


class Handoff:
    """The TickSink of a line. Sink methods may be called from any thread, the others on the loop."""

    def __init__(self, outlet: Outlet, parse: Parse | None, *, tuning: Tuning, clock: Clock, cells: Cells) -> None:
        self._outlet = outlet
        self._parse = parse
        self._tuning = tuning
        self._wall_ns = clock.wall_ns
        self._cells = cells.view
        self._loop = asyncio.get_running_loop()
        self._packer = TickPacker()
        self._queue: deque[_Entry] = deque(maxlen=tuning.queue)
        # next() of a count is atomic: exact also when several vendor threads deliver
        self._received = itertools.count(1)
        self._drained = 0
        self._armed = False
        """Whether the loop looks, or will look, at the queue: then a callback need not wake it."""
        self._due: asyncio.Handle | None = None
        """The next drain. Never two at once."""
        self._rejects: Counter[str] = Counter()
        self._events: deque[Event] = deque(maxlen=_EVENTS_HELD)
        self._event_armed = False
        self._pace = Pace()
        self._closed = False

    # -- the sink, any thread --------------------------------------------------------------------------

    def tick(self, tick: Tick) -> None:
        self._put(tick)

    def raw(self, record: bytes) -> None:
        # _put, written out: this runs once a tick on the vendor's thread
        if self._closed:
            return
        self._queue.append((self._wall_ns(), record))
        self._cells[RECEIVED] = next(self._received)
        if not self._armed:
            self._armed = True
            self._wake(self._linger)

    def _put(self, item: bytes | Tick | str) -> None:
        if self._closed:
            return
        self._queue.append((self._wall_ns(), item))
        # after the append, so that the overflow below is never over-counted
        self._cells[RECEIVED] = next(self._received)
        if not self._armed:
            self._armed = True
            self._wake(self._linger)

    def state(self, state: LineState, reason: str = "") -> None:
        self._event((state, reason))

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self._event(Confirmed(list(instruments)))

    def refused(self, instrument: Instrument, reason: str) -> None:
        self._event(Refused(instrument, reason))

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self._event(Unsubscribed(list(instruments)))

    def reject(self, reason: str) -> None:
        # through the queue, so that it is counted once as received and once as rejected, in order
        self._put(reason)

    def _event(self, event: Event) -> None:
        if self._closed:
            return
        self._events.append(event)
        if not self._event_armed:
            self._event_armed = True
            self._wake(self._linger_events)

    def _wake(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop closed while a vendor thread was still delivering
            self._closed = True

    # -- the loop --------------------------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        """Whether a source that can wait should: half of the queue is full, or nobody takes the frames."""
        return len(self._queue) * 2 >= self._tuning.queue or not self._outlet.writable

    @property
    def queued(self) -> int:
        return len(self._queue)

    def resume(self) -> None:
        """The outlet takes frames again."""
        if self._armed and self._due is None and not self._closed:
            self._due = self._loop.call_soon(self._drain)

    def flush(self) -> None:
        """Hand over what is queued now, states first, without lingering."""
        self._tell_events()
        while self._queue and self._outlet.writable and not self._closed:
            self._hand_over()

    def close(self) -> None:
        """Nothing is accepted or delivered afterwards. Idempotent."""
        self._closed = True

    def beat(self) -> None:
        """Tell the core that this loop runs, and the rejects since last time."""
        self._count_overflow()
        if self._rejects:
            counts, self._rejects = self._rejects, Counter()
            self._outlet.message(Rejected(dict(counts)))
        self._outlet.message(Beat(len(self._queue)))

    def _linger(self) -> None:
        if self._due is not None:
            return
        if self._tuning.linger_s > 0:
            self._look_later(self._loop.time())
        else:
            self._drain()

    def _look_later(self, now: float) -> None:
        """At the next time at which every line looks."""
        linger_s = self._tuning.linger_s
        self._due = self._loop.call_at(now - now % linger_s + linger_s, self._drain)

    def _drain(self) -> None:
        self._due = None
        if self._closed or not self._outlet.writable:
            return  # stays armed: resume() goes on
        began, linger_s = self._loop.time(), self._tuning.linger_s
        if self._queue:
            self._hand_over()
            left = len(self._queue)
            if linger_s > 0 and left < self._tuning.batch:
                # more is likely to come: a look of our own is cheaper than being woken by the vendor's thread
                self._look_later(began)
                return
            if left:
                self._due = self._loop.call_soon(self._drain)
                return
        self._armed = False
        # a callback that came between the look and the flag saw "armed" and did not wake us
        if self._queue and not self._armed:
            self._armed = True
            self._due = self._loop.call_soon(self._drain)

    def _hand_over(self) -> None:
        queue = self._queue
        # only this loop takes from the queue, and a full one stays full: what is counted here is there
        batch = [queue.popleft() for _ in range(min(len(queue), self._tuning.batch))]
        self._drained += len(batch)
        self._count_overflow()
        ticks, received = self._ticks(batch)
        if ticks:
            self._cells[SENT] += len(ticks)
            self._outlet.ticks(self._packer.pack(ticks, received))

    def _ticks(self, batch: list[_Entry]) -> tuple[Sequence[Tick], Sequence[int]]:
        """Parse what is raw; finished ticks pass; order is kept."""
        received, items = zip(*batch, strict=True)
        kinds = set(map(type, items))
        if kinds == {Tick}:
            return items, received
        if kinds == {bytes} and self._parse is not None:
            reasons: list[str] = []
            try:
                ticks = self._parse(batch, reasons.append)  # type: ignore[arg-type]  # all bytes
            except Exception:  # noqa: BLE001 - a plugin's bug costs the record that shows it, found below
                reasons.append("parse_error")
            else:
                if not reasons and len(ticks) == len(batch):
                    return ticks, received
        return self._ticks_one_by_one(batch)

    def _ticks_one_by_one(self, batch: list[_Entry]) -> tuple[list[Tick], list[int]]:
        """The slow way, for batches with a reject in them: parse is pure, so it can be asked again."""
        ticks: list[Tick] = []
        received: list[int] = []
        for recv_ns, item in batch:
            if isinstance(item, Tick):
                tick: Tick | None = item
            else:
                tick = self._parse_one(recv_ns, item)
            if tick is not None:
                ticks.append(tick)
                received.append(recv_ns)
        return ticks, received

    def _parse_one(self, recv_ns: int, item: bytes | str) -> Tick | None:
        reasons: list[str] = []
        if isinstance(item, str):
            reasons.append(item)
        elif self._parse is None:
            reasons.append("no_parser")
        else:
            try:
                parsed = self._parse([(recv_ns, item)], reasons.append)
                if len(parsed) == 1 and not reasons:
                    return parsed[0]
            except Exception:  # noqa: BLE001 - a plugin's bug costs the record that shows it
                _log.exception("parse raised on a record of %d bytes; it is rejected", len(item))
                reasons.append("parse_error")
        self._cells[REJECTED] += 1
        self._rejects[reasons[0] if reasons else "unaccounted"] += 1
        return None

    def _count_overflow(self) -> None:
        lost = self._cells[RECEIVED] - self._drained - len(self._queue)
        self._cells[OVERFLOWED] = max(lost, self._cells[OVERFLOWED])

    def _linger_events(self) -> None:
        self._loop.call_later(self._pace.delay_s, self._tell_events)

    def _tell_events(self) -> None:
        self._event_armed = False
        events = list(self._events)
        for _ in events:
            self._events.popleft()
        if self._closed:
            return
        self._pace.told(events)
        for message in coalesce(events):
            self._outlet.message(message)
