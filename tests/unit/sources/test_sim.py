from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from typing import Any

import pytest

from gateway.errors import SettingsError
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import FeedSource
from gateway.sources import sim
from gateway.sources.sim import SLICE, SimSource
from gateway.sources.sim_options import OPTIONS, SimOptions
from tests.unit.sources.recorder import HandClock, Recorder, until
from tests.unit.sources.test_market import ns

START = ns("2026-03-10T12:00:00")
ACCOUNT = Account(name="primary")


def source(clock: HandClock, account: str = "primary", **options: Any) -> SimSource:
    settings = {"contracts": 40, "rate": 1000, "auction": False, "quiet": 0} | options
    return SimSource(SimOptions.read(settings), LineId("sim", account), clock)


async def logged_in(line: SimSource, sink: Recorder, count: int | None = None) -> list[Instrument]:
    await line.start(sink)
    await until(lambda: sink.states and sink.states[-1][0] is LineState.LOGGED_IN)
    assert line._market is not None
    instruments = list(line._market.listed)[:count]
    await line.subscribe(instruments)
    return instruments


def drain(line: SimSource, clock: HandClock) -> None:
    while line.pump(clock.wall_ns()):
        pass


async def freeze(line: SimSource, sink: Recorder) -> None:
    """Stop the task that plays, so that the test alone pumps."""
    assert line._task is not None
    line._task.cancel()
    await asyncio.gather(line._task, return_exceptions=True)
    sink.ticks.clear()


async def frozen(clock: HandClock, sink: Recorder, count: int | None = None, **options: Any) -> SimSource:
    line = source(clock, **options)
    await logged_in(line, sink, count)
    await freeze(line, sink)
    drain(line, clock)  # joins the grid
    sink.ticks.clear()
    return line


async def test_the_states_are_told_as_a_real_source_tells_them(sink: Recorder) -> None:
    line = source(HandClock(START), connect_ms=1, login_ms=1)
    assert isinstance(line, FeedSource)
    await logged_in(line, sink)
    assert sink.state_names == ["connecting", "connected", "logged_in"]
    await line.aclose()
    await line.aclose()


async def test_only_subscribed_contracts_tick(sink: Recorder) -> None:
    clock = HandClock(START)
    line = source(clock)
    wanted = await logged_in(line, sink, 5)
    assert sink.up == set(wanted)
    await asyncio.sleep(0)
    for _ in range(20):
        clock.advance(0.05)
        await until(lambda: line._next is not None and line._grid.time_of(line._next) > clock.wall)
    assert {tick.instrument for tick in sink.ticks} == set(wanted)
    await line.unsubscribe(wanted[:4])
    assert sink.off == wanted[:4]
    sink.ticks.clear()
    clock.advance(0.1)
    await until(lambda: line._next is not None and line._grid.time_of(line._next) > clock.wall)
    assert {tick.instrument for tick in sink.ticks} == {wanted[4]}
    await line.aclose()


async def test_an_unknown_contract_is_refused_with_a_reason(sink: Recorder) -> None:
    line = source(HandClock(START))
    known = await logged_in(line, sink, 1)
    stranger = Instrument("SHFE", "xx9999")
    await line.subscribe([stranger, *known])
    assert list(sink.refusals) == [stranger]
    assert "SHFE.xx9999" in sink.refusals[stranger]
    await line.aclose()


@pytest.mark.parametrize("rate", [1, 333.3, 1000, 20_000])
async def test_the_rate_holds_exactly_and_never_drifts(sink: Recorder, rate: float) -> None:
    clock = HandClock(START)
    line = await frozen(clock, sink, rate=rate)
    for step in (0.0011, 0.3, 0.0449, 0.9, 0.754):  # two seconds in uneven steps
        clock.advance(step)
        drain(line, clock)
    assert abs(len(sink.ticks) - 2 * rate) <= 1
    for _ in range(50):
        clock.advance(0.96)
        drain(line, clock)
    assert abs(len(sink.ticks) - 50 * rate) <= 1
    assert line.skipped == 0
    await line.aclose()


async def test_all_contracts_get_an_equal_share(sink: Recorder) -> None:
    clock = HandClock(START)
    line = await frozen(clock, sink)
    clock.advance(0.8)
    drain(line, clock)
    assert set(Counter(tick.instrument for tick in sink.ticks).values()) == {20}
    await line.aclose()


async def test_a_line_that_starts_later_sends_equal_ticks() -> None:
    clock, early, late = HandClock(START), Recorder(), Recorder()
    first = await frozen(clock, early)
    clock.advance(0.3337)
    drain(first, clock)
    second = await frozen(clock, late, account="backup")
    early.ticks.clear()
    for step in (0.01, 0.123, 0.4):
        clock.advance(step)
        drain(first, clock)
        drain(second, clock)
    assert len(late.ticks) == 533
    assert early.ticks == late.ticks
    await first.aclose()
    await second.aclose()


async def test_a_line_that_was_frozen_joins_at_the_current_step(sink: Recorder) -> None:
    clock = HandClock(START)
    line = await frozen(clock, sink)
    clock.advance(60)
    drain(line, clock)
    assert len(sink.ticks) <= 2
    assert line.skipped >= 59_000
    assert sink.ticks[-1].exchange_ns >= clock.wall - 2_000_000_000
    await line.aclose()


async def test_a_wall_clock_that_is_set_back_does_not_silence_the_line(sink: Recorder) -> None:
    clock = HandClock(START)
    line = await frozen(clock, sink)
    clock.advance(-3600)
    drain(line, clock)
    clock.advance(0.5)
    drain(line, clock)
    assert abs(len(sink.ticks) - 500) <= 1
    await line.aclose()


async def test_a_slice_never_holds_the_loop_longer_than_its_bound(sink: Recorder) -> None:
    clock = HandClock(START)
    line = await frozen(clock, sink, rate=20_000)
    clock.advance(0.9)
    assert line.pump(clock.wall)
    assert len(sink.ticks) == SLICE
    await line.aclose()


async def test_at_saturation_a_congested_sink_gets_nothing(sink: Recorder) -> None:
    clock = HandClock(START)
    line = source(clock, rate=0)
    sink.congested = True
    await logged_in(line, sink)
    for _ in range(20):
        clock.advance(0.001)
        await asyncio.sleep(0.001)
    assert sink.ticks == []
    sink.congested = False
    await until(lambda: clock.advance(0.001) or len(sink.ticks) > 10 * SLICE)
    await line.aclose()
    count = len(sink.ticks)
    await asyncio.sleep(0)
    assert len(sink.ticks) == count


async def test_at_saturation_successive_ticks_of_a_contract_differ_and_time_goes_on(sink: Recorder) -> None:
    clock = HandClock(START)
    line = await frozen(clock, sink, rate=0)
    for _ in range(30):
        clock.advance(0.0003)
        assert line.pump(clock.wall)
    before: dict[Instrument, Tick] = {}
    for tick in sink.ticks:
        assert before.get(tick.instrument) != tick
        assert tick.exchange_ns >= getattr(before.get(tick.instrument), "exchange_ns", 0)
        before[tick.instrument] = tick
    assert max(Counter(tick.code for tick in sink.ticks).values()) - 30 * SLICE // 40 <= 1
    await line.aclose()


async def test_with_bursts_the_whole_universe_snaps_on_the_minute(sink: Recorder) -> None:
    clock = HandClock(START - 500_000_000)
    line = await frozen(clock, sink, contracts=600, bursts=True)
    clock.advance(0.9)
    drain(line, clock)
    # 900 paced ticks, and on the minute the other 599 contracts beside the one that was due.
    assert abs(len(sink.ticks) - 900 - 599) <= 1
    on_the_minute = {tick.code for tick in sink.ticks if tick.exchange_ns == START}
    assert len(on_the_minute) >= 590
    assert sorted(tick.exchange_ns for tick in sink.ticks if tick.exchange != "CZCE") == [
        tick.exchange_ns for tick in sink.ticks if tick.exchange != "CZCE"
    ]
    await line.aclose()


async def test_a_subscription_is_answered_with_the_snapshot_of_the_auction(sink: Recorder) -> None:
    clock = HandClock(START)
    line = source(clock, auction=True, quiet=1, contracts=100)
    instruments = await logged_in(line, sink)
    await until(lambda: len(sink.ticks) >= 100)
    assert [tick.instrument for tick in sink.ticks[:100]] == instruments
    assert {tick.volume for tick in sink.ticks[:100]} == {0}
    await freeze(line, sink)
    drain(line, clock)
    clock.advance(0.5)
    drain(line, clock)
    options = {item for item in instruments if line._market and line._market.listed[item].quiet}
    assert options
    assert sink.ticks
    assert not options & {tick.instrument for tick in sink.ticks}
    await line.aclose()


async def test_with_sessions_the_breaks_are_silent_and_the_open_is_not(sink: Recorder) -> None:
    clock = HandClock(ns("2026-03-10T10:14:59"))
    line = await frozen(clock, sink, sessions=True)
    clock.advance(0.9)
    drain(line, clock)
    assert len(sink.ticks) == 900
    clock.advance(0.1)
    drain(line, clock)
    count = len(sink.ticks)
    assert 999 <= count <= 1000
    for _ in range(10):
        clock.advance(60)
        drain(line, clock)
    assert len(sink.ticks) == count
    clock.wall = ns("2026-03-10T10:30:00") + 500_000_000
    drain(line, clock)
    assert abs(len(sink.ticks) - count - 500) <= 2
    await line.aclose()


async def test_a_new_trading_day_begins_with_the_matched_auction_and_new_counters(sink: Recorder) -> None:
    clock = HandClock(ns("2026-03-10T20:58:30"))
    line = await frozen(clock, sink, sessions=True, auction=True)
    clock.wall = ns("2026-03-10T20:59:01")
    drain(line, clock)
    assert len(sink.ticks) == 40
    assert {tick.trading_day for tick in sink.ticks} == {20260311}
    assert min(tick.volume for tick in sink.ticks) > 0
    await line.aclose()


async def test_a_market_that_fails_is_a_lost_line(sink: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    line = source(HandClock(START))
    monkeypatch.setattr(SimOptions, "market", lambda self: 1 / 0)
    await line.start(sink)
    await until(lambda: sink.states[-1:] and sink.states[-1][0] is LineState.LOST)
    assert "division" in sink.states[-1][1]
    await line.aclose()


def test_the_kind_is_registered_and_its_factory_importable() -> None:
    (kind,) = sim.gateway_feeds()
    assert (kind.name, kind.native, kind.needs_account, kind.options) == ("sim", False, False, OPTIONS)
    factory = kind.factory
    assert getattr(importlib.import_module(factory.__module__), factory.__name__) is factory
    assert isinstance(factory(ACCOUNT, LineId("sim", "primary"), {"contracts": 3}), FeedSource)
    assert set(SimOptions.__dataclass_fields__) == OPTIONS


async def test_the_catalogue_lists_what_the_source_streams() -> None:
    (kind,) = sim.gateway_catalogues()
    contracts = await kind.build(None, {"contracts": 30, "exchanges": ["DCE", "CZCE"]}).contracts()
    assert len(contracts) == 30
    assert {contract.instrument.exchange for contract in contracts} == {"DCE", "CZCE"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"contracts": 0}, ["contracts", "100000"]),
        ({"contracts": 2.5}, ["contracts"]),
        ({"contracts": True}, ["contracts"]),
        ({"rate": -1}, ["rate"]),
        ({"rate": "fast"}, ["rate", "fast"]),
        ({"rate": float("nan")}, ["rate"]),
        ({"rate": 0.0001}, ["rate"]),
        ({"seed": "x"}, ["seed"]),
        ({"bursts": "maybe"}, ["bursts", "true or false"]),
        ({"quiet": 2}, ["quiet"]),
        ({"exchanges": ["NYSE"]}, ["exchanges", "SHFE"]),
        ({"exchanges": []}, ["exchanges"]),
        ({"exchanges": 5}, ["exchanges"]),
        ({"trading_day": 20261399}, ["trading_day"]),
        ({"trading_day": 20260310, "sessions": True}, ["trading_day", "sessions"]),
        ({"contract": 5}, ["contract", "contracts"]),
        ({"faults": "drop"}, ["faults"]),
        ({"faults": [{"kind": "flood"}]}, ["faults[1]", "flood", "drop"]),
        ({"faults": [{"kind": "drop", "ratio": 1.5}]}, ["faults[1]", "ratio"]),
        ({"faults": [{"kind": "drop", "depth": 1}]}, ["faults[1]", "depth", "ratio"]),
        ({"faults": [{"kind": "death", "how": "softly"}]}, ["how", "segv"]),
    ],
)
def test_a_bad_option_is_named_with_its_fix(options: dict[str, Any], words: list[str]) -> None:
    findings = sim.check(ACCOUNT, options)
    assert len(findings) == 1
    for word in words:
        assert word in findings[0]
    with pytest.raises(SettingsError):
        sim.build_source(ACCOUNT, LineId("sim", "primary"), options)


def test_all_findings_are_told_at_once_and_text_values_are_understood() -> None:
    assert len(sim.check(ACCOUNT, {"contracts": 0, "rate": -1, "nonsense": 1})) == 3
    options = SimOptions.read({"contracts": "20", "rate": "0", "bursts": "true", "exchanges": "DCE, GFEX"})
    assert (options.contracts, options.rate, options.bursts) == (20, 0.0, True)
    assert options.exchanges == ("DCE", "GFEX")
