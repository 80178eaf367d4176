from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.model import UNPUBLISHED, Instrument, LineId, LineState, Tick
from gateway.sources.faults import DEATHS, Fault, FaultySink, may_die, read_faults
from gateway.sources.option_values import OptionReader
from gateway.sources.sim import SimSource
from gateway.sources.sim_options import SimOptions
from tests.unit.sources.recorder import HandClock, Recorder, until
from tests.unit.sources.test_market import ns

ROOT = Path(__file__).resolve().parents[3]


def stream(count: int) -> list[Tick]:
    return [
        Tick(*UNPUBLISHED, "SHFE", "rb2701", 20260310, number, 1.0, number, *[None] * 13, (), (), (), ())
        for number in range(count)
    ]


def through(sink: Recorder, ticks: list[Tick], *faults: Fault, dice: str = "1") -> FaultySink:
    stage = FaultySink(sink, faults, Random(dice))
    for tick in ticks:
        stage.tick(tick)
    stage.flush()
    return stage


def test_drop_loses_its_share_and_counts_it(sink: Recorder) -> None:
    stage = through(sink, stream(10_000), Fault(kind="drop", ratio=0.1))
    assert 850 < stage.counts["drop"] < 1150
    assert len(sink.ticks) + stage.counts["drop"] == 10_000


def test_duplicate_sends_its_share_twice(sink: Recorder) -> None:
    stage = through(sink, stream(10_000), Fault(kind="duplicate", ratio=0.1))
    assert len(sink.ticks) == 10_000 + stage.counts["duplicate"]
    assert 850 < stage.counts["duplicate"] < 1150
    assert len(set(map(id, sink.ticks))) == 10_000


def test_reorder_lets_exactly_so_many_ticks_overtake_and_loses_none(sink: Recorder) -> None:
    stage = through(sink, stream(5000), Fault(kind="reorder", ratio=0.02, depth=3))
    volumes = [tick.volume for tick in sink.ticks]
    assert sorted(volumes) == list(range(5000))
    late = sum(1 for place, volume in enumerate(volumes) if any(v > volume for v in volumes[max(0, place - 9) : place]))
    assert late == stage.counts["reorder"] > 50


def test_the_same_seed_fails_the_same_way_and_another_does_not() -> None:
    kept = []
    for dice in ("1:sim:a", "1:sim:a", "1:sim:b"):
        sink = Recorder()
        through(sink, stream(500), Fault(kind="drop", ratio=0.3), dice=dice)
        kept.append([tick.volume for tick in sink.ticks])
    assert kept[0] == kept[1] != kept[2]


def test_silence_swallows_ticks_until_the_last_silence_ends(sink: Recorder) -> None:
    stage = FaultySink(sink, [], Random(1))
    ticks = stream(4)
    stage.silence(begins=True)
    stage.tick(ticks[0])
    stage.silence(begins=True)
    stage.silence(begins=False)
    stage.tick(ticks[1])
    stage.silence(begins=False)
    stage.tick(ticks[2])
    assert sink.ticks == [ticks[2]]
    assert stage.counts["silence"] == 2


async def test_delay_holds_every_tick_and_keeps_the_order(sink: Recorder) -> None:
    stage = FaultySink(sink, [Fault(kind="delay", ms=30)], Random(1))
    ticks, loop = stream(100), asyncio.get_running_loop()
    begun = loop.time()
    for tick in ticks:
        stage.tick(tick)
    assert sink.ticks == []
    await until(lambda: len(sink.ticks) == 100)
    assert sink.ticks == ticks
    assert loop.time() - begun >= 0.03
    stage.tick(ticks[0])
    stage.close()
    assert stage._timer is None


async def test_a_delay_is_bounded_and_counts_what_it_drops(sink: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sources.faults._HELD", 10)
    stage = through(sink, stream(25), Fault(kind="delay", ms=60_000))
    assert sink.rejects == {"fault_delay_overflow": 15}
    stage.close()


def test_everything_but_ticks_passes_at_once(sink: Recorder) -> None:
    stage = FaultySink(sink, [Fault(kind="drop", ratio=1)], Random(1))
    one = Instrument("SHFE", "rb2701")
    stage.state(LineState.LOST, "gone")
    stage.confirmed([one])
    stage.refused(one, "no")
    stage.unsubscribed([one])
    stage.reject("word")
    assert sink.states == [(LineState.LOST, "gone")]
    assert (sink.up, sink.refusals, sink.off, sink.rejects) == ({one}, {one: "no"}, [one], {"word": 1})
    assert not stage.congested
    sink.congested = True
    assert stage.congested


def line(account: str = "primary", *, faults: list[dict[str, Any]], **options: Any) -> SimSource:
    values = {"contracts": 5, "rate": 1000, "auction": False, "faults": faults} | options
    return SimSource(SimOptions.read(values), LineId("sim", account), HandClock(ns("2026-03-10T12:00:00")))


async def test_a_refused_login_is_reported_with_its_reason(sink: Recorder) -> None:
    source = line(faults=[{"kind": "refuse_login", "reason": "CTP: invalid password"}])
    await source.start(sink)
    await until(lambda: "refused" in sink.state_names)
    assert sink.states[-1] == (LineState.REFUSED, "CTP: invalid password")
    assert "logged_in" not in sink.state_names
    await source.aclose()


async def test_a_disconnect_loses_the_subscriptions_and_the_line_comes_back(sink: Recorder) -> None:
    source = line(faults=[{"kind": "disconnect", "at_s": 3.0, "for_s": 0.02}])
    await source.start(sink)
    await until(lambda: "logged_in" in sink.state_names)
    await source.subscribe([Instrument("SHFE", "rb2701")])
    await until(lambda: sink.state_names.count("logged_in") == 2)
    assert sink.state_names == [
        "connecting", "connected", "logged_in", "lost", "connecting", "connected", "logged_in"
    ]  # fmt: skip
    assert source._subscribed == {}
    await source.aclose()


async def test_a_storm_calls_back_as_often_as_asked_and_then_the_line_recovers(sink: Recorder) -> None:
    source = line(faults=[{"kind": "storm", "at_s": 0.05, "for_s": 0.1, "per_second": 7300}])
    await source.start(sink)
    await until(lambda: sink.state_names.count("logged_in") == 2)
    assert sink.state_names.count("lost") == 730
    await source.aclose()


async def test_a_silence_begins_and_ends_by_itself(sink: Recorder) -> None:
    source = line(faults=[{"kind": "silence", "at_s": 0.01, "for_s": 0.02}])
    await source.start(sink)
    assert source._stage is not None
    told: list[bool] = []
    source._stage.silence = lambda *, begins: told.append(begins)  # type: ignore[method-assign]  # to watch
    await until(lambda: told == [True, False])
    await until(lambda: sink.state_names[-1:] == ["logged_in"])
    assert "lost" not in sink.state_names
    await source.aclose()


async def test_a_fault_for_one_account_spares_the_other_line(sink: Recorder) -> None:
    faults = [{"kind": "refuse_login", "lines": ["backup"]}]
    source = line(faults=faults)
    await source.start(sink)
    await until(lambda: sink.state_names[-1:] == ["logged_in"])
    await source.aclose()
    assert line("backup", faults=faults)._faults


async def test_death_in_the_core_process_is_a_lost_line_and_not_a_dead_gateway(sink: Recorder) -> None:
    source = line(faults=[{"kind": "death", "at_s": 0.01, "how": "kill"}])
    await source.start(sink)
    await until(lambda: "lost" in sink.state_names)
    assert "child process" in sink.states[-1][1]
    await source.aclose()


def test_only_the_process_of_a_line_may_die() -> None:
    def main(name: str | None) -> SimpleNamespace:
        return SimpleNamespace(__spec__=SimpleNamespace(name=name) if name else None)

    assert not may_die()
    assert may_die(main("gateway.lines.child"))
    assert not may_die(main("gateway.__main__"))
    assert not may_die(main(None))


@pytest.mark.parametrize(
    ("how", "code"),
    [("exit", 70), ("segv", -signal.SIGSEGV), ("kill", -signal.SIGKILL), ("abort", -signal.SIGABRT)],
)
def test_each_death_really_kills_the_process(how: str, code: int) -> None:
    program = f"from gateway.sources.faults import die; die({how!r}); print('alive')"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=30)
    assert done.returncode == code
    assert done.stdout == b""


def test_stop_freezes_the_process() -> None:
    program = "from gateway.sources.faults import die; die('stop')"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as process:
        stat = Path(f"/proc/{process.pid}/stat")
        try:
            for _ in range(20_000_000):
                if stat.read_text().rsplit(")", 1)[1].split()[0] == "T":
                    break
                assert process.poll() is None
            else:
                pytest.fail("the process did not stop")
        finally:
            process.kill()


def test_all_kinds_of_faults_are_read() -> None:
    reader = OptionReader(
        {
            "faults": [
                {"kind": "delay", "ms": 5},
                {"kind": "silence", "at_s": 1, "for_s": 2},
                {"kind": "drop", "ratio": 0.5},
                {"kind": "duplicate", "ratio": 0.5},
                {"kind": "reorder", "ratio": 0.5, "depth": 3},
                *({"kind": "death", "at_s": 3, "how": how} for how in DEATHS),
                {"kind": "disconnect", "at_s": 1, "for_s": 2},
                {"kind": "refuse_login", "reason": "no"},
                {"kind": "storm", "at_s": 1, "per_second": 730},
            ]
        },
        known=["faults"],
    )
    faults = read_faults(reader)
    assert reader.findings == []
    assert len(faults) == 13
    assert faults[4] == Fault(kind="reorder", ratio=0.5, depth=3)
