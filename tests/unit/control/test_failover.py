from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from gateway.control.events import Switch, Unplaced, event_subject
from gateway.control.failover import Failover, FailoverRules, SwitchRefusedError
from gateway.control.routing.all_hot import AllHot
from gateway.control.routing.primary_backup import PrimaryBackup
from gateway.control.switching import Phase
from gateway.errors import ControlError
from gateway.model import SHANGHAI, Instrument, LineState
from gateway.plan import AccountRouter
from gateway.testing.clock import ManualClock
from tests.unit.control.acted_feed import AG, RB, ActedFeed

MORNING = int(datetime(2024, 6, 11, 9, 30, tzinfo=SHANGHAI).timestamp()) * 10**9


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"2024-06-11T{text}+08:00").timestamp()) * 10**9


class Hours:
    """Open from 9:00 to 15:00 and from 21:00."""

    def phase(self, instrument: Instrument, moment_ns: int) -> Phase:
        return "open" if self.any_open(moment_ns) else "closed"

    def any_open(self, moment_ns: int) -> bool:
        hour = datetime.fromtimestamp(moment_ns / 1e9, SHANGHAI).hour
        return 9 <= hour < 15 or hour >= 21


class Stage:
    def __init__(self, router: AccountRouter, *names: str, wall_ns: int, rules: FailoverRules | None) -> None:
        self.clock = ManualClock(wall_ns=wall_ns)
        self.feed = ActedFeed(self.clock, *names)
        self.events: list[object] = []
        self.failover = Failover(
            "ctp", self.feed, router, Hours(), self.clock, self.events.append, rules=rules, sleep=self.clock.sleep
        )
        self.feed.failover = self.failover

    async def until_tick(self, name: str) -> None:
        line = self.feed.lines[name]
        for _ in range(400):
            if line.state is LineState.STREAMING:
                return
            await self.clock.advance(0.05)
        raise AssertionError(f"{name} never ticked")

    def switches(self) -> list[Switch]:
        return [event for event in self.events if isinstance(event, Switch)]


@asynccontextmanager
async def stage(
    router: AccountRouter, *names: str, wall_ns: int = MORNING, rules: FailoverRules | None = None
) -> AsyncIterator[Stage]:
    play = Stage(router, *(names or ("a", "b")), wall_ns=wall_ns, rules=rules)
    run = asyncio.create_task(play.failover.run())
    try:
        yield play
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await play.feed.aclose()


COLD, HOT = PrimaryBackup("cold"), PrimaryBackup("hot")


# -- automatic, cold -----------------------------------------------------------------------------------------------


async def test_cold_only_the_preferred_line_is_logged_in_at_the_start():
    async with stage(COLD) as play:
        await play.until_tick("a")
        assert play.failover.plan.prefer == "a"
        assert play.feed.lines["b"].parked


async def test_cold_a_lost_line_is_replaced_and_the_latency_is_told_from_the_ticks():
    async with stage(COLD) as play:
        await play.until_tick("a")
        await play.clock.advance(1)
        last = play.feed.last_tick_ns("a")
        await play.feed.kill("a")
        await play.clock.advance(2)
        (switch,) = play.switches()
        assert switch.ok
        assert (switch.kind, switch.source, switch.target, switch.trigger) == ("failover", "a", "b", "line_lost")
        first = play.feed.lines["b"].history[RB][0]
        assert switch.latency_ms == (first - last) / 1e6
        assert {one.instrument for one in switch.contracts} == {str(RB), str(AG)}
        assert switch.latency_ms < 5000
        assert play.failover.plan.login == {"b"}
        assert play.feed.lines["a"].parked
        assert event_subject(switch) == "md.event.switch.ctp"


@pytest.mark.parametrize(
    ("reason", "before", "trigger"),
    [
        ("CTP:invalid login", LineState.CONNECTED, "login_refused"),
        ("no connection in time", LineState.CONNECTING, "timer"),
        ("hung: nothing heard for 0.8 s", LineState.STREAMING, "timer"),
        ("process ended with signal 9", LineState.STREAMING, "line_lost"),
    ],
)
async def test_the_trigger_says_what_happened_to_the_old_line(reason, before, trigger):
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.set(play.feed.lines["a"], before)
        await play.feed.kill("a", reason)
        await play.clock.advance(2)
        assert [(s.trigger, s.reason, s.ok) for s in play.switches()] == [(trigger, reason, True)]
        assert 0 < play.switches()[0].latency_ms < 5000


async def test_a_silent_line_is_left_although_it_is_logged_in():
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.lines["a"].ticks = False
        play.failover.line_silent("a")
        await play.clock.advance(2)
        (switch,) = play.switches()
        assert (switch.ok, switch.target, switch.trigger) == (True, "b", "watchdog")


async def test_a_line_that_speaks_again_is_not_returned_to_by_itself():
    async with stage(HOT) as play:
        await play.until_tick("b")
        play.failover.line_silent("a")
        await play.clock.advance(3)
        play.failover.line_speaks("a")
        await play.clock.advance(60)
        assert [switch.target for switch in play.switches()] == ["b"]


async def test_a_required_failover_is_done_once():
    async with stage(HOT) as play:
        await play.until_tick("b")
        play.failover.require("feed_failover_required is 1")
        await play.clock.advance(60)
        assert [(s.target, s.trigger, s.ok) for s in play.switches()] == [("b", "required", True)]


async def test_more_than_three_failures_in_the_window_make_a_line_that_is_up_lose_its_place():
    async with stage(HOT) as play:
        await play.until_tick("b")
        for _ in range(4):
            # too short to be seen by a look: each is told all the same
            play.failover.line_changed("a", LineState.LOST, "reset by peer")
            play.failover.line_changed("a", LineState.STREAMING, "")
        await play.clock.advance(2)
        assert [(s.source, s.target, s.trigger) for s in play.switches()] == [("a", "b", "failures")]


# -- hot -----------------------------------------------------------------------------------------------------------


async def test_hot_there_is_nothing_to_log_in_and_the_latency_is_the_skew_of_the_streams():
    async with stage(AllHot()) as play:
        await play.until_tick("b")
        await play.feed.kill("a")
        await play.clock.advance(2)
        (switch,) = play.switches()
        assert switch.ok
        assert switch.latency_ms <= 250
        assert play.failover.plan.login == {"a", "b"}


# -- failed switches -----------------------------------------------------------------------------------------------


async def test_a_target_that_does_not_come_up_is_reported_and_the_old_state_is_restored():
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.lines["b"].refuses = True
        before = play.failover.plan
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(11)
        switch = await command
        assert not switch.ok
        assert "b did not log in within 10 s" in switch.error
        assert play.failover.plan == before
        assert play.feed.applied[-1] == before
        assert play.feed.lines["a"].state is LineState.STREAMING
        assert play.feed.lines["b"].parked


async def test_a_target_that_confirms_nothing_is_a_failed_switch():
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.lines["b"].confirms = False
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(11)
        assert "b confirmed no subscription within 5 s" in (await command).error
        assert play.failover.plan.prefer == "a"


async def test_a_target_without_a_tick_while_the_market_is_open_is_a_failed_switch():
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.lines["b"].ticks = False
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(11)
        assert "no tick from b within 5 s while the market is open" in (await command).error
        assert play.feed.probes == ["b"]
        assert play.failover.plan.prefer == "a"


async def test_without_an_open_market_no_tick_is_asked_for_and_no_latency_is_told():
    async with stage(COLD, wall_ns=at("08:30:00")) as play:
        await play.clock.advance(1)
        play.feed.lines["b"].ticks = False
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(2)
        switch = await command
        assert (switch.ok, switch.latency_ms) == (True, None)


async def test_an_order_that_cannot_be_given_is_a_failed_switch():
    async with stage(HOT) as play:
        await play.until_tick("b")
        play.feed.breaks_apply = True
        switch = await play.failover.failover("drill")
        assert "the order cannot be given" in switch.error
        assert "could not be restored" in switch.error
        play.feed.breaks_apply = False
        await play.clock.advance(1)
        assert play.failover.plan.prefer == "a"
        assert play.failover.plan.login == {"a", "b"}


async def test_both_dead_then_one_back():
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.lines["b"].refuses = True
        await play.feed.kill("a")
        await play.clock.advance(30)
        assert not any(switch.ok for switch in play.switches())
        assert not any(line.parked for line in play.feed.lines.values())
        await play.feed.revive("b")
        await play.clock.advance(15)
        assert play.failover.plan.prefer == "b"
        assert play.switches()[-1].ok
        assert play.feed.lines["a"].parked


async def test_the_backup_that_dies_later_is_left_for_the_primary():
    async with stage(COLD) as play:
        await play.until_tick("a")
        await play.feed.kill("a")
        await play.clock.advance(2)
        play.feed.lines["a"].refuses = False
        await play.clock.advance(700)
        await play.feed.kill("b")
        await play.clock.advance(5)
        assert [switch.target for switch in play.switches()] == ["b", "a"]
        assert play.feed.lines["a"].state is LineState.STREAMING


# -- cooldown ------------------------------------------------------------------------------------------------------


async def test_flapping_lines_are_not_followed_faster_than_the_cooldown():
    async with stage(HOT, rules=FailoverRules(cooldown_s=10)) as play:
        await play.until_tick("b")
        for round_ in range(30):
            await play.feed.kill("ab"[round_ % 2], refuses=False)
            await play.clock.advance(1)
        times = [switch.finished_ns / 1e9 for switch in play.switches()]
        assert len(times) >= 2
        assert min(b - a for a, b in itertools.pairwise(times)) >= 10


async def test_during_the_cooldown_the_next_line_is_woken_so_that_nothing_is_lost():
    async with stage(COLD) as play:
        await play.until_tick("a")
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(2)
        assert (await command).ok
        await play.feed.kill("b")
        await play.clock.advance(2)
        assert play.failover.plan.prefer == "b"
        assert play.feed.lines["a"].state is LineState.STREAMING
        await play.clock.advance(10)
        assert play.failover.plan.prefer == "a"


async def test_a_command_does_not_wait_for_the_cooldown():
    async with stage(HOT) as play:
        await play.until_tick("b")
        for wish in (play.failover.failover("drill"), play.failover.failback("drill over")):
            command = asyncio.create_task(wish)
            await play.clock.advance(1.5)
            assert (await command).ok
        assert [(s.kind, s.target, s.trigger) for s in play.switches()] == [
            ("failover", "b", "command"),
            ("failback", "a", "command"),
        ]


# -- commands ------------------------------------------------------------------------------------------------------


async def test_an_operators_choice_stays_until_it_is_lost():
    async with stage(HOT) as play:
        await play.until_tick("b")
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(60)
        await command
        assert play.failover.plan.prefer == "b"
        await play.feed.kill("b", refuses=False)
        await play.clock.advance(60)
        assert play.failover.plan.prefer == "a"


async def test_a_command_during_a_switch_is_refused_with_who_runs():
    async with stage(COLD) as play:
        await play.until_tick("a")
        first = asyncio.create_task(play.failover.failover("weekly drill"))
        await play.clock.advance(0.1)
        with pytest.raises(SwitchRefusedError, match=r"failover from a to b runs \(command: weekly drill\)") as refused:
            await play.failover.failback("me too")
        assert isinstance(refused.value, ControlError)
        assert refused.value.exit_code == 75
        assert "weekly drill" in str(refused.value.fields["running"])
        await play.clock.advance(3)
        assert (await first).ok


async def test_a_command_waits_for_a_change_of_plan_that_is_being_carried_out():
    async with stage(HOT) as play:
        play.feed.apply_s = 1.0
        await play.clock.advance(0.5)  # the first plan is on its way
        command = asyncio.create_task(play.failover.failover("early", to="b"))
        await play.clock.advance(5)
        assert (await command).ok
        assert play.failover.plan.prefer == "b"
        assert [plan.prefer for plan in play.feed.applied][:3] == ["a", "a", "b"]


async def test_a_switch_that_is_cancelled_leaves_the_feed_to_the_next_look():
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.lines["b"].refuses = True
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(1)
        command.cancel()
        await asyncio.gather(command, return_exceptions=True)
        await play.clock.advance(1)
        assert play.failover.running == ""
        assert (play.failover.plan.prefer, play.failover.plan.login) == ("a", {"a"})
        assert play.feed.lines["b"].parked


async def test_a_line_that_does_not_exist_is_named_with_those_that_do():
    async with stage(HOT) as play:
        await play.until_tick("b")
        with pytest.raises(ControlError, match="has no line x; its lines are: a, b"):
            await play.failover.failover("typing error", to="x")


async def test_a_failback_to_the_line_that_is_preferred_already_is_done_at_once():
    async with stage(HOT) as play:
        await play.until_tick("a")
        switch = await play.failover.failback("to be sure")
        assert (switch.ok, switch.source, switch.target) == (True, "a", "a")


# -- planned closes ------------------------------------------------------------------------------------------------


async def test_planned_closes_after_the_session_are_no_failure():
    """As recorded on 2024-06-11: hung up at 15:44:29, back at 19:47:36, hung up again at 19:49:47."""
    rarely = FailoverRules(look_s=2.0)  # five hours
    async with stage(COLD, wall_ns=at("15:44:00"), rules=rarely) as play:
        await play.clock.advance(29)
        await play.feed.kill("a", "OnFrontDisconnected 4097")
        await play.clock.advance(at("19:47:36") / 1e9 - play.clock.wall_ns() / 1e9)
        await play.feed.revive("a")
        await play.clock.advance(131)
        await play.feed.kill("a", "OnFrontDisconnected 4097", refuses=False)
        await play.clock.advance(3600)
        assert play.switches() == []
        assert play.failover.facts()[0].failures == 0
        assert play.failover.plan.prefer == "a"


async def test_a_line_that_is_not_back_when_the_planned_closes_are_over_has_failed():
    async with stage(COLD, wall_ns=at("19:50:00")) as play:
        await play.clock.advance(1)
        await play.feed.kill("a", "OnFrontDisconnected 4097")
        await play.clock.advance(at("20:20:10") / 1e9 - play.clock.wall_ns() / 1e9)
        assert [(switch.target, switch.ok) for switch in play.switches()] == [("b", True)]


async def test_a_line_lost_at_noon_of_a_closed_day_has_some_seconds_to_come_back():
    async with stage(COLD, wall_ns=at("07:59:30")) as play:
        await play.clock.advance(3)
        await play.feed.kill("a", "4097", refuses=False)  # recorded at 07:59:33, back in the same second
        await play.clock.advance(60)
        assert play.switches() == []
        await play.feed.kill("a", "4097")
        await play.clock.advance(60)
        assert [switch.target for switch in play.switches()] == ["b"]


async def test_the_same_hour_counts_when_a_market_is_open():
    class NeverClosed(Hours):
        def any_open(self, moment_ns: int) -> bool:
            return True

    async with stage(COLD, wall_ns=at("15:44:00")) as play:
        play.failover._deciding.failures._phases = NeverClosed()
        await play.until_tick("a")
        await play.feed.kill("a", "4097")
        await play.clock.advance(3)
        assert [switch.target for switch in play.switches()] == ["b"]


# -- the rest ------------------------------------------------------------------------------------------------------


async def test_a_router_that_raises_leaves_the_plan_as_it_is():
    class Broken(AllHot):
        broken = False

        def plan(self, view):
            if self.broken:
                raise RuntimeError("plugin bug")
            return super().plan(view)

    router = Broken()
    async with stage(router) as play:
        await play.until_tick("a")
        plan, router.broken = play.failover.plan, True
        await play.clock.advance(5)
        assert play.failover.plan == plan
        assert play.failover.counts["router_raised"] > 0


async def test_contracts_without_room_are_told_as_an_event():
    class Small(AllHot):
        def plan(self, view):
            import dataclasses

            return dataclasses.replace(super().plan(view), unplaced=frozenset({RB}))

    async with stage(Small()) as play:
        await play.clock.advance(1)
        (event,) = [one for one in play.events if isinstance(one, Unplaced)]
        assert (event.count, event.instruments) == (1, (str(RB),))


# -- the start -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("router", [HOT, AllHot()])
async def test_at_the_start_a_backup_that_comes_up_first_does_not_replace_the_first_line(router):
    async with stage(router) as play:
        play.feed.lines["a"].login_s = 4
        await play.until_tick("b")
        assert play.feed.lines["a"].state is LineState.CONNECTING
        await play.clock.advance(10)
        assert play.failover.plan.prefer == "a"
        assert play.switches() == []


@pytest.mark.parametrize("router", [HOT, AllHot()])
async def test_at_the_start_the_backup_replaces_a_first_line_that_failed_to_come_up(router):
    async with stage(router) as play:
        play.feed.lines["a"].refuses = True
        await play.until_tick("b")
        await play.clock.advance(4)
        assert play.switches() == [], "its timer has not given up"
        await play.clock.advance(3)
        (switch,) = play.switches()
        assert (switch.source, switch.target, switch.trigger, switch.ok) == ("a", "b", "timer", True)


async def test_a_failover_that_is_required_does_not_leave_a_line_for_one_that_cannot_carry():
    async with stage(HOT) as play:
        play.feed.lines["b"].refuses = True
        await play.until_tick("a")
        await play.clock.advance(6)
        play.failover.require("latency")
        await play.clock.advance(30)
        assert [switch.ok for switch in play.switches()].count(True) == 0
        assert play.failover.plan.prefer == "a"


# -- what it is told -----------------------------------------------------------------------------------------------


async def test_a_requirement_that_is_withdrawn_before_anything_was_done_is_forgotten():
    async with stage(HOT) as play:
        await play.until_tick("b")
        play.failover.require("feed_failover_required is 1")
        assert play.failover.required == "feed_failover_required is 1"
        play.failover.withdraw()
        assert play.failover.required == ""
        await play.clock.advance(60)
        assert play.switches() == []


async def test_a_requirement_without_words_says_who_asked_and_is_fulfilled_by_a_switch():
    async with stage(HOT) as play:
        await play.until_tick("b")
        play.failover.require("")
        await play.clock.advance(3)
        assert [switch.reason for switch in play.switches()] == ["feed_failover_required"]
        assert play.failover.required == ""


@pytest.mark.parametrize("news", ["lost", "silent", "required"])
async def test_news_is_acted_on_at_once_not_at_the_next_look(news):
    async with stage(HOT, rules=FailoverRules(look_s=3600)) as play:
        play.failover.line_changed("a", LineState.CONNECTING, "")
        await play.clock.advance(1)
        assert play.feed.lines["b"].state is LineState.STREAMING
        if news == "lost":
            await play.feed.kill("a")
        elif news == "silent":
            play.failover.line_silent("a")
        else:
            play.failover.require("a test")
        await play.clock.advance(2)
        assert [(switch.target, switch.ok) for switch in play.switches()] == [("b", True)]


async def test_changed_wishes_are_given_out_at_once_when_they_need_no_switch():
    async with stage(AllHot(), rules=FailoverRules(look_s=3600)) as play:
        await play.until_tick("b")
        applied = len(play.feed.applied)
        await play.failover.wishes_changed()
        assert len(play.feed.applied) == applied + 1
        assert play.feed.applied[-1] == play.failover.plan


async def test_changed_wishes_wait_while_a_switch_runs():
    async with stage(COLD) as play:
        await play.until_tick("a")
        play.feed.lines["b"].refuses = True
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(1)
        applied = list(play.feed.applied)
        await play.failover.wishes_changed()
        assert play.feed.applied == applied
        await play.clock.advance(11)
        assert not (await command).ok


async def test_changed_wishes_that_need_a_switch_are_left_to_the_next_look():
    class Fickle(AllHot):
        first = "a"

        def plan(self, view):
            import dataclasses

            return dataclasses.replace(super().plan(view), prefer=self.first)

    router = Fickle()
    async with stage(router) as play:
        await play.until_tick("b")
        router.first, applied = "b", len(play.feed.applied)
        await play.failover.wishes_changed()
        assert len(play.feed.applied) == applied
        assert play.failover.plan.prefer == "a"
        await play.clock.advance(3)
        assert [(switch.target, switch.trigger) for switch in play.switches()] == [("b", "router")]


async def test_a_target_that_is_lost_while_the_old_line_still_delivers_does_not_cost_the_old_line():
    async with stage(COLD) as play:
        await play.until_tick("a")
        real = play.feed.confirmed
        play.feed.confirmed = lambda line: min(real(line), 1) if line == "b" else real(line)
        command = asyncio.create_task(play.failover.failover("drill"))
        await play.clock.advance(10)
        assert play.feed.lines["b"].state is LineState.STREAMING
        assert not command.done(), "b has not confirmed as much as a"
        await play.feed.kill("b")
        await play.clock.advance(0.5)
        switch = await command
        assert not switch.ok
        assert "b was lost again" in switch.error
        assert play.failover.plan.prefer == "a"
        assert play.feed.lines["a"].state is LineState.STREAMING
        assert play.feed.lines["b"].parked
