from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from gateway.control.events import ContractBack, ContractStalled, LineSilent, LineSpeaks
from gateway.control.watchdog import Watchdog
from gateway.errors import FeedgateError
from gateway.model import Instrument
from gateway.testing.clock import ManualClock
from tests.unit.control.recorded_days import NS, TableHours
from tests.unit.control.watched_feed import LOOK_NS, WatchedFeed

AP, IF, RU, SN = (
    Instrument("CZCE", "AP010"),
    Instrument("CFFEX", "IF2101"),
    Instrument("SHFE", "ru1901"),
    Instrument("SHFE", "sn1705"),
)
RUS = [Instrument("SHFE", f"ru{number}") for number in range(1901, 1913)]


def at(text: str, day: str = "2024-06-11") -> int:
    return int(datetime.fromisoformat(f"{day}T{text}+08:00").timestamp()) * NS


def ticks(begin: int, end: int, *instruments: Instrument, every_ns: int = NS // 2) -> list[tuple[int, Instrument]]:
    """A tick of every contract on each beat of ``[begin, end)``."""
    return [(moment, instrument) for moment in range(begin, end, every_ns) for instrument in instruments]


def feed(begin: int, *names: str, carry: tuple[Instrument, ...] = (RU,)) -> WatchedFeed:
    made = WatchedFeed(TableHours(), begin - LOOK_NS, *(names or ("a",)))
    for line in made.lines():
        line.carry(*carry)
        line.peers = tuple(name for name in made.by_name if name != line.name)
    return made


# -- silence that is none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closes", "opens"),
    [("10:15:00", "10:30:00"), ("11:30:00", "13:30:00"), ("15:00:00", "21:00:00")],
    ids=["the 10:15 break", "lunch", "the afternoon"],
)
async def test_silence_between_sessions_is_no_silence_and_the_clock_starts_at_the_reopening(closes, opens):
    play = feed(at("10:00:00"))
    play.clock.now_ns = at(closes) - 600 * NS
    await play.play(ticks(at(closes) - 600 * NS, at(closes), RU))
    await play.until(at(opens) + 1 * NS)
    assert (play.events, play.probes) == ([], [])
    play.by_name["a"].mute = True
    await play.until(at(opens) + 4 * NS)
    (silent,) = play.told(LineSilent)
    assert silent.at_ns >= at(opens) + 2 * NS
    assert silent.silent_s < 3.5


async def test_from_the_night_to_the_day_nothing_is_said():
    play = feed(at("22:50:00"), carry=(SN, RU, IF))
    await play.play(ticks(at("22:50:00"), at("23:00:00"), SN, RU))
    await play.play(ticks(at("23:00:00"), at("01:00:00", "2024-06-12"), SN, every_ns=5 * NS))
    await play.until(at("01:05:00", "2024-06-12"))
    play.clock.now_ns = at("08:55:00", "2024-06-12")
    await play.play(ticks(at("09:00:00", "2024-06-12"), at("09:30:00", "2024-06-12"), SN, RU))
    await play.play(ticks(at("09:30:00", "2024-06-12"), at("09:40:00", "2024-06-12"), SN, RU, IF))
    assert play.events == []


async def test_a_calm_market_that_answers_a_probe_is_no_silence():
    play = feed(at("09:00:00"))
    await play.play(ticks(at("09:00:00"), at("09:01:00"), RU))
    await play.until(at("09:01:20"))
    assert play.events == []
    assert play.watchdog.counts["probes_alive"] == len(play.probes) > 0


async def test_a_calm_market_on_two_lines_is_no_silence():
    play = feed(at("09:00:00"), "a", "b")
    await play.play(ticks(at("09:00:00"), at("09:10:00"), RU))
    await play.until(at("09:10:40"))
    assert play.events == []


async def test_a_line_that_is_not_logged_in_is_for_others_to_judge():
    play = feed(at("09:00:00"))
    await play.play(ticks(at("09:00:00"), at("09:01:00"), RU))
    play.by_name["a"].up = False
    await play.until(at("09:10:00"))
    assert (play.events, play.probes) == ([], [])


@pytest.mark.parametrize("step_s", [-3600, 30])
async def test_a_step_of_the_wall_clock_is_no_silence(step_s):
    play = feed(at("10:31:00"))
    await play.play(ticks(at("10:31:00"), at("10:32:00"), RU))
    play.clock.stepped_ns = step_s * NS
    play.by_name["a"].mute = True
    await play.until(at("10:32:01"))
    assert play.events == []
    await play.until(at("10:32:08"))
    (silent,) = play.told(LineSilent)
    assert silent.silent_s < 5


async def test_a_loop_that_stood_still_does_not_take_its_own_pause_for_the_lines():
    play = feed(at("09:00:00"))
    await play.play(ticks(at("09:00:00"), at("09:01:00"), RU))
    play.clock.now_ns += 10 * NS
    await play.look()
    assert (play.events, play.probes) == ([], [])
    assert play.watchdog.counts["restarts"] == 1


# -- silence of a line -----------------------------------------------------------------------------------------------


async def test_a_dead_line_is_noticed_by_the_other_one_without_a_probe():
    play = feed(at("09:00:00"), "a", "b", carry=tuple(RUS))
    await play.play(ticks(at("09:00:00"), at("09:06:00"), *RUS))
    await play.play(ticks(at("09:06:00"), at("09:06:10"), *RUS), "b")
    (silent,) = play.told(LineSilent)
    assert (silent.line, silent.judged) == ("a", "other_line")
    assert 2 <= silent.silent_s <= 2.75
    assert [name for name, _ in play.probes if name == "b"] == []


async def test_a_silent_line_speaks_again():
    play = feed(at("09:00:00"), "a", "b")
    await play.play(ticks(at("09:00:00"), at("09:06:00"), RU))
    await play.play(ticks(at("09:06:00"), at("09:06:20"), RU), "b")
    assert play.watchdog.silent == {"a"}
    await play.play(ticks(at("09:06:20"), at("09:06:30"), RU))
    (speaks,) = play.told(LineSpeaks)
    assert (speaks.line, play.watchdog.silent) == ("a", frozenset())
    assert 19 <= speaks.silent_s <= 22


async def test_both_dead_are_noticed_and_then_the_one_that_comes_back():
    play = feed(at("09:00:00"), "a", "b")
    await play.play(ticks(at("09:00:00"), at("09:06:00"), RU))
    for line in play.lines():
        line.mute = True
    await play.until(at("09:06:10"))
    assert {(event.line, event.judged) for event in play.told(LineSilent)} == {("a", "probe"), ("b", "probe")}
    play.by_name["b"].mute = False
    await play.play(ticks(at("09:06:10"), at("09:07:00"), RU))
    assert [event.line for event in play.told(LineSpeaks)] == ["b"]
    play.by_name["b"].mute = True
    await play.until(at("09:07:10"))
    assert [event.line for event in play.told(LineSilent)][2:] == ["b"]


@pytest.mark.parametrize("others", [(), ("b",)])
async def test_a_line_without_a_first_tick_is_silent_too(others):
    play = feed(at("09:30:00"), "a", *others)
    play.by_name["a"].mute = True
    await play.play(ticks(at("09:30:00"), at("09:30:05"), RU))
    (silent,) = play.told(LineSilent)
    assert (silent.line, silent.last_tick_ns) == ("a", None)
    assert silent.silent_s <= 3.5


async def test_the_backup_is_watched_from_its_login_on():
    play = feed(at("09:30:00"), "a", "b")
    backup = play.by_name["b"]
    backup.up = False
    await play.play(ticks(at("09:30:00"), at("09:31:00"), RU), "a")
    play.by_name["a"].up = False
    backup.up, backup.up_since_ns, backup.mute = True, play.clock.now_ns, True
    await play.until(at("09:31:05"))
    (silent,) = play.told(LineSilent)
    assert silent.line == "b"
    assert silent.silent_s <= 3.5


async def test_lines_with_other_contracts_are_no_evidence():
    play = feed(at("09:00:00"), "a", "b")
    for line in play.lines():
        line.peers = ()
    await play.play(ticks(at("09:00:00"), at("09:06:00"), RU))
    await play.play(ticks(at("09:06:00"), at("09:06:20"), RU), "b")
    assert play.events == []
    assert {name for name, _ in play.probes} == {"a"}


async def test_a_probe_that_raises_counts_as_no_answer(caplog):
    play = feed(at("09:00:00"))

    async def broken(line):
        raise RuntimeError("a bug")

    play.probe = broken
    await play.play(ticks(at("09:00:00"), at("09:01:00"), RU))
    await play.until(at("09:01:10"))
    assert [event.judged for event in play.told(LineSilent)] == ["probe"]
    assert "could not be probed" in caplog.text


async def test_a_probe_that_never_returns_does_not_delay_the_verdict():
    play = feed(at("09:00:00"))
    cancelled = asyncio.Event()

    async def hangs(line):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    play.probe = hangs
    await play.play(ticks(at("09:00:00"), at("09:01:00"), RU))
    await play.until(at("09:01:03"))
    (silent,) = play.told(LineSilent)
    assert silent.silent_s <= 3.5
    await asyncio.wait_for(cancelled.wait(), 60)


# -- contracts -------------------------------------------------------------------------------------------------------


async def test_a_contract_that_stops_while_its_line_goes_on_is_stalled_and_comes_back():
    play = feed(at("09:00:00"), carry=(RU, SN))
    await play.play(ticks(at("09:00:00"), at("09:10:00"), RU, SN))
    await play.play(ticks(at("09:10:00"), at("09:12:00"), SN))
    (stalled,) = play.told(ContractStalled)
    assert (stalled.line, stalled.instrument) == ("a", "SHFE.ru1901")
    assert 60 <= stalled.silent_s <= 62.5
    assert play.watchdog.stalled == {"a": 1}
    await play.play(ticks(at("09:12:00"), at("09:12:10"), RU, SN))
    (back,) = play.told(ContractBack)
    assert back.instrument == "SHFE.ru1901"
    assert play.watchdog.stalled == {"a": 0}
    assert play.told(LineSilent) == []


async def test_a_contract_that_is_quiet_by_its_own_history_is_not_stalled():
    play = feed(at("09:00:00"), carry=(RU, SN))
    both = ticks(at("09:00:00"), at("10:14:00"), SN) + ticks(at("09:00:00"), at("10:14:00"), RU, every_ns=70 * NS)
    await play.play(sorted(both))
    assert play.events == []


async def test_a_contract_that_has_not_ticked_or_hardly_is_quiet():
    option = Instrument("SHFE", "ru1901C20000")
    play = feed(at("09:00:00"), carry=(SN, option, RU))
    await play.play(sorted(ticks(at("09:00:00"), at("10:14:00"), SN) + ticks(at("09:00:00"), at("09:00:05"), RU)))
    assert play.events == []


async def test_contracts_are_not_stalled_by_breaks_and_night():
    play = feed(at("10:00:00"), carry=(RU, IF))
    await play.play(ticks(at("10:00:00"), at("10:15:00"), RU, IF))
    await play.play(ticks(at("10:15:00"), at("10:30:00"), IF))
    await play.play(ticks(at("10:30:30"), at("10:33:00"), RU, IF))
    assert play.told(ContractStalled) == []


async def test_a_silent_line_does_not_tell_each_of_its_contracts():
    play = feed(at("09:00:00"), carry=tuple(RUS))
    await play.play(ticks(at("09:00:00"), at("09:06:00"), *RUS))
    play.by_name["a"].mute = True
    await play.until(at("09:10:00"))
    assert len(play.told(LineSilent)) == 1
    assert play.told(ContractStalled) == []


async def test_contracts_that_are_added_later_are_watched_too():
    play = feed(at("09:00:00"), carry=(SN,))
    await play.play(ticks(at("09:00:00"), at("09:02:00"), SN))
    play.by_name["a"].carry(RU)
    await play.play(ticks(at("09:02:00"), at("09:10:00"), SN, RU))
    await play.play(ticks(at("09:10:00"), at("09:11:30"), SN))
    assert [event.instrument for event in play.told(ContractStalled)] == ["SHFE.ru1901"]


# -- running ---------------------------------------------------------------------------------------------------------


async def test_run_looks_four_times_a_second_and_ends_its_probes():
    clock = ManualClock(wall_ns=at("09:30:00"))
    play = feed(at("09:30:00"))
    hanging = asyncio.Event()

    async def hangs(line):
        await hanging.wait()

    play.probe = hangs
    watchdog = Watchdog("ctp", play, TableHours(), clock, play.events.append, sleep=clock.sleep)
    task = asyncio.create_task(watchdog.run())
    await clock.advance(2.5)
    assert watchdog.counts["looks"] == 11
    assert watchdog.counts["probes"] == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one for one in asyncio.all_tasks() if one.get_name().startswith("probe")] == []


async def test_a_calendar_that_has_ended_is_told_once_and_does_not_end_the_watch(caplog):
    class Ended(TableHours):
        over = True

        def phase(self, instrument, moment_ns):
            if self.over:
                raise FeedgateError("the calendar ends on 2022-10-07")
            return super().phase(instrument, moment_ns)

    clock, hours = ManualClock(wall_ns=at("09:30:00")), Ended()
    play = feed(at("09:30:00"))
    play.by_name["a"].mute = True
    watchdog = Watchdog("ctp", play, hours, clock, play.events.append, sleep=clock.sleep)
    task = asyncio.create_task(watchdog.run())
    await clock.advance(10)
    assert watchdog.counts["blind"] == 41
    assert caplog.text.count("is not watched: the calendar ends") == 1
    hours.over = False
    await clock.advance(10)
    assert [event.line for event in play.told(LineSilent)] == ["a"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
