"""Notices that a line or a contract has fallen silent although its market trades. Costs nothing per tick.

Every 250 ms it looks at counters. A line is judged by what it carries and is open now, by what this session has taught,
by the other line when both carry the same, and by a probe before anything is said.

Source of the figures: the operators' contract §8 (3 s for a line, 60 s for a contract, bound 60 s). On five recorded
days the merged stream of 13 to 27 contracts never paused for more than 1.0 s; one thin contract alone, at night, was
silent for 100 s: that is what learning and probing are for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from gateway.clock import Clock
from gateway.control.events import ContractBack, ContractStalled, ControlEvent, LineSilent, LineSpeaks
from gateway.control.openings import Openings, opened_ns
from gateway.control.switching import Phases
from gateway.control.watched import LineSight, Sight, Watched, WatchRules
from gateway.errors import FeedgateError
from gateway.model import Instrument

_log = logging.getLogger(__name__)

_NS: Final = 1_000_000_000
_STEP_S: Final = 0.5
_EVIDENCE: Final = 3
"""Ticks of another line."""


class Watchdog:
    """Watches one feed. All methods on the loop; :meth:`run` is owned by the gateway."""

    def __init__(
        self,
        feed: str,
        sight: Sight,
        phases: Phases,
        clock: Clock,
        tell: Callable[[ControlEvent], None],
        *,
        rules: WatchRules | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``tell`` gets every event; it must return at once and not raise. ``sleep`` is for tests."""
        self.feed = feed
        self.counts: Counter[str] = Counter()
        """``looks``, ``blind`` ones (no calendar), ``probes``, ``probes_alive``, ``restarts``, events by kind."""
        self._sight, self._clock, self._tell, self._sleep = sight, clock, tell, sleep
        self._rules = rules or WatchRules()
        self._openings = Openings(phases)
        self._watches: dict[str, Watched] = {}
        self._looked: tuple[float, int] | None = None
        self._told_blind = ""

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                try:
                    self.look()
                except FeedgateError as error:  # a calendar that ended: say it, and go on when it is put right
                    self._blind(error)
                await self._sleep(self._rules.look_s)
        finally:
            await self.aclose()

    def _blind(self, error: FeedgateError) -> None:
        self.counts["blind"] += 1
        if str(error) != self._told_blind:
            self._told_blind = str(error)
            _log.error("feed %s is not watched: %s", self.feed, error)

    async def aclose(self) -> None:
        """End the probes that run. Idempotent."""
        probes = [watch.probe for watch in self._watches.values() if watch.probe is not None]
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    @property
    def silent(self) -> frozenset[str]:
        """Lines that are silent now."""
        return frozenset(name for name, watch in self._watches.items() if watch.silent)

    @property
    def stalled(self) -> dict[str, int]:
        """Stalled contracts per line."""
        return {name: len(watch.stalls.stalled) for name, watch in self._watches.items()}

    @property
    def stalled_contracts(self) -> frozenset[Instrument]:
        """Contracts that are stalled now."""
        return frozenset[Instrument]().union(*(watch.stalls.stalled for watch in self._watches.values()))

    def threshold_s(self, line: str) -> float:
        """The silence that this line is allowed now."""
        watch = self._watches.get(line)
        return watch.pauses.threshold_ns / _NS if watch else self._rules.pauses.default_s

    def look(self) -> None:
        """One look at everything. Does not block; a probe runs as a task of the watchdog."""
        self.counts["looks"] += 1
        now_ns = self._clock.wall_ns()
        self._openings.look(now_ns)
        lines = self._sight.lines()
        if self._disturbed(now_ns):
            self.counts["restarts"] += 1
            self._openings.restart(now_ns)
            for watch in self._watches.values():
                watch.restart(now_ns)
        by_name = {line.name: line for line in lines}
        for line in lines:
            if line.name not in self._watches:
                self._watches[line.name] = Watched(self._rules, self._openings)
            self._look_at(line, self._watches[line.name], by_name, now_ns)
        for gone in self._watches.keys() - by_name.keys():
            self._watches.pop(gone).drop_probe()

    def _disturbed(self, now_ns: int) -> bool:
        """Whether the wall clock stepped or this loop stood still: silence since then is not the line's."""
        now = self._clock.monotonic()
        before, self._looked = self._looked, (now, now_ns)
        if before is None:
            return False
        passed = now - before[0]
        stepped = abs((now_ns - before[1]) / _NS - passed) > _STEP_S
        return stepped or passed > 2 * self._rules.look_s + _STEP_S

    def _look_at(self, line: LineSight, watch: Watched, lines: dict[str, LineSight], now_ns: int) -> None:
        if not line.up:
            watch.down()
            return
        if watch.up_since_ns != line.up_since_ns:
            watch.up(line, now_ns)
        opened = opened_ns(watch.groups(line, now_ns))
        if line.ticks != watch.ticks:
            if watch.silent:
                self._speaks(line, watch, now_ns)
            watch.ticked(line, opened, now_ns)
        elif opened is not None and not watch.silent:
            self._judge(line, watch, lines, now_ns, opened)
        else:
            watch.drop_probe()
        if not line.leads:
            return  # lines with the same contracts share their streams: one of them tells of stalls
        for stall in watch.stalls.look(line.marks, now_ns, watch.not_before_ns, learn_only=watch.silent):
            name, silent_s = str(stall.instrument), stall.silent_ns / _NS
            if stall.back:
                self._say(
                    ContractBack(feed=self.feed, at_ns=now_ns, line=line.name, instrument=name, silent_s=silent_s)
                )
            else:
                self._say(
                    ContractStalled(
                        feed=self.feed, at_ns=now_ns, line=line.name, instrument=name,
                        last_tick_ns=stall.last_tick_ns, silent_s=silent_s, usual_s=stall.usual_ns / _NS,
                    )
                )  # fmt: skip

    # -- one line ----------------------------------------------------------------------------------------------

    def _judge(self, line: LineSight, watch: Watched, lines: dict[str, LineSight], now_ns: int, opened: int) -> None:
        """It has not ticked since the last look, and something that it carries is open."""
        rules = self._rules
        silent_ns = now_ns - watch.starts(line, opened)
        watch.pauses.quiet(silent_ns)
        if self._others_tick(line, watch, lines, now_ns, opened) and silent_ns >= rules.pauses.floor_s * _NS:
            self._silent(line, watch, now_ns, silent_ns, "other_line")
            return
        threshold_ns = watch.pauses.threshold_ns
        lead_ns = min(rules.probe_s * _NS, threshold_ns / 3)
        if silent_ns < threshold_ns - lead_ns:
            return
        if watch.probe is None:
            self.counts["probes"] += 1
            watch.probe = asyncio.create_task(self._ask(line.name), name=f"probe {line.name}")
        elif watch.probe.done() and watch.probe.result():
            # it lives, and the market is calm: so long a pause is usual here
            self.counts["probes_alive"] += 1
            watch.alive(now_ns)
        elif silent_ns >= threshold_ns:
            self._silent(line, watch, now_ns, silent_ns, "probe")

    async def _ask(self, line: str) -> bool:
        try:
            return await self._sight.probe(line)
        except Exception:  # noqa: BLE001 - a control's bug must not stop the watch; it is logged with its traceback
            _log.exception("line %s could not be probed; that counts as no answer", line)
            return False

    def _others_tick(
        self, line: LineSight, watch: Watched, lines: dict[str, LineSight], now_ns: int, opened: int
    ) -> bool:
        """Whether a line with the same contracts has gone on: three ticks and a second after it first got ahead."""
        rules = self._rules
        late_ns = watch.starts(line, opened) + rules.skew_s * _NS
        for name in line.peers:
            other = lines.get(name)
            if other is None or not other.up or name == line.name or other.last_tick_ns <= late_ns:
                continue
            since_ns, ticks = watch.ahead.setdefault(name, (now_ns, other.ticks))
            if now_ns - since_ns >= _NS and other.ticks - ticks >= _EVIDENCE:
                return True
        return False

    def _silent(
        self, line: LineSight, watch: Watched, now_ns: int, silent_ns: int, judged: Literal["probe", "other_line"]
    ) -> None:
        watch.silent = True
        watch.drop_probe()
        self._say(
            LineSilent(
                feed=self.feed, at_ns=now_ns, line=line.name, last_tick_ns=line.last_tick_ns or None,
                silent_s=silent_ns / _NS, threshold_s=watch.pauses.threshold_ns / _NS, judged=judged,
            )
        )  # fmt: skip

    def _speaks(self, line: LineSight, watch: Watched, now_ns: int) -> None:
        watch.silent = False
        silent_s = max(0, line.last_tick_ns - watch.last_ns) / _NS if watch.last_ns else 0.0
        self._say(LineSpeaks(feed=self.feed, at_ns=now_ns, line=line.name, silent_s=silent_s))

    def _say(self, event: LineSilent | LineSpeaks | ContractStalled | ContractBack) -> None:
        kind = str(event.__struct_config__.tag)
        self.counts[kind] += 1
        if isinstance(event, (LineSilent, LineSpeaks)):
            _log.warning("feed %s: %s", self.feed, event)
        self._tell(event)
