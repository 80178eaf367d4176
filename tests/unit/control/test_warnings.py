"""What somebody should look at now: each warning comes with its cause and goes with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.control.routing.all_hot import AllHot
from gateway.control.routing.primary_backup import PrimaryBackup
from gateway.control.warnings import warnings_of
from gateway.flow.gaps import StoreHealth
from gateway.flow.gapstore import GapStore
from gateway.lines.messages import Refused
from gateway.model import LineState
from gateway.settings import FailoverSettings
from tests.unit.control.steered_feed import AG, CU, RB, Rig, rig
from tests.unit.lines.scripted_host import until

A, B = "ctp:primary", "ctp:backup"
ALONE_B = "feed ctp: ctp:backup is alone; if it is lost, ticks are lost"
ALONE_A = "feed ctp: ctp:primary is alone; if it is lost, ticks are lost"
NOBODY = "feed ctp: no line is usable"


def told(play: Rig) -> list[str]:
    return warnings_of(play.oversight)


async def test_two_lines_that_are_up_are_nothing_to_look_at(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        assert told(play) == []


async def test_a_parked_backup_is_nothing_to_look_at(tmp_path: Path) -> None:
    async with rig(tmp_path, router=PrimaryBackup("cold")) as play:
        await play.up(A)
        assert told(play) == []


async def test_a_single_line_is_not_called_alone(tmp_path: Path) -> None:
    async with rig(tmp_path, "primary") as play:
        await play.up()
        assert told(play) == []


async def test_a_lost_line_and_the_one_that_is_alone_now_are_told_until_it_is_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        await play.die(A)
        assert told(play) == [ALONE_B, "line ctp:primary is lost"]
        await play.clock.advance(1000)
        play.lines[A].restart("look at the clock")
        await play.back(A)
        assert told(play) == []


async def test_a_refused_line_is_called_so(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        play.host(B).state(LineState.REFUSED, "CTP:invalid login")
        assert told(play) == [ALONE_A, "line ctp:backup is refused"]


async def test_when_no_line_is_left_the_gaps_come_first(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        await play.die(A)
        await play.die(B)
        assert told(play) == [
            "2 wanted contracts are in session and no line carries them",
            NOBODY,
            "line ctp:primary is lost",
            "line ctp:backup is lost",
        ]


async def test_lines_that_were_stopped_are_not_complained_of(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        await play.oversight.halt()
        for line in play.feed.lines:
            line.close()
        await until(lambda: all(line.state is LineState.STOPPED for line in play.feed.lines))
        assert told(play) == [NOBODY]


async def test_a_silent_line_is_told_until_it_speaks(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        play.watch.failover.line_silent(A)
        assert told(play) == [ALONE_B, "line ctp:primary is logged in and silent in session"]
        play.watch.failover.line_speaks(A)
        assert told(play) == []


async def test_a_line_that_is_not_believed_does_not_count_as_a_second_one(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        record = play.pipeline.feeds["ctp"].arbiter._lines[play.lines[A].id]
        record.suspect = True
        assert told(play) == [ALONE_B, "line ctp:primary contradicts the others and is not believed"]
        record.suspect = False
        assert told(play) == []


async def test_a_failed_switch_is_told_until_one_succeeds(tmp_path: Path) -> None:
    async with rig(tmp_path, router=PrimaryBackup("cold"), failover=FailoverSettings(up_s=1)) as play:
        await play.up(A)
        play.scripts[B].logs_in = False
        command = asyncio.create_task(play.oversight.failover("ctp", "a drill"))
        await until(lambda: bool(play.scripts[B].hosts))
        await play.clock.advance(2)
        switch = await command
        assert not switch.ok
        assert told(play) == [f"feed ctp: the last failover to ctp:backup failed: {switch.error}"]
        assert (await play.oversight.failback("ctp", "to be sure")).ok
        assert told(play) == []


async def test_a_ledger_that_cannot_write_is_told_until_it_can(tmp_path: Path, monkeypatch) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        bad = StoreHealth(degraded=True, reason="disk full", waiting=7, lost=0)
        worse = StoreHealth(degraded=True, reason="disk full", waiting=9, lost=4)
        cured = StoreHealth(degraded=False, reason="", waiting=0, lost=4)
        words = []
        for health in (bad, worse, cured):
            monkeypatch.setattr(GapStore, "health", health)
            words.append(told(play))
        monkeypatch.undo()
        assert words == [
            ["the gap ledger cannot write (disk full); 7 rows wait in memory"],
            [
                "the gap ledger cannot write (disk full); 9 rows wait in memory",
                "the gap ledger had no room for 4 rows",
            ],
            ["the gap ledger had no room for 4 rows"],
        ]
        assert told(play) == []


async def test_a_temporary_ledger_is_told_with_the_fix(tmp_path: Path) -> None:
    async with rig(tmp_path, keep=False) as play:
        await play.up()
        (warning,) = told(play)
        assert "FEEDGATE_LEDGER__PATH" in warning


async def test_contracts_without_room_are_told_until_they_have_some(tmp_path: Path) -> None:
    async with rig(tmp_path, router=AllHot(), capacity=2, begin=(RB, AG, CU)) as play:
        await play.up()
        assert "feed ctp: 1 wanted contracts have no line with room for them" in told(play)
        await play.oversight.release("ctp", [CU])
        await play.watch.failover.look()
        await until(lambda: told(play) == [])


async def test_refused_contracts_are_told_per_line_until_nobody_wants_them(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        play.host(B).say(Refused(RB, "CTP:no such instrument"))
        assert told(play) == ["line ctp:backup: the counter refused 1 contracts"]
        await play.oversight.release("ctp", [RB])
        assert told(play) == []


async def test_stalled_contracts_are_told_until_they_tick(tmp_path: Path) -> None:
    async with rig(tmp_path, "primary") as play:
        await play.up()
        watchdog = play.watch.watchdog
        watchdog.look()
        volume = 0

        async def passes(seconds: int, *ticking) -> None:
            nonlocal volume
            for _ in range(seconds * 4):
                await play.clock.advance(0.25)
                volume += 1
                play.tick(A, *ticking, volume=volume)
                watchdog.look()

        await passes(310, RB, AG)
        assert told(play) == []
        await passes(70, RB)
        assert told(play) == ["feed ctp: 1 contracts ticked today and have stopped while their market is open"]
        await passes(2, RB, AG)
        assert told(play) == []
