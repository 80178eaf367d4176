"""The watchdog on recorded days: nothing is said on a good day, and a silence that was put in is noticed in time."""

from __future__ import annotations

import random

import pytest

from gateway.calendar import InstrumentPhases, load_calendar
from gateway.control.events import ContractStalled, LineSilent
from gateway.control.switching import Phases
from gateway.model import Instrument
from tests import needing
from tests.unit.control.recorded_days import FILES, NS, TableHours, arrivals, pieces, quote_log
from tests.unit.control.watched_feed import LOOK_NS, WatchedFeed

pytestmark = pytest.mark.recorded


class Days(dict[str, list[tuple[int, Instrument]]]):
    """The arrivals of each recording, read when they are asked for."""

    def __missing__(self, name: str) -> list[tuple[int, Instrument]]:
        self[name] = arrivals(needing.recorded() / name)
        return self[name]


@pytest.fixture(scope="module")
def days() -> Days:
    return Days()


def feed_of(ticks: list[tuple[int, Instrument]], hours: Phases | None = None) -> WatchedFeed:
    feed = WatchedFeed(hours or TableHours(), ticks[0][0] - LOOK_NS, "a")
    feed.by_name["a"].carry(*dict.fromkeys(instrument for _, instrument in ticks))
    return feed


@pytest.mark.parametrize(
    ("name", "tables"), [*((name, "small") for name in FILES), (FILES[0], "calendar"), (FILES[2], "calendar")]
)
async def test_nothing_is_said_on_a_recorded_day(days, name, tables):
    ticks = days[name]
    feed = feed_of(ticks, TableHours() if tables == "small" else InstrumentPhases(load_calendar(), unknown="closed"))
    for piece in pieces(ticks):
        feed.clock.now_ns = max(feed.clock.now_ns, piece[0][0] - LOOK_NS)
        await feed.play(piece)
        await feed.until(piece[-1][0] + 600 * NS)
    assert feed.events == []
    # a probe costs one subscription: rare enough to be nothing
    assert len(feed.probes) < 60, len(feed.probes)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(3))
async def test_a_silence_put_into_a_session_is_noticed_within_the_threshold_and_half_a_second(days, name, seed):
    dice, hours, ticks = random.Random(seed), TableHours(), days[name]
    inside = [
        index
        for index, (moment, instrument) in enumerate(ticks)
        if hours.phase(instrument, moment) == "open" and hours.phase(instrument, moment + 70 * NS) == "open"
    ]
    cut = dice.choice(inside)
    before = [tick for tick in ticks[: cut + 1] if tick[0] > ticks[cut][0] - 3600 * NS]
    feed = feed_of(ticks)
    for piece in pieces(before):
        feed.clock.now_ns = max(feed.clock.now_ns, piece[0][0] - LOOK_NS)
        await feed.play(piece)
    feed.by_name["a"].mute = True
    last = feed.by_name["a"].last_tick_ns
    await feed.until(last + 62 * NS)
    (silent,) = feed.told(LineSilent)
    assert silent.last_tick_ns == last
    assert 2 <= silent.threshold_s <= 60
    assert (silent.at_ns - last) / NS <= silent.threshold_s + 0.5
    assert feed.told(ContractStalled) == []


async def test_the_merged_stream_of_a_day_is_judged_within_three_and_a_half_seconds(days):
    ticks = days[FILES[0]]
    ten = next(index for index, (moment, _) in enumerate(ticks) if moment >= 1492135200 * NS)  # 2017-04-14 10:00
    feed = feed_of(ticks)
    feed.clock.now_ns = ticks[ten][0] - 1800 * NS
    await feed.play([tick for tick in ticks[:ten] if tick[0] > feed.clock.now_ns])
    feed.by_name["a"].mute = True
    last = feed.by_name["a"].last_tick_ns
    await feed.until(last + 5 * NS)
    (silent,) = feed.told(LineSilent)
    assert silent.silent_s <= 3.5


@pytest.mark.parametrize("day", ["2024-06-11", "2024-06-12"])
async def test_every_dead_front_of_the_recorders_log_is_noticed_long_before_the_vendors_callback(days, day):
    """The log tells progress every 200 ticks only, so its pauses are not the market's: bounds are checked, not 3 s."""
    rb = Instrument("SHFE", "CF2409")
    log = list(quote_log(needing.RECORDED / f"QuoteFact_{day}.log.gz"))
    feed = WatchedFeed(TableHours(), log[0][0] - LOOK_NS, "a")
    line = feed.by_name["a"]
    line.carry(rb)
    noticed, callbacks = [], 0
    hours = TableHours()
    for moment, what in log:
        if moment - feed.clock.now_ns > 1200 * NS:
            feed.clock.now_ns = moment - LOOK_NS
        line.mute = True  # between two lines of the log nobody answers
        await feed.until(moment)
        if what == "tick":
            line.mute = False
            line.tick(rb, moment)
        elif what == "lost 8193" and hours.phase(rb, moment) == "open":
            callbacks += 1
            silents = [event for event in feed.told(LineSilent) if event.last_tick_ns == line.last_tick_ns]
            assert silents, moment
            noticed.append((moment - silents[-1].at_ns) / NS)
        elif what == "up":
            line.up_since_ns = moment
    assert len(noticed) == callbacks
    assert callbacks > 0
    assert min(noticed) > 60
    for event in feed.told(LineSilent):
        assert hours.phase(rb, event.at_ns) == "open"
        assert event.silent_s <= event.threshold_s + 0.5
