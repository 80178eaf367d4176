"""The arbiter on recorded days: lines with lags and losses that carry what an exchange really sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gateway.codec import encode_market
from gateway.sources.recordings import Recording
from tests.unit.flow.arbitrated import LINES, Bench, Topic, Truth

pytestmark = pytest.mark.recorded

MULTI = "ctp_multi_15c_TD20170414.csv.gz"
DAYS = (
    "ctp_raw_ru1901_20181012.csv.gz",
    "ctp_raw_AP010_20200803.csv.gz",
    "ctp_raw_AP101_20200803.csv.gz",
    "cffex_IF2101_20210104.csv.gz",
    MULTI,
)
PER_TICK = 15
"""Contracts of the largest recording: a lag of so many rows is one tick of each contract."""


@pytest.fixture(scope="module")
def day(recorded: Path) -> Callable[[str], list[Truth]]:
    days: dict[str, list[Truth]] = {}

    def read(name: str) -> list[Truth]:
        if name not in days:
            contracts: dict[str, int] = {}
            days[name] = []
            for _, parser, row in Recording(recorded / name).rows():
                tick = parser.tick(row)
                number = contracts.setdefault(str(tick.instrument), len(contracts))
                days[name].append(
                    Truth(number, len(days[name]), tick.trading_day, tick.volume, tick.exchange_ns, encode_market(tick))
                )
        return days[name]

    return read


class Played(Bench):
    """Plays a day on all lines; ``places`` are the rows that came out, in order."""

    def play(self, rows: list[Truth], *, lag: float, loss: float = 0.0, seed: int = 1) -> None:
        dice = Random(seed)
        topics: dict[int, Topic] = defaultdict(lambda: Topic("CZCE.CF709"))
        arrivals = [(topics[row.contract], row.day, row.ns, row.volume, row.place, row.market) for row in rows]
        steps = []
        for line in range(self.lines):
            at = 0.0
            for row in rows:
                if dice.random() >= loss:
                    at = max(at, row.place + dice.random() * lag)
                    steps.append((at, line, row.place))
        steps.sort()
        admit, release = self.arbiter.admit, self.arbiter.release
        places: list[int] = []
        for at, line, place in steps:
            if self.reorder_s:
                self.clock._now = at
                places += [arrival[4] for _, arrival in release(at)]
            places += [arrival[4] for arrival in admit(LINES[line], (arrivals[place],))]
        places += [arrival[4] for _, arrival in release(1e12)]
        self.places = places
        self.sent = len(steps)
        self.delivered = {place for _, _, place in steps}
        self.out = [rows[place] for place in places]

    def assert_sound(self) -> None:
        """Nothing twice, nothing out of order, nobody accused, all ticks accounted for."""
        self.assert_balanced()
        assert self.events == []
        assert len(self.places) == len(set(self.places))
        newest: dict[int, Truth] = {}
        for tick in self.out:
            before = newest.get(tick.contract)
            assert before is None or before.key <= tick.key
            if not self.reorder_s:
                assert before is None or before.place < tick.place
            newest[tick.contract] = tick


def stale(rows: list[Truth]) -> Counter[str]:
    """What no line can deliver in order: exact repeats, and CZCE's night snapshots, dated a day late."""
    found: Counter[str] = Counter()
    newest: dict[int, Truth] = {}
    for row in rows:
        before = newest.get(row.contract)
        if before and row.key < before.key:
            found["stale"] += 1
        elif before and row.market == before.market:
            found["repeat"] += 1
        else:
            newest[row.contract] = row
    return found


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize(("lines", "ticks"), [(1, 0), (2, 0.2), (2, 3), (3, 3)])
def test_lines_with_a_lag_and_no_loss_publish_the_day_but_for_stale_junk(
    day: Callable[[str], list[Truth]], name: str, lines: int, ticks: float
) -> None:
    rows = day(name)
    bench = Played(lines)
    bench.play(rows, lag=ticks * (PER_TICK if name == MULTI else 1))
    bench.assert_sound()
    assert len(bench.out) == len(rows) - stale(rows).total()


def test_the_large_day_holds_forty_seven_rows_that_drop(day: Callable[[str], list[Truth]]) -> None:
    rows = day(MULTI)
    assert len(rows) == 238_402
    assert stale(rows) == {"stale": 45, "repeat": 2}


@pytest.mark.parametrize("name", DAYS)
def test_what_two_lossy_lines_lose_by_their_lag_a_window_brings_back(
    day: Callable[[str], list[Truth]], name: str
) -> None:
    rows = day(name)
    lag = 3 * (PER_TICK if name == MULTI else 1)
    without = Played(2)
    without.play(rows, lag=lag, loss=0.01)
    without.assert_sound()
    due = len(without.delivered) - stale(rows).total()
    late = due - len(without.out)
    assert 0 < late < 0.01 * len(rows)

    window = Played(2, reorder_s=lag)
    window.play(rows, lag=lag, loss=0.01)
    window.assert_sound()
    # a line may lose one of two repeats, or a stale row
    assert due <= len(window.out) <= due + 2
