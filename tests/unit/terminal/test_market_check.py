from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cache
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import SHANGHAI, LineId, Tick
from gateway.sources.market import Grid, Market
from gateway.sources.sim import SimSource
from gateway.sources.sim_options import SimOptions
from gateway.terminal.market_check import MarketCheck
from tests.unit.sources.recorder import HandClock, Recorder, until

SECOND = 1_000_000_000
START = int(datetime(2026, 3, 10, 12, tzinfo=SHANGHAI).timestamp()) * SECOND
MIDNIGHT = START + 12 * 3600 * SECOND
OPTIONS = {"contracts": 30, "rate": 200.0, "quiet": 0.0}
"""A contract's snapshots are 150 ms apart: in a second of CZCE there are six or seven."""


@cache
def market(seconds: float, start_ns: int = START, contracts: int = 30, rate: float = 200.0) -> tuple[Tick, ...]:
    """What the lines of such a market send."""
    options = SimOptions(contracts=contracts, rate=rate, quiet=0.0)
    made, grid, timetable = options.market(), Grid.of(rate), options.timetable
    listed = list(made.listed.values())
    first = grid.first_at(start_ns)
    return tuple(
        made.snapshots([listed[step % contracts]], step, timetable.period(grid.time_of(step)))[0]
        for step in range(first, grid.first_at(start_ns + round(seconds * SECOND)))
    )


def checked(ticks: list[Tick] | tuple[Tick, ...], **options: object) -> MarketCheck:
    check = MarketCheck.of(OPTIONS | options)
    assert check is not None
    check.add(ticks)
    return check


def verdict(check: MarketCheck) -> tuple[int, int, int]:
    return check.missing(), check.doubled, check.foreign


def of(ticks: tuple[Tick, ...], exchange: str) -> list[int]:
    """Places of the ticks of one contract of this exchange."""
    code = next(tick.code for tick in ticks if tick.exchange == exchange)
    return [place for place, tick in enumerate(ticks) if tick.code == code]


def test_a_market_that_came_out_whole_has_nothing_missing_and_nothing_doubled() -> None:
    assert verdict(checked(market(5))) == (0, 0, 0)


@pytest.mark.parametrize("exchange", ["SHFE", "CZCE"])
def test_a_snapshot_that_never_came_is_missing(exchange: str) -> None:
    ticks = list(market(5))
    del ticks[of(market(5), exchange)[9]]
    assert verdict(checked(ticks)) == (1, 0, 0)


@pytest.mark.parametrize("exchange", ["SHFE", "CZCE"])
def test_a_snapshot_that_came_again_is_doubled_whenever_it_comes(exchange: str) -> None:
    ticks = list(market(5))
    again = ticks[of(market(5), exchange)[9]]
    assert verdict(checked([*ticks, again])) == (0, 1, 0)
    ticks.insert(ticks.index(again), again)
    assert verdict(checked(ticks)) == (0, 1, 0)


@pytest.mark.parametrize("exchange", ["SHFE", "CZCE"])
def test_a_late_snapshot_is_missing_until_it_comes(exchange: str) -> None:
    ticks = list(market(5))
    late = ticks.pop(of(market(5), exchange)[9])
    check = checked(ticks)
    assert verdict(check) == (1, 0, 0)
    check.add([late])
    assert verdict(check) == (0, 0, 0)


def test_a_stretch_that_no_line_carried_is_missing_as_a_whole() -> None:
    ticks = market(6)
    assert verdict(checked(ticks[:400] + ticks[700:])) == (300, 0, 0)


def test_a_contract_that_begins_late_misses_nothing_before_its_first_snapshot() -> None:
    ticks = market(5)
    places = of(ticks, "DCE")
    assert verdict(checked([tick for place, tick in enumerate(ticks) if place not in places[:20]])) == (0, 0, 0)


def test_a_contract_that_ends_is_missing_from_then_on() -> None:
    ticks = market(5)
    gone = of(ticks, "DCE")[5:]
    check = checked([tick for place, tick in enumerate(ticks) if place not in gone])
    assert check.missing() == sum(place < 799 for place in gone)  # due a second before the newest one, number 999
    assert check.missing(START + 5 * SECOND) == len(gone)


def test_a_stream_that_stops_altogether_is_missing_by_the_clock() -> None:
    check = checked(market(5))
    assert check.missing(START + 5 * SECOND) == 0
    assert check.missing(START + 7 * SECOND) == 400


def test_a_new_trading_day_is_no_hole() -> None:
    ticks = market(4, MIDNIGHT - 2 * SECOND)
    assert len({tick.trading_day for tick in ticks}) == 2
    assert verdict(checked(ticks)) == (0, 0, 0)
    assert verdict(checked(ticks[:390] + ticks[410:])) == (20, 0, 0)


def test_the_break_of_a_market_with_sessions_is_no_hole_but_what_was_lost_around_it_is() -> None:
    before = int(datetime(2026, 3, 10, 10, 14, 58, tzinfo=SHANGHAI).timestamp()) * SECOND
    options = SimOptions(contracts=30, rate=200.0, quiet=0.0, sessions=True)
    made, grid, listed = options.market(), Grid.of(200.0), list(options.market().listed.values())
    ticks = []
    for start in (before, before + 15 * 60 * SECOND + 2 * SECOND):
        first = grid.first_at(start)
        period = options.timetable.period(start)
        ticks += [made.snapshots([listed[step % 30]], step, period)[0] for step in range(first, first + 400)]
    assert verdict(checked(ticks, sessions=True)) == (0, 0, 0)
    assert verdict(checked(ticks[:360] + ticks[450:], sessions=True)) == (90, 0, 0)


def test_snapshots_of_one_contract_within_one_millisecond_are_told_apart() -> None:
    ticks = market(0.5, contracts=2, rate=5000.0)
    assert ticks[0].exchange_ns == ticks[2].exchange_ns
    assert verdict(checked(ticks, contracts=2, rate=5000.0)) == (0, 0, 0)
    assert verdict(checked(ticks[:100] + ticks[101:] + ticks[7:8], contracts=2, rate=5000.0)) == (1, 1, 0)


def test_a_tick_that_is_no_snapshot_of_the_market_does_not_stand_for_one() -> None:
    ticks = list(market(5))
    place = of(market(5), "CZCE")[9]
    ticks[place] = msgspec.structs.replace(ticks[place], bid_volumes=(1025,))
    stranger = msgspec.structs.replace(ticks[0], code="xx2601")
    assert verdict(checked([*ticks, stranger])) == (1, 0, 2)


@pytest.mark.parametrize("options", [{"rate": 0}, {"bursts": True}])
def test_a_market_without_a_grid_cannot_be_checked(options: dict[str, object]) -> None:
    assert MarketCheck.of(OPTIONS | options) is None


def test_so_many_holes_that_the_oldest_are_forgotten_still_count_once() -> None:
    ticks = market(30, contracts=1, rate=100.0)
    check = checked(ticks[::2], contracts=1, rate=100.0)
    assert check.missing(0) == len(ticks) // 2 - 1
    check.add(ticks[1:3])  # the first hole, forgotten, and a snapshot of its time
    assert verdict(check)[1] == 0
    check.add(ticks[-3:-2])
    assert check.missing(0) == len(ticks) // 2 - 2


async def test_what_a_real_source_sends_over_midnight_auctions_included_is_whole() -> None:
    clock, sink = HandClock(MIDNIGHT - SECOND), Recorder()
    line = SimSource(SimOptions.read(OPTIONS), LineId("sim", "primary"), clock)
    await line.start(sink)
    await until(lambda: sink.states and sink.states[-1][0].value == "logged_in")
    assert line._market is not None
    await line.subscribe(list(line._market.listed))
    assert line._task is not None
    line._task.cancel()
    await asyncio.gather(line._task, return_exceptions=True)
    for _ in range(300):
        while line.pump(clock.wall_ns()):
            pass
        clock.advance(0.01)
    await line.aclose()
    assert any(not tick.bid_volumes for tick in sink.ticks)  # auctions
    assert len({tick.trading_day for tick in sink.ticks}) == 2
    assert len(sink.ticks) > 500
    assert verdict(checked(sink.ticks)) == (0, 0, 0)


@cache
def small() -> tuple[SimOptions, Market]:
    options = SimOptions(contracts=6, rate=40.0, quiet=0.0)
    return options, options.market()


@given(st.data())
def test_whatever_is_lost_doubled_and_shuffled_is_counted_exactly(data: st.DataObject) -> None:
    whole = market(2, contracts=6, rate=40.0)
    copies = data.draw(st.lists(st.sampled_from([1, 1, 1, 1, 0, 2, 3]), min_size=len(whole), max_size=len(whole)))
    order = [place for place, number in enumerate(copies) for _ in range(number)]
    moves = data.draw(st.lists(st.tuples(st.integers(0, 79), st.integers(0, 79)), max_size=20))
    for start, end in moves:
        if start < len(order):
            order.insert(end, order.pop(start))
    options, made = small()
    check = MarketCheck(made, Grid.of(options.rate), options.timetable)
    check.add([whole[place] for place in order])
    missing = 0
    for contract in range(6):
        came = [place for place in range(contract, len(whole), 6) if copies[place]]
        missing += sum((after - before) // 6 - 1 for before, after in pairwise(came))
    assert check.missing(0) == missing
    assert check.doubled == len(order) - len(set(order))
    assert check.foreign == 0
