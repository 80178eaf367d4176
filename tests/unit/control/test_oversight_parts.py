"""What the oversight hands on, to whom, and when: real lines, ledger and watchdogs, played processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.control.events import LineSilent, LineSpeaks, LineStateChanged, LineSuspect, Switch
from gateway.control.routing.primary_backup import PrimaryBackup
from gateway.control.routing.shard import Shard
from gateway.errors import ControlError
from gateway.flow.arbiter import ArbiterEvent
from gateway.flow.gaphistory import read_day
from gateway.lines.messages import Refused
from gateway.model import LineState
from gateway.settings import WatchSettings
from tests.unit.control.steered_feed import AG, AU, CU, RB, Rig, rig
from tests.unit.lines.scripted_host import settle, until

A, B = "ctp:primary", "ctp:backup"
SOON = WatchSettings(probe_s=0.01)


async def both_tick(play: Rig) -> None:
    await play.up()
    play.watch.watchdog.look()
    for line in (A, B):
        play.tick(line, RB, AG)
    play.watch.watchdog.look()


async def falls_silent(play: Rig, line: str, *, within_s: float = 10) -> None:
    """The other one goes on; the watchdog looks until it has noticed, and the line has ended."""
    other, noticed = B if line == A else A, len(play.told.of(LineSilent))
    for volume in range(2, round(within_s * 4) + 2):
        await play.clock.advance(0.25)
        if play.lines[other].state.is_up:
            play.tick(other, RB, volume=play.lines[other].counts.delivered + volume)
        play.watch.watchdog.look()
        if len(play.told.of(LineSilent)) > noticed:
            return
    raise AssertionError(f"{line} was not found silent")


# -- a silent line -------------------------------------------------------------------------------------------------


async def test_a_silent_line_is_told_uncovered_and_logged_in_anew(tmp_path: Path) -> None:
    async with rig(tmp_path, watch=SOON) as play:
        await both_tick(play)
        await falls_silent(play, A)
        (event,) = play.told.of(LineSilent)
        assert (event.line, event.judged) == (A, "other_line")
        assert play.watch.failover.facts()[0].silent
        await until(lambda: len(play.scripts[A].hosts) == 2)
        assert any(
            told.line == A and told.state == "idle" and told.reason.startswith("silent for")
            for told in play.told.of(LineStateChanged)
        )
        assert play.lines[A].counts.restarts == 0
        assert play.told.gaps == [], "the other line carries everything"


async def test_a_line_that_falls_silent_again_is_not_logged_in_anew_before_the_time(tmp_path: Path) -> None:
    async with rig(tmp_path, watch=WatchSettings(probe_s=0.01, restart_s=60)) as play:
        await both_tick(play)
        await falls_silent(play, A)
        await until(lambda: len(play.scripts[A].hosts) == 2)
        await play.back(A)
        play.watch.watchdog.look()
        await falls_silent(play, A)
        await settle()
        assert len(play.scripts[A].hosts) == 2
        assert play.watch.failover.facts()[0].silent
        assert [event.line for event in play.told.of(LineSilent)] == [A, A]


async def test_a_line_that_stays_silent_is_logged_in_anew_when_the_time_is_over(tmp_path: Path) -> None:
    async with rig(tmp_path, watch=WatchSettings(probe_s=0.01, restart_s=60)) as play:
        await both_tick(play)
        await falls_silent(play, A)
        await until(lambda: len(play.scripts[A].hosts) == 2)
        await play.back(A)
        play.watch.watchdog.look()
        await falls_silent(play, A)
        play.oversight.log_in_again()
        await settle()
        assert len(play.scripts[A].hosts) == 2, "a minute has not passed"
        await play.clock.advance(60)
        play.oversight.log_in_again()
        await until(lambda: len(play.scripts[A].hosts) == 3)
        await play.back(A)
        play.watch.watchdog.look()
        await play.clock.advance(600)
        play.oversight.log_in_again()
        await settle()
        assert len(play.scripts[A].hosts) == 3, "it is not silent now, as far as anybody knows"


async def test_a_silent_line_that_was_parked_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, router=PrimaryBackup("cold"), watch=WatchSettings(probe_s=0.01, restart_s=60)) as play:
        await play.up(A)
        play.watch.watchdog.look()
        play.lines[A].park()
        await until(lambda: play.lines[A].state is LineState.IDLE)
        await play.clock.advance(600)
        play.oversight.log_in_again()
        await settle()
        assert len(play.scripts[A].hosts) == 1
        assert play.lines[A].reason == "parked"


async def test_the_running_oversight_looks_at_silent_lines_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as play:
        looked = asyncio.Event()
        monkeypatch.setattr(play.oversight, "log_in_again", looked.set)
        await play.oversight.start(play.owner)
        async with asyncio.timeout(60):
            await looked.wait()


async def test_a_line_alone_that_is_silent_is_a_gap_since_its_last_tick_until_it_speaks(tmp_path: Path) -> None:
    async with rig(tmp_path, "primary", watch=WatchSettings(probe_s=0.01, restart_s=3600)) as play:
        await play.up()
        play.watch.watchdog.look()
        play.oversight._restarted[play.lines[A].id] = play.clock.monotonic()  # logged in anew a moment ago
        last = play.tick(A, RB, AG)
        for _ in range(40):
            await play.clock.advance(0.25)
            play.watch.watchdog.look()
            await asyncio.sleep(0.02 if play.watch.watchdog._watches[A].probe else 0)  # the probe's own time
            if play.told.of(LineSilent):
                break
        (event,) = play.told.of(LineSilent)
        assert (event.last_tick_ns, event.judged) == (last, "probe")
        assert play.oversight.ledger.open_gaps == 2
        play.tick(A, RB, volume=9)
        play.watch.watchdog.look()
        play.oversight.ledger.tick()
        assert [told.line for told in play.told.of(LineSpeaks)] == [A]
        assert not play.watch.failover.facts()[0].silent
        play.tick(A, AG, volume=9)
        play.oversight.ledger.tick()
        assert play.oversight.ledger.open_gaps == 0
        await play.oversight.written()
        assert {gap.start_ns for gap in read_day(tmp_path / "gaps.db").gaps} == {last}


# -- states --------------------------------------------------------------------------------------------------------


async def test_a_change_of_state_is_told_once_and_a_change_of_words_is_not(tmp_path: Path) -> None:
    async with rig(tmp_path, "primary") as play:
        await play.up()
        told = [(event.was, event.state) for event in play.told.of(LineStateChanged)]
        assert told == [("idle", "connecting"), ("connecting", "connected"), ("connected", "logged_in")]
        line = play.lines[A]
        line.entered(LineState.LOGGED_IN, "other words")
        play.oversight.line_changed(line)
        assert len(play.told.of(LineStateChanged)) == 3
        play.tick(A, RB)
        event = play.told.of(LineStateChanged)[-1]
        assert (event.feed, event.line, event.was, event.state) == ("ctp", A, "logged_in", "streaming")
        assert event.at_ns == line.since_ns


async def test_what_the_arbiter_says_of_a_line_is_an_event(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        play.oversight.arbiter_said(
            ArbiterEvent(line=play.lines[B].id, kind="suspect", reason="limits", contract=str(RB))
        )
        (event,) = play.told.of(LineSuspect)
        assert (event.feed, event.line, event.reason, event.contract) == ("ctp", B, "limits", str(RB))
        assert event.at_ns == play.clock.wall_ns()


# -- asked for by name ---------------------------------------------------------------------------------------------


async def test_a_feed_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        for call in (play.oversight.failover("sopt", "a test"), play.oversight.failback("sopt", "a test")):
            with pytest.raises(ControlError, match="no feed 'sopt' here; the feeds are: ctp"):
                await call
        with pytest.raises(ControlError, match="no feed 'sopt' here"):
            play.oversight.require("sopt", "a test")


async def test_a_line_that_does_not_exist_or_is_parked_cannot_be_restarted(tmp_path: Path) -> None:
    async with rig(tmp_path, router=PrimaryBackup("cold")) as play:
        await play.up(A)
        with pytest.raises(ControlError, match="no line 'ctp:third' here; the lines are: ctp:primary, ctp:backup"):
            play.oversight.restart_line("ctp:third", "a test")
        with pytest.raises(ControlError, match=r"line ctp:backup is parked; .*failover --to ctp:backup"):
            play.oversight.restart_line(B, "a test")
        play.oversight.restart_line(A, "a drill")
        await until(lambda: len(play.scripts[A].hosts) == 2)
        assert "a drill" in [event.reason for event in play.told.of(LineStateChanged)]


async def test_feed_failover_required_rises_and_falls(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await both_tick(play)
        play.oversight.require("ctp", "latency alarm", 1)
        assert play.watch.failover.required == "latency alarm"
        play.oversight.require("ctp", "latency alarm", 0)
        assert play.watch.failover.required == ""
        assert await play.watch.failover.look() is None
        play.oversight.require("ctp", "latency alarm", 0.5)
        looking = asyncio.create_task(play.watch.failover.look())
        await settle()
        await play.clock.advance(0.1)
        play.tick(B, RB, AG, volume=2)
        switch = await looking
        assert switch is not None
        assert (switch.trigger, switch.reason, switch.target, switch.ok) == ("required", "latency alarm", B, True)
        assert play.told.of(Switch) == [switch]


# -- coverage ------------------------------------------------------------------------------------------------------


async def test_coverage_tells_each_feed_what_is_wanted_and_what_is_carried(tmp_path: Path) -> None:
    async with rig(tmp_path, "primary", begin=(RB, AG, CU)) as play:
        await play.up()
        play.host(A).say(Refused(CU, "CTP:no such instrument"))
        play.tick(A, RB)
        (coverage,) = play.oversight.coverage()
        assert (coverage.feed, coverage.wanted, coverage.confirmed, coverage.ticking) == ("ctp", 3, 2, 1)
        await play.oversight.release("ctp", [CU])
        assert play.oversight.coverage()[0].wanted == 2
        await play.oversight.want("ctp", [AU])
        await play.up()
        assert play.oversight.coverage()[0].confirmed == 3


async def test_what_is_wanted_reaches_plan_lines_and_ledger(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        await play.oversight.want("ctp", [CU])
        assert CU in play.steering.wanted()
        await play.up()
        assert play.confirmed(A) == play.confirmed(B) == [AG, CU, RB]
        assert play.oversight.coverage()[0].wanted == 3
        await play.oversight.release("ctp", [CU, AG])
        assert play.wanted(A) == play.wanted(B) == [RB]
        assert play.oversight.coverage()[0].wanted == 1


async def test_what_is_wanted_has_its_place_at_once_where_the_router_gives_out_shares(tmp_path: Path) -> None:
    async with rig(tmp_path, router=Shard(), capacity=2) as play:
        await until(lambda: all(line.state.is_up for line in play.feed.lines))
        await play.watch.failover.look()
        await play.oversight.want("ctp", [CU, AU])
        assert sorted(play.wanted(A) + play.wanted(B)) == [AG, AU, CU, RB]


async def test_a_silent_line_that_died_is_not_logged_in_anew_twice(tmp_path: Path) -> None:
    async with rig(tmp_path, watch=WatchSettings(probe_s=0.01, restart_s=60)) as play:
        await both_tick(play)
        play.oversight._restarted[play.lines[A].id] = before = play.clock.monotonic()
        await falls_silent(play, A)
        await play.die(A)
        await play.clock.advance(60)
        play.oversight.log_in_again()  # the watchdog has not looked since it died
        assert play.oversight._restarted[play.lines[A].id] == before, "its next silence may be acted on at once"


# -- the end and the next start ------------------------------------------------------------------------------------


async def test_after_the_halt_lines_that_stop_are_no_reason_to_switch_and_no_gap(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.oversight.start(play.owner)
        await both_tick(play)
        await play.oversight.halt()
        await play.oversight.halt()
        for line in play.feed.lines:
            line.close()
        await until(lambda: all(line.state is LineState.STOPPED for line in play.feed.lines))
        await settle()
        assert play.told.of(Switch) == []
        assert play.told.gaps == []
        assert play.oversight.ledger.open_gaps == 0
    assert read_day(tmp_path / "gaps.db").gaps == ()


async def test_lines_that_stop_without_a_halt_would_be_a_gap(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await both_tick(play)
        for line in play.feed.lines:
            line.close()
        await until(lambda: all(line.state is LineState.STOPPED for line in play.feed.lines))
        assert play.oversight.ledger.open_gaps == 2


async def test_the_next_start_writes_what_was_missed(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await both_tick(play)
        clock = play.clock
    await clock.advance(100)
    async with rig(tmp_path, clock=clock) as play:
        assert play.oversight.ledger.open_gaps == 2
        await play.up()
        play.tick(A, RB, AG, volume=9)
        play.oversight.ledger.tick()
        assert play.oversight.ledger.open_gaps == 0
        await play.oversight.written()
    gaps = read_day(tmp_path / "gaps.db").gaps
    assert len(gaps) == 2
    assert all("the gateway was stopped" in gap.reason for gap in gaps)


async def test_the_first_plans_are_given_out_before_anybody_watches(tmp_path: Path) -> None:
    async with rig(tmp_path, begin=None) as play:
        await play.oversight.want("ctp", [RB])
        assert all(line.parked for line in play.feed.lines)
        await play.oversight.start(play.owner)
        assert not any(line.parked for line in play.feed.lines)
        await play.up()
        await play.oversight.halt()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not names & {"failover ctp", "watchdog ctp"}
