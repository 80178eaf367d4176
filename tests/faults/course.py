"""The course of one row: start, inject, wait for notice and recovery, heal, wait for the lines, count."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from gateway.flow.gaphistory import read_day
from gateway.flow.gaps import Gap, LedgerError
from tests.faults.core_rig import core_running
from tests.faults.fault import Fault
from tests.faults.market import Key, Made, tally
from tests.faults.pulse import Pulse
from tests.faults.rig import Rig, SteppingClock, flowing, running
from tests.faults.source import Source
from tests.faults.table import Row, judge, only_late
from tests.faults.witness import until

_MS = 1_000_000
_WARM_S, _SHORT_WARM_S = 3.5, 0.3
"""Before the fault. A disconnect within 3 s of a subscription blames it (`subscriptions.burst_disconnect_s`), and then
the line comes back in two halves."""
_TAIL_S = 0.3
_CATCH_UP_S = 1.5
_NOTICE_AFTER_S, _SHORT_NOTICE_AFTER_S = 12.0, 45.0
"""How long after its bound something is still waited for. The short form runs on busy machines."""
_ROW_S = 150.0
_ATTEMPTS = 3
_STILL_S = 0.4
_LAG_NS = 20 * _MS
_SLACK_NS = 50 * _MS
"""Moments of the test and of the gateway are taken in different processes."""


async def measure(fault: Fault, make: Callable[[], Source], *, short: bool) -> Row:
    """One row; whatever goes wrong is in it.

    A row that is not as expected, and during which the machine stood still or starved a source, is measured again. So
    is one of the short form, which runs beside other tests, that is late and nothing else: late every time stays red.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        source = make()
        with Pulse() as pulse:
            row = await _measure(fault, source, short=short)
        row.attempts = attempt
        disturbed = pulse.worst_s > _STILL_S or source.left_out() > 0 or row.overtaken > 0
        if row.ok or not (disturbed or (short and only_late(row, fault.expected))):
            break
        row.why.append(
            f"the machine stood still for {pulse.worst_s:.1f} s, the source left out {source.left_out()}, "
            f"{row.overtaken} ticks were overtaken"
        )
    return row


async def _measure(fault: Fault, source: Source, *, short: bool) -> Row:
    row = Row(fault=fault.name, source=source.name)
    with tempfile.TemporaryDirectory(prefix="feedgate-faults-") as directory:
        try:
            async with asyncio.timeout(_ROW_S):
                await _run(fault, source, row, Path(directory) / "gaps.sqlite", short=short)
        except Exception as error:  # noqa: BLE001 - a row that cannot be measured is a red row, not the end of the table
            row.why.append(f"not measured: {type(error).__name__}: {error}")
    judge(row, fault.expected)
    return row


async def _run(fault: Fault, source: Source, row: Row, ledger: Path, *, short: bool) -> None:
    async with _rig(fault, source, ledger) as rig:
        healthy = tuple(one for one in source.fronts if one not in fault.back) if fault.early or not fault.hot else ()
        if fault.early:
            await flowing(rig, healthy)
            began_ns = time.time_ns()
        else:
            await flowing(rig, ("primary", "backup") if fault.hot else ("primary",))
            began_ns = time.time_ns()
            await asyncio.sleep(_SHORT_WARM_S if short else _WARM_S)
            rig.injected_ns = 0
            await fault.inject(rig)
            rig.injected_ns = rig.injected_ns or time.time_ns()
        await _watch(fault, rig, row, _SHORT_NOTICE_AFTER_S if short else _NOTICE_AFTER_S)
        await _back(fault, rig, row, short=short)
        await asyncio.sleep(_TAIL_S)
        stopped_ns = time.time_ns()
        made = source.market.made(began_ns, stopped_ns)
        await _catch_up(rig, made)
        result = tally(made, rig.consumer, rig.could_deliver, lambda key: source.market.born(key) is not None)
        row.made, row.lost, row.missed = result.made, len(result.lost), len(result.missed)
        row.duplicated, row.foreign, row.told = result.duplicated, result.foreign, rig.consumer.lost
        row.overtaken = overtaken({**result.missed, **result.lost}, rig.consumer.arrivals, source.market.born)
        _switch(rig, row)
        if fault.expected.switch_ms is not None:
            row.takeover_ms = _takeover(rig)
    gone = [*result.missed.values(), *(() if fault.expected.told else result.lost.values())]
    row.gap_recorded = await asyncio.to_thread(recorded, ledger, gone)


def _rig(fault: Fault, source: Source, ledger: Path) -> AbstractAsyncContextManager[Rig]:
    if fault.core:
        return core_running(source, ledger)
    clock = SteppingClock() if fault.clock else None
    before = _Early(fault, source).inject if fault.early else None
    feed = dict(fault.settings)
    if fault.clock and source.name == "sim":
        feed["host"] = "inline"  # then the arrival stamps are of the same clock
    return running(source, ledger, clock=clock, before=before, **feed)


class _Early:
    """Injects into the fronts before there is a gateway."""

    def __init__(self, fault: Fault, source: Source) -> None:
        self._fault, self._source = fault, source

    async def inject(self) -> None:
        await self._fault.inject(_FrontsOnly(self._source))


class _FrontsOnly(Rig):
    """A rig that has fronts and nothing else yet."""

    def __init__(self, source: Source) -> None:
        self.source = source


async def _watch(fault: Fault, rig: Rig, row: Row, longer_s: float) -> None:
    """Wait until the gateway has said so and the stream is back; heal when it is time."""
    injected, loop = rig.injected_ns, asyncio.get_running_loop()
    begun = loop.time()
    limit = max(fault.expected.notice_ms or 0, fault.expected.recover_ms) / 1000 + longer_s
    healed = fault.heal is None
    recovery = _Recovery(fault, rig)
    noticing = fault.notice if fault.expected.notice_ms is not None else ()
    while True:
        passed = loop.time() - begun
        if fault.heals_after_s is not None and not healed and passed >= fault.heals_after_s:
            healed = True
            assert fault.heal is not None
            await fault.heal(rig)
        if noticing and row.notice_ms is None and (word := rig.witness.first(noticing, injected)):
            row.notice_ms, row.noticed = (word.at_ns - injected) / _MS, f"{word.what} {word.line} {word.text[:200]}"
        if row.recover_ms is None:
            row.recover_ms = recovery.ms()
        done = row.recover_ms is not None and (not noticing or row.notice_ms is not None)
        if (done and passed >= fault.dwell_s and (healed or fault.heals_after_s is None)) or passed > limit:
            break
        await asyncio.sleep(0.002)
    if not healed and fault.heal is not None:
        await fault.heal(rig)


class _Recovery:
    """Looks at what arrived since it looked last."""

    def __init__(self, fault: Fault, rig: Rig) -> None:
        self._rig, self._first = rig, fault.recovery == "first"
        self._wanted = set(rig.source.market.contracts)
        self._at = 0

    def ms(self) -> float | None:
        """Milliseconds until a tick came that was made after the injection; or one of every contract."""
        rig = self._rig
        arrivals = rig.consumer.arrivals
        while self._at < len(arrivals):
            arrival, _line, key = arrivals[self._at]
            self._at += 1
            # what came before is not looked up: a second of it would hold up the loop that is being measured
            made = rig.source.market.born(key) if arrival >= rig.injected_ns else None
            if made is not None and made.at_ns >= rig.injected_ns:
                self._wanted.discard(made.instrument)
                if self._first or not self._wanted:
                    return (arrival - rig.injected_ns) / _MS
        return None


async def _back(fault: Fault, rig: Rig, row: Row, *, short: bool) -> None:
    if short and not fault.short_back:
        return
    accounts = fault.back
    limit_s = fault.back_s + (_SHORT_NOTICE_AFTER_S if short else 0)
    await until(lambda: all(map(rig.carries_all, accounts)), limit_s, f"the return of {', '.join(accounts)}")
    row.line_back_ms = (time.time_ns() - rig.injected_ns) / _MS


async def _catch_up(rig: Rig, made: dict[Key, Made]) -> None:
    """Until everything that a line could deliver has arrived, or none of what is missing comes any more."""
    missing, since = len(made) + 1, time.monotonic()
    while missing and time.monotonic() - since < _CATCH_UP_S:
        left = sum(key not in rig.consumer.seen and rig.could_deliver(one.at_ns) for key, one in made.items())
        if left < missing:
            missing, since = left, time.monotonic()
        await asyncio.sleep(0.05)


def overtaken(
    gone: Mapping[Key, Made], arrivals: Iterable[tuple[int, str, Key]], born: Callable[[Key], Made | None]
) -> int:
    """How many of these the gateway dropped as late, because a line that came back was ahead of the one before.

    The tick before such a one came late, by the one line, and the next by the other. Without a reorder window (the
    default) that is the rule, and takes a line that lags by more than a contract's pause between two ticks: no line of
    this test does on a machine that has time for it.
    """
    wanted = {one.instrument for one in gone.values()}
    seen: dict[str, list[tuple[int, int, str]]] = {name: [] for name in wanted}
    for arrival, line, key in arrivals:
        made = born(key)
        if made is not None and made.instrument in wanted:
            seen[made.instrument].append((made.at_ns, arrival, line))
    count = 0
    for one in gone.values():
        there = sorted(seen[one.instrument])
        place = bisect_left(there, (one.at_ns, 0, ""))
        if 0 < place < len(there):
            before, after = there[place - 1], there[place]
            count += before[2] != after[2] and before[1] - before[0] > _LAG_NS
    return count


def _switch(rig: Rig, row: Row) -> None:
    """The latency of the first switch that went well, by the gateway's own event."""
    for word in rig.witness.words:
        if word.what == "event:switch" and word.at_ns >= rig.injected_ns:
            event = json.loads(word.text)
            if event["ok"]:
                row.switch_ms = event["latency_ms"]
                return
            row.switch_error = event["error"]


def _takeover(rig: Rig) -> float | None:
    old, new = rig.line("primary"), rig.line("backup")
    arrivals = rig.consumer.arrivals
    first = next((at for at, line, _key in arrivals if line == new and at >= rig.injected_ns), None)
    last = max((at for at, line, _key in arrivals if line == old and at < (first or 0)), default=None)
    return None if first is None or last is None else (first - last) / _MS


def recorded(ledger: Path, gone: Iterable[Made]) -> str | None:
    """Whether gaps are in the ledger, and whether they cover every tick that is gone. None: it cannot be read."""
    try:
        gaps = read_day(ledger).gaps
    except LedgerError:
        return None
    by_contract: dict[str, list[Gap]] = {}
    for gap in gaps:
        by_contract.setdefault(gap.instrument, []).append(gap)
    uncovered = [one for one in gone if not any(covers(gap, one.at_ns) for gap in by_contract.get(one.instrument, ()))]
    if uncovered:
        return "wrong" if gaps else "no"
    return "yes" if gaps else "no"


def covers(gap: Gap, moment_ns: int) -> bool:
    """Whether the moment lies in the gap: between the ticks before and after it, or its own ends."""
    start = min(gap.start_ns, gap.before.recv_ns if gap.before else gap.start_ns)
    end = max(gap.end_ns or moment_ns, gap.after.recv_ns if gap.after else 0)
    return start - _SLACK_NS <= moment_ns <= end + _SLACK_NS
