"""Whatever lines do: the gaps are exactly the open time in which no line covered a wanted contract."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.flow.gaps import CLOSED, OPENED
from gateway.model import Instrument, LineId
from tests.unit.flow.ledger_market import AU, RB, Futures, Market, at

BOTH = (RB, AU)
LINES = [LineId("ctp", name) for name in ("one", "two", "three")]
START = "28 08:00:00"

some = st.lists(st.sampled_from(BOTH), unique=True)
line = st.sampled_from(LINES)
moves = st.one_of(
    st.tuples(st.just("wanted"), some),
    st.tuples(st.just("covered"), line, some),
    st.tuples(st.just("uncovered"), line, some),
    st.tuples(st.just("lost"), line),
    st.tuples(st.just("round")),
    st.tuples(st.just("ticks"), st.sampled_from(BOTH)),
)
pauses = st.one_of(st.integers(1, 120), st.integers(1, 180).map(lambda minutes: minutes * 60), st.integers(1, 40_000))
histories = st.lists(st.tuples(pauses, moves), max_size=25)


class Truth:
    """Who is uncovered, found without the ledger: sampled between all moments at which anything can change."""

    def __init__(self) -> None:
        self.wanted: set[Instrument] = set()
        self.lines: dict[LineId, set[Instrument]] = defaultdict(set)
        self.states: list[tuple[int, frozenset[Instrument]]] = []

    def move(self, now: int, move: tuple) -> None:
        match move:
            case ("wanted", instruments):
                self.wanted = set(instruments)
            case ("covered", line, instruments):
                self.lines[line] |= set(instruments)
            case ("uncovered", line, instruments):
                self.lines[line] -= set(instruments)
            case ("lost", line):
                self.lines[line] = set()
        self.states.append((now, frozenset(self.wanted.difference(*self.lines.values()))))

    def missed(self, instrument: Instrument, end: int) -> dict[tuple[int, str], int]:
        """Open nanoseconds without a line, by trading day and session."""
        found: dict[tuple[int, str], int] = defaultdict(int)
        rules, minute = Futures(), 60 * 10**9
        for (start, uncovered), (until, _) in pairwise([*self.states, (end, frozenset())]):
            moment = start if instrument in uncovered else until
            while moment < until:
                upto = min(until, (moment // minute + 1) * minute)
                if rules.phase(instrument, moment) in ("open", "auction"):
                    night = rules.trading_day(instrument, moment) != rules.trading_day(
                        instrument, moment - 12 * 60 * minute
                    )
                    found[rules.trading_day(instrument, moment), "night" if night else "day"] += upto - moment
                moment = upto
        return dict(found)


@settings(max_examples=200, deadline=None)
@given(histories)
def test_gaps_are_the_complement_of_coverage_inside_open_phases(history):
    asyncio.run(_check(history))


async def _check(history) -> None:
    market, truth = Market(START), Truth()
    ledger, volume = market.ledger, 0
    for pause, move in [(1, ("wanted", list(BOTH))), *history, (1, ("wanted", []))]:
        await market.clock.advance(pause)
        truth.move(market.clock.wall_ns(), move)
        match move:
            case ("wanted", instruments):
                ledger.wanted("ctp", instruments)
            case ("covered", line, instruments):
                ledger.covered(line, instruments)
            case ("uncovered", line, instruments):
                ledger.uncovered(line, instruments, "refused")
            case ("lost", line):
                ledger.line_lost(line, "lost")
            case ("round",):
                ledger.tick()
            case ("ticks", instrument):
                volume += 1
                market.ticks(instrument, volume)
    ledger.tick()
    assert ledger.open_gaps == 0
    opened = [event.gap.id for event in market.events if event.kind == OPENED]
    closed = [event.gap for event in market.events if event.kind == CLOSED]
    assert sorted(opened) == sorted(gap.id for gap in closed)  # each opened once, closed once
    for instrument in BOTH:
        gaps = sorted((gap for gap in closed if gap.instrument == str(instrument)), key=lambda gap: gap.start_ns)
        recorded: dict[tuple[int, str], int] = defaultdict(int)
        for gap in gaps:
            recorded[gap.trading_day, gap.session] += gap.open_ns
        assert {key: ns for key, ns in recorded.items() if ns} == truth.missed(instrument, market.clock.wall_ns())
        assert all(one.end_ns <= two.start_ns for one, two in pairwise(gaps))  # no moment is told twice
        assert all(gap.start_ns >= at(START) for gap in gaps)
