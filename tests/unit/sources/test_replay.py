from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.errors import CatalogueError, SettingsError
from gateway.model import Account, Instrument, LineId, LineState
from gateway.ports import FeedSource
from gateway.sources import replay
from gateway.sources.playback import Pace
from gateway.sources.recordings import Recording
from gateway.sources.replay import ReplayCatalogue, ReplaySource, contracts_of
from gateway.sources.replay_options import OPTIONS, ReplayOptions
from tests.unit.sources.recorder import HandClock, Recorder, until
from tests.unit.sources.test_market import ns
from tests.unit.sources.test_recordings import FILES, HEADER, MULTI, row, ticks_of

ACCOUNT = Account(name="primary")
RB, CU = Instrument("SHFE", "rb2510"), Instrument("SHFE", "cu2510")


def write(path: Path, *rows: list[str]) -> Path:
    path.write_text("\n".join(",".join(each) for each in [HEADER, *rows]))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two contracts, ten seconds, a lunch break, and one row that is no tick."""
    rows = [
        row(UpdateTime=f"09:00:{n:02d}", Volume=str(n), InstrumentID=("rb2510", "cu2510")[n % 2]) for n in range(10)
    ]
    return write(tmp_path / "small.csv", *rows, row(LastPrice="junk"), row(UpdateTime="13:30:00", Volume="99"))


def source(path: Path, **options: Any) -> ReplaySource:
    values = {"path": str(path), "speed": 0, "settle_s": 0} | options
    return ReplaySource(ReplayOptions.read(values), LineId("replay", "primary"), SystemClock())


async def play(line: ReplaySource, sink: Recorder, *instruments: Instrument) -> None:
    await line.start(sink)
    await until(lambda: "logged_in" in sink.state_names)
    await line.subscribe(instruments or sorted(line._known or ()))
    await line.ended.wait()
    await line.aclose()


@pytest.mark.recorded
@pytest.mark.parametrize("name", [name for name in FILES if name != MULTI])
async def test_the_whole_recording_arrives_in_file_order(data: Path, sink: Recorder, name: str) -> None:
    await play(source(data / name), sink)
    assert sink.state_names == ["connecting", "connected", "logged_in"]
    assert sink.ticks == ticks_of(data / name)
    assert not sink.rejects


@pytest.mark.recorded
async def test_only_subscribed_contracts_are_played(data: Path, sink: Recorder) -> None:
    await play(source(data / MULTI), sink, Instrument("SHFE", "sn1705"), Instrument("DCE", "v1709"))
    assert len(sink.ticks) == 17_478 + 14_590


@pytest.mark.recorded
async def test_the_catalogue_lists_the_contracts_of_the_file(data: Path) -> None:
    contracts = await ReplayCatalogue(data / MULTI).contracts()
    assert len(contracts) == 15
    assert {contract.instrument.exchange for contract in contracts} == {"SHFE", "DCE", "CZCE", "CFFEX"}
    assert {contract.kind for contract in contracts} == {"future"}


async def test_a_contract_that_is_not_in_the_file_is_refused(small: Path, sink: Recorder) -> None:
    stranger = Instrument("DCE", "m2509")
    await play(source(small), sink, RB, stranger)
    assert "small.csv" in sink.refusals[stranger]
    assert sink.up == {RB}


async def test_without_a_scan_every_subscription_is_confirmed(small: Path, sink: Recorder) -> None:
    await play(source(small, scan=False), sink, RB, Instrument("DCE", "m2509"))
    assert len(sink.up) == 2
    assert not sink.refusals


async def test_a_bad_row_is_a_counted_reject_and_the_rest_goes_on(
    small: Path, sink: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    await play(source(small), sink)
    assert sink.rejects == {"bad_row": 1}
    assert [tick.volume for tick in sink.ticks] == [*range(10), 99]
    assert "line 12" in caplog.text


async def test_start_and_stop_cut_the_recording(small: Path, sink: Recorder) -> None:
    await play(source(small, start="2025-03-10T09:00:03", stop="2025-03-10T09:00:07"), sink)
    assert [tick.volume for tick in sink.ticks] == [3, 4, 5, 6]


async def test_looping_dates_each_pass_a_week_later(small: Path, sink: Recorder) -> None:
    line = source(small, loop=True)
    await line.start(sink)
    await until(lambda: "logged_in" in sink.state_names)
    await line.subscribe([RB, CU])
    await until(lambda: len(sink.ticks) >= 33)
    await line.aclose()
    stamps = [tick.exchange_ns for tick in sink.ticks]
    assert stamps == sorted(stamps)
    assert [sink.ticks[n].trading_day for n in (0, 11, 22)] == [20250310, 20250317, 20250324]
    assert sink.ticks[11].exchange_ns - sink.ticks[0].exchange_ns == 7 * 86_400 * 10**9


def test_pacing_follows_the_recording_at_the_multiple_and_shortens_pauses() -> None:
    clock = HandClock(0)
    pace = Pace(2.0, 1.5, clock)
    second = 1_000_000_000
    start = 1000 * second
    assert pace.wait_s(start) == 0
    assert pace.wait_s(start + second) == 0.5
    clock.advance(0.5)
    assert pace.wait_s(start + 2 * second) == 0.5
    assert pace.wait_s(start + second) == 0.5  # a stamp that goes back is due with its neighbours
    assert pace.wait_s(start + 7200 * second) == 2.0  # a lunch of two hours lasts one and a half seconds
    pace.next_pass()
    assert pace.wait_s(start) == 2.0
    assert pace.wait_s(start + second) == 2.5


async def test_paced_play_waits_for_the_clock(small: Path, sink: Recorder) -> None:
    clock = HandClock(ns("2026-03-10T12:00:00"))
    options = ReplayOptions.read({"path": str(small), "speed": 1000, "settle_s": 0})
    line = ReplaySource(options, LineId("replay", "primary"), clock)
    await line.start(sink)
    await until(lambda: "logged_in" in sink.state_names)
    await line.subscribe([RB, CU])
    await until(lambda: sink.ticks)
    clock.advance(100)
    await line.ended.wait()
    assert len(sink.ticks) == 11
    await line.aclose()


async def test_playing_begins_when_the_subscriptions_have_settled(small: Path, sink: Recorder) -> None:
    clock = HandClock(ns("2026-03-10T12:00:00"))
    options = ReplayOptions.read({"path": str(small), "speed": 0, "settle_s": 5})
    line = ReplaySource(options, LineId("replay", "primary"), clock)
    await line.start(sink)
    await until(lambda: "logged_in" in sink.state_names)
    await line.subscribe([RB])
    clock.advance(4)
    await line.subscribe([CU])
    clock.advance(4)
    assert sink.ticks == []
    clock.advance(1.1)
    await line.ended.wait()
    assert len(sink.ticks) == 11
    await line.aclose()


async def test_faults_work_on_recordings_too(small: Path, sink: Recorder) -> None:
    faults = [{"kind": "duplicate", "ratio": 1}, {"kind": "reorder", "ratio": 0.5, "depth": 50}]
    await play(source(small, faults=faults), sink)
    assert sorted(tick.volume for tick in sink.ticks) == sorted([*range(10), 99] * 2)


async def test_an_unsubscribed_contract_falls_silent(small: Path, sink: Recorder) -> None:
    line = source(small, settle_s=0.05)
    await line.start(sink)
    await until(lambda: "logged_in" in sink.state_names)
    await line.subscribe([RB, CU])
    await line.unsubscribe([CU])
    await line.ended.wait()
    assert sink.off == [CU]
    assert {tick.instrument for tick in sink.ticks} == {RB}
    await line.aclose()


async def test_a_file_that_vanishes_is_a_lost_line(small: Path, sink: Recorder) -> None:
    line = source(small)
    small.unlink()
    await line.start(sink)
    await until(lambda: "lost" in sink.state_names)
    assert sink.states[-1][0] is LineState.LOST
    assert "small.csv" in sink.states[-1][1]
    await line.aclose()
    with pytest.raises(CatalogueError, match="small"):
        await ReplayCatalogue(small).contracts()


def test_the_kind_is_registered_and_its_factory_importable(small: Path) -> None:
    (kind,) = replay.gateway_feeds()
    assert (kind.name, kind.native, kind.needs_account, kind.options) == ("replay", False, False, OPTIONS)
    factory = kind.factory
    assert getattr(importlib.import_module(factory.__module__), factory.__name__) is factory
    assert isinstance(factory(ACCOUNT, LineId("replay", "primary"), {"path": str(small)}), FeedSource)
    (catalogue,) = replay.gateway_catalogues()
    assert isinstance(catalogue.build(None, {"path": str(small)}), ReplayCatalogue)
    assert [contract.instrument for contract in contracts_of(Recording(small))] == [RB, CU]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": ""}, ["path", "CSV"]),
        ({"path": "/nowhere/at.csv"}, ["path", "no such file"]),
        ({"speed": -1}, ["speed"]),
        ({"start": "yesterday"}, ["start", "2017-04-14T09:00:00"]),
        ({"start": "2025-03-10T10:00:00", "stop": "2025-03-10T09:00:00"}, ["stop", "later"]),
        ({"max_pause_s": "long"}, ["max_pause_s"]),
        ({"rate": 5}, ["rate", "speed"]),
    ],
)
def test_a_bad_option_is_named_with_its_fix(small: Path, options: dict[str, Any], words: list[str]) -> None:
    findings = replay.check(ACCOUNT, {"path": str(small)} | options)
    assert len(findings) == 1
    for word in words:
        assert word in findings[0]
    with pytest.raises(SettingsError):
        replay.build_source(ACCOUNT, LineId("replay", "primary"), {"path": str(small)} | options)


def test_a_file_of_the_wrong_kind_is_found_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("when,open\n")
    (finding,) = replay.check(ACCOUNT, {"path": str(path)})
    assert "when, open" in finding
