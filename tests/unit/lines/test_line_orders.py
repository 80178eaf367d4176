"""Orders to a line: park, wake, restart and close, in every state that it can be in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.lines.cells import RECEIVED
from gateway.lines.line import Line
from gateway.lines.messages import Beat, Ready
from gateway.model import Instrument, LineState
from gateway.testing.clock import ManualClock
from tests.unit.lines.scripted_host import Script, build_line, settle, until

RB, AG = Instrument("SHFE", "rb2510"), Instrument("SHFE", "ag2512")


class Bench:
    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.script = Script()
        self.states: list[tuple[LineState, str]] = []
        self.line: Line = build_line(
            self.script,
            self.clock,
            changed=lambda line: self.states.append((line.state, line.reason)),
            **options,
        )
        self.task: asyncio.Task[None] | None = None

    def seen(self, state: LineState) -> list[str]:
        return [reason for one, reason in self.states if one is state]

    async def streaming(self) -> None:
        await until(lambda: bool(self.script.hosts) and self.script.now.started)
        self.script.now.login()
        self.script.now.ticks(self.clock.wall_ns(), RB)
        assert self.line.state is LineState.STREAMING

    async def connecting(self) -> None:
        await until(lambda: bool(self.script.hosts) and self.script.now.started)
        assert self.line.state is LineState.CONNECTING

    async def starting(self) -> None:
        """The process is being made."""
        self.script.start_gate = asyncio.Event()
        await until(lambda: bool(self.script.hosts))
        asyncio.get_running_loop().call_soon(self.script.start_gate.set)

    async def pausing(self) -> None:
        await self.streaming()
        self.script.now.end("exited with 3")
        await until(lambda: self.line.state is LineState.LOST)
        await settle()

    async def refused(self) -> None:
        await self.connecting()
        self.script.now.state(LineState.REFUSED, "CTP:invalid login")
        await until(lambda: bool(self.script.now.stopped))
        await settle()
        assert self.line.state is LineState.REFUSED

    async def hung(self) -> None:
        await self.streaming()
        await self.clock.advance(1)
        await until(lambda: self.line.state is LineState.LOST)
        assert "hung" in self.line.reason


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Bench]:
    # a look each 10 ms of real time, and silence that the manual clock decides
    bench = Bench(**({"hung_after_s": 0.04, "kill_after_s": 1e9} | options))
    bench.task = asyncio.create_task(bench.line.run())
    try:
        yield bench
    finally:
        bench.line.close()
        async with asyncio.timeout(60):
            await bench.task
        assert bench.line.state is LineState.STOPPED
        assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert all(host.stopped for host in bench.script.hosts), "every incarnation was stopped"
        assert all(host.cells.descriptor == -1 for host in bench.script.hosts), "every page was given back"


STATES = ["starting", "connecting", "streaming", "hung", "pausing", "refused"]
"""The last two are pauses after a failure: nothing runs."""


def reach(bench: Bench, state: str) -> Any:
    return getattr(bench, state)()


def failures(bench: Bench) -> tuple[int, int]:
    return bench.line.counts.restarts, bench.line._restarts.failures


# -- park ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
async def test_a_line_that_is_parked_ends_in_order_and_nothing_is_counted_as_a_failure(state: str) -> None:
    async with running() as bench:
        await reach(bench, state)
        before, lost = failures(bench), len(bench.seen(LineState.LOST))
        bench.line.park()
        await until(lambda: bench.line.state is LineState.IDLE)
        assert bench.line.parked
        assert bench.line.reason == "parked"
        assert failures(bench) == before
        assert len(bench.seen(LineState.LOST)) == lost
        assert bench.line.pid is None
        assert len(bench.script.hosts) == 1
        await settle()
        assert len(bench.script.hosts) == 1, "it stays out"


@pytest.mark.parametrize("state", ["connecting", "streaming", "hung"])
async def test_an_ordered_end_has_the_time_that_the_settings_give_it(state: str) -> None:
    async with running(stop_s=7.5) as bench:
        await reach(bench, state)
        bench.line.park()
        await until(lambda: bench.line.state is LineState.IDLE)
        assert bench.script.now.stopped == [7.5]
        assert not bench.script.now.killed


async def test_a_dead_line_is_not_waited_for_that_long() -> None:
    async with running(stop_s=7.5) as bench:
        await bench.pausing()
        assert bench.script.now.stopped == [0.5]


async def test_a_line_that_begins_parked_starts_nothing_until_it_is_woken() -> None:
    async with running(parked=True) as bench:
        await settle()
        assert bench.script.hosts == []
        assert (bench.line.state, bench.line.reason) == (LineState.IDLE, "parked")
        bench.line.wake()
        await bench.streaming()


async def test_ticks_that_a_parked_process_did_not_hand_over_count_as_stopped_and_those_of_a_dead_one_as_died() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.script.now.cells.view[RECEIVED] += 3
        bench.line.restart("a drill")
        await until(lambda: len(bench.script.hosts) == 2)
        assert +bench.line.counts.dropped == {"line_stopped": 3}
        await bench.streaming()
        bench.script.now.cells.view[RECEIVED] += 2
        bench.script.now.end("killed by SIGSEGV")
        await until(lambda: bench.line.state is LineState.LOST)
        assert +bench.line.counts.dropped == {"line_stopped": 3, "line_died": 2}
        counts = bench.line.live_counts()
        assert counts.received == counts.delivered + counts.dropped.total() == 7


# -- wake ----------------------------------------------------------------------------------------------------------


async def test_a_woken_line_starts_a_new_process() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.line.park()
        await until(lambda: bench.line.state is LineState.IDLE)
        bench.line.wake()
        await until(lambda: len(bench.script.hosts) == 2)
        await bench.streaming()
        assert failures(bench) == (0, 0)


async def test_to_wake_a_line_that_is_not_parked_changes_nothing() -> None:
    async with running() as bench:
        await bench.streaming()
        states = list(bench.states)
        bench.line.wake()
        await settle()
        assert bench.states == states
        assert len(bench.script.hosts) == 1


async def test_the_pause_after_a_failure_holds_for_a_line_that_was_parked_meanwhile() -> None:
    async with running() as bench:
        await bench.pausing()
        bench.line.park()
        await until(lambda: bench.line.state is LineState.IDLE)
        bench.line.wake()
        await settle()
        assert len(bench.script.hosts) == 1


@pytest.mark.parametrize("state", ["pausing", "refused"])
async def test_the_pause_is_counted_from_the_failure_not_from_the_waking(state: str) -> None:
    """A backup that failed in the morning is needed at noon: it has waited long enough."""
    async with running() as bench:
        await reach(bench, state)
        bench.line.park()
        await until(lambda: bench.line.state is LineState.IDLE)
        await bench.clock.advance(3600)
        bench.line.wake()
        await until(lambda: len(bench.script.hosts) == 2)


async def test_a_line_that_failed_once_and_ran_long_since_is_restarted_at_once() -> None:
    async with running() as bench:
        await bench.pausing()
        await bench.clock.advance(1000)
        bench.line.restart("look at the clock")
        await until(lambda: len(bench.script.hosts) == 2)
        await bench.streaming()
        await bench.clock.advance(3600)
        bench.script.now.say(Beat(0))
        bench.line.restart("a drill")
        await until(lambda: len(bench.script.hosts) == 3)


async def test_no_more_logins_a_minute_than_allowed_also_after_a_waking() -> None:
    async with running(per_minute=2) as bench:
        await bench.streaming()
        bench.line.restart("a drill")
        await until(lambda: len(bench.script.hosts) == 2)
        await bench.connecting()
        bench.line.park()
        await until(lambda: bench.line.parked and bench.line.state is LineState.IDLE)
        bench.line.wake()
        await settle()
        assert len(bench.script.hosts) == 2, "two logins within this minute"
        await bench.clock.advance(61)
        bench.line.restart("look again")
        await until(lambda: len(bench.script.hosts) == 3)


# -- restart -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["starting", "connecting", "streaming", "hung"])
async def test_a_restart_is_a_new_process_and_no_failure(state: str) -> None:
    async with running() as bench:
        await reach(bench, state)
        lost = len(bench.seen(LineState.LOST))
        bench.line.restart("silent for 3.0 s in session")
        await until(lambda: len(bench.script.hosts) == 2)
        assert failures(bench) == (0, 0)
        assert len(bench.seen(LineState.LOST)) == lost
        assert "silent for 3.0 s in session" in bench.seen(LineState.IDLE)
        await bench.streaming()


async def test_a_restart_without_a_reason_has_one_all_the_same() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.line.restart("")
        await until(lambda: len(bench.script.hosts) == 2)
        assert "restart" in bench.seen(LineState.IDLE)


@pytest.mark.parametrize("state", ["pausing", "refused"])
async def test_a_restart_does_not_shorten_the_pause_after_a_failure(state: str) -> None:
    async with running() as bench:
        await reach(bench, state)
        bench.line.restart("impatience")
        await settle()
        assert len(bench.script.hosts) == 1
        assert bench.line.state is not LineState.IDLE


async def test_a_parked_line_cannot_be_restarted() -> None:
    async with running(parked=True) as bench:
        await settle()
        bench.line.restart("a drill")
        await settle()
        assert bench.script.hosts == []
        assert (bench.line.state, bench.line.reason) == (LineState.IDLE, "parked")


async def test_after_a_restart_a_death_is_a_death_again() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.line.restart("a drill")
        await until(lambda: len(bench.script.hosts) == 2)
        await bench.pausing()
        assert failures(bench) == (1, 1)
        assert bench.seen(LineState.LOST) == ["exited with 3"]


async def test_a_line_that_is_being_parked_is_parked_and_not_restarted() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.line.park()
        bench.line.restart("too late")
        await until(lambda: bench.line.state is LineState.IDLE)
        await settle()
        assert bench.seen(LineState.IDLE) == ["parked"]


# -- close ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
async def test_a_line_can_be_closed_in_every_state(state: str) -> None:
    async with running() as bench:
        await reach(bench, state)
        before = failures(bench)
        bench.line.close()
        assert bench.task is not None
        async with asyncio.timeout(60):
            await bench.task
        assert bench.states[-1] == (LineState.STOPPED, "closed")
        assert failures(bench) == before
        assert LineState.IDLE not in [one for one, _ in bench.states[1:]], "closed is not parked"


async def test_a_parked_line_can_be_closed() -> None:
    async with running(parked=True) as bench:
        await settle()
        bench.line.close()
        assert bench.task is not None
        async with asyncio.timeout(60):
            await bench.task
        assert bench.script.hosts == []


async def test_a_line_that_was_closed_before_it_ran_starts_nothing() -> None:
    bench = Bench()
    bench.line.close()
    await bench.line.run()
    assert bench.script.hosts == []
    assert bench.line.state is LineState.STOPPED


# -- orders in quick succession -------------------------------------------------------------------------------------


def park(line: Line) -> None:
    line.park()


def wake(line: Line) -> None:
    line.wake()


def restart(line: Line) -> None:
    line.restart("a drill")


def close(line: Line) -> None:
    line.close()


@pytest.mark.parametrize("state", ["starting", "connecting", "streaming", "hung"])
@pytest.mark.parametrize(
    ("orders", "hosts"),
    [
        ((park, wake), 2),
        ((park, wake, park), 1),
        ((park, park), 1),
        ((park, restart), 1),
        ((restart, restart), 2),
        ((restart, park), 1),
        ((restart, park, wake), 2),
        ((wake, park), 1),
    ],
)
async def test_of_several_orders_at_once_the_last_one_counts(
    orders: tuple[Callable[[Line], None], ...], hosts: int, state: str
) -> None:
    async with running() as bench:
        await reach(bench, state)
        lost = len(bench.seen(LineState.LOST))
        for order in orders:
            order(bench.line)
        await until(lambda: len(bench.script.hosts) == hosts and (hosts == 2 or bench.line.state is LineState.IDLE))
        await settle()
        assert len(bench.script.hosts) == hosts
        assert bench.line.parked is (hosts == 1)
        assert bench.line.state is (LineState.IDLE if hosts == 1 else LineState.CONNECTING)
        assert failures(bench) == (0, 0)
        assert len(bench.seen(LineState.LOST)) == lost


@pytest.mark.parametrize("before", [(park,), (restart,), (park, wake), (wake,)])
@pytest.mark.parametrize("after", [(), (park,), (restart,), (park, wake)])
async def test_a_close_among_other_orders_closes(
    before: tuple[Callable[[Line], None], ...], after: tuple[Callable[[Line], None], ...]
) -> None:
    async with running() as bench:
        await bench.streaming()
        for order in (*before, close, *after):
            order(bench.line)
        assert bench.task is not None
        async with asyncio.timeout(60):
            await bench.task
        assert len(bench.script.hosts) == 1


async def test_orders_that_come_while_the_process_is_still_ending_are_obeyed_when_it_has_ended() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.script.stop_gate = asyncio.Event()
        bench.line.restart("a drill")
        await until(lambda: bool(bench.script.now.stopped))
        bench.line.park()
        await settle()
        assert bench.line.state is LineState.STREAMING, "it has not ended yet"
        bench.script.stop_gate.set()
        await until(lambda: bench.line.state is LineState.IDLE)
        await settle()
        assert len(bench.script.hosts) == 1
        bench.line.wake()
        await until(lambda: len(bench.script.hosts) == 2)


async def test_a_death_is_a_failure_even_if_an_order_comes_before_its_traces_are_gone() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.script.stop_gate = asyncio.Event()
        bench.script.now.cells.view[RECEIVED] += 2
        bench.script.now.end("killed by SIGSEGV")
        await until(lambda: bool(bench.script.now.stopped))
        bench.line.restart("silent")
        bench.script.stop_gate.set()
        await until(lambda: bench.line.state is LineState.LOST)
        await settle()
        assert failures(bench) == (1, 1)
        assert bench.line.counts.dropped["line_died"] == 2
        assert len(bench.script.hosts) == 1, "the pause holds"


async def test_an_order_in_the_same_moment_as_a_death_does_not_hide_it() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.script.now.end("killed by SIGSEGV")
        bench.line.restart("silent")
        await until(lambda: bench.line.state is LineState.LOST)
        assert bench.line.reason == "killed by SIGSEGV"
        assert failures(bench) == (1, 1)


async def test_a_call_that_waits_for_its_answer_is_told_of_the_end() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.script.calls = False
        call = asyncio.create_task(bench.line.subscribe([RB]))
        await settle()
        bench.line.park()
        (error,) = await asyncio.gather(call, return_exceptions=True)
        assert "the line ended meanwhile" in str(error)


# -- what is remembered of ticks ------------------------------------------------------------------------------------


async def test_the_last_ticks_outlive_an_incarnation() -> None:
    async with running() as bench:
        await bench.streaming()
        bench.script.now.batch([(RB, 100), (AG, 110), (RB, 120)])
        slots = {slot.instrument: moment for slot, moment in bench.line.last_ticks.items()}  # type: ignore[attr-defined]  # slots
        assert slots == {RB: 120, AG: 110}
        assert bench.line.last_tick_ns == 120
        seen = bench.line.last_ticks
        bench.line.restart("a drill")
        await until(lambda: len(bench.script.hosts) == 2)
        assert bench.line.last_tick_ns == 120
        await bench.streaming()
        bench.script.now.batch([(AG, 500)])
        assert bench.line.last_ticks is seen
        assert len(seen) == 2, "a new incarnation numbers contracts anew, the slots stay"
        assert {slot.instrument: moment for slot, moment in seen.items()}[AG] == 500  # type: ignore[attr-defined]  # slots
        assert list(bench.line.recent)[-1] == (500, 500)
        assert (100, 120) in bench.line.recent


async def test_an_empty_batch_is_no_tick() -> None:
    async with running() as bench:
        await bench.connecting()
        bench.script.now.login()
        bench.script.now.batch([])
        assert bench.line.state is LineState.LOGGED_IN
        assert bench.line.last_tick_ns == 0
        assert not bench.line.recent


async def test_the_batches_that_are_remembered_are_bounded() -> None:
    async with running() as bench:
        await bench.streaming()
        for moment in range(5000):
            bench.script.now.ticks(moment, RB)
        assert len(bench.line.recent) == 4096
        assert bench.line.recent[0] == (904, 904)
        assert bench.line.recent[-1] == (4999, 4999)


async def test_a_line_is_up_since_its_login_not_since_its_first_tick_and_anew_after_a_restart() -> None:
    async with running() as bench:
        await bench.connecting()
        assert bench.line.up_since_ns == 0
        await bench.clock.advance(1)
        bench.script.now.say(Ready())
        bench.script.now.state(LineState.CONNECTED)
        bench.script.now.state(LineState.LOGGED_IN)
        since = bench.clock.wall_ns()
        bench.clock._now += 0.01
        bench.script.now.ticks(5, RB)
        assert bench.line.up_since_ns == since
        bench.line.restart("a drill")
        await until(lambda: len(bench.script.hosts) == 2)
        await bench.clock.advance(5)
        await bench.streaming()
        assert bench.line.up_since_ns == bench.clock.wall_ns() != since


async def test_only_a_hung_line_says_when_it_was_heard_last() -> None:
    async with running() as bench:
        assert bench.line.heard_ns() is None
        await bench.streaming()
        heard = bench.clock.wall_ns()
        assert bench.line.heard_ns() is None
        await bench.clock.advance(1)
        assert bench.line.heard_ns() == heard
        await until(lambda: bench.line.state is LineState.LOST)
        bench.script.now.say(Beat(0))
        assert bench.line.heard_ns() is None
        assert (bench.line.state, bench.line.reason) == (LineState.STREAMING, "answers again")
