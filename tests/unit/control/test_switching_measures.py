"""One switch: what is measured, when the old line is let go, and what a target that dies on the way does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.control.switching import FirstTicks, Phase, SwitchError, Switching, SwitchRules
from gateway.model import Instrument, LineState
from gateway.plan import ALL, Plan
from gateway.testing.clock import ManualClock
from tests.unit.control.acted_feed import AG, RB, ActedFeed

CU = Instrument("SHFE", "cu2510")
S = 10**9
COLD_A = Plan(prefer="a", login=frozenset({"a"}), carry={"a": ALL})
COLD_B = Plan(prefer="b", login=frozenset({"b"}), carry={"b": ALL})


class Board(ActedFeed):
    """Lines that stand where the test puts them; ``apply`` only writes down."""

    def __init__(self, clock: ManualClock, *names: str) -> None:
        super().__init__(clock, *(names or ("a", "b")))
        self.on_apply: Callable[[Plan], None] = lambda plan: None
        for line in self.lines.values():
            line.state = LineState.STREAMING

    async def apply(self, plan: Plan) -> None:
        self.applied.append(plan)
        self.on_apply(plan)

    def first_tick_after(self, line: str, instrument: Instrument | None, after_ns: int) -> int | None:
        """As of a running line: of one contract only the latest tick is known."""
        if instrument is None:
            return super().first_tick_after(line, None, after_ns)
        moment = self.last_tick_ns(line, instrument)
        return moment if moment is not None and moment > after_ns else None

    def tick(self, name: str, instrument: Instrument, moment_s: float) -> None:
        self.lines[name].history.setdefault(instrument, []).append(round(moment_s * S))

    def stand(self, name: str, state: LineState, *, confirmed: int = 0) -> None:
        self.lines[name].state, self.lines[name].confirmed = state, confirmed


class Hours:
    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open

    def phase(self, instrument: Instrument, moment_ns: int) -> Phase:
        return "open" if self.is_open else "closed"

    def any_open(self, moment_ns: int) -> bool:
        return self.is_open


@pytest.fixture
def board() -> Board:
    return Board(ManualClock(wall_ns=100 * S))


def first_ticks(board: Board, source: str | None = "a", target: str = "b", *, alive: bool = True) -> FirstTicks:
    return FirstTicks(board, source, target, alive=alive, active_s=5)


# -- measuring -----------------------------------------------------------------------------------------------------


def test_a_line_that_has_to_log_in_begins_anew_and_its_earlier_life_does_not_count(board: Board) -> None:
    board.stand("b", LineState.IDLE)
    board.tick("a", RB, 98)
    board.tick("b", RB, 99)  # before it was parked
    first = first_ticks(board)
    assert not first.all_seen()
    board.stand("b", LineState.STREAMING)
    board.tick("b", RB, 101)
    assert first.all_seen()
    assert first.measured().overall_ns == 3 * S
    assert first.measured().contracts == {RB: 3 * S}


def test_a_hot_line_may_have_ticked_between_the_loss_and_the_switch(board: Board) -> None:
    board.tick("a", RB, 98)
    board.tick("b", RB, 98.5)
    board.stand("a", LineState.LOST)
    first = first_ticks(board)
    assert first.all_seen()
    assert first.measured().overall_ns == S // 2


def test_an_old_line_that_goes_on_is_measured_from_its_very_last_tick(board: Board) -> None:
    board.stand("b", LineState.IDLE)
    board.tick("a", RB, 98)
    board.tick("a", AG, 98)
    first = first_ticks(board)
    board.tick("b", RB, 101)
    board.tick("b", AG, 101)
    assert first.all_seen()
    board.tick("a", RB, 102)
    measured = first.measured()
    assert measured.overall_ns == 0, "the new line was there before the old one ended"
    assert measured.contracts == {RB: 0, AG: 3 * S}


def test_contracts_that_were_quiet_on_the_old_line_are_not_measured(board: Board) -> None:
    board.stand("b", LineState.IDLE)
    board.tick("a", CU, 92)
    board.tick("a", AG, 93.1)
    board.tick("a", RB, 98)
    first = first_ticks(board)
    for one in (RB, AG, CU):
        board.tick("b", one, 101)
    assert first.all_seen()
    assert first.measured().contracts.keys() == {RB, AG}, "5 s before its last tick, and no more"


def test_who_looks_late_measures_too_much_and_never_too_little(board: Board) -> None:
    board.stand("b", LineState.IDLE)
    board.tick("a", RB, 98)
    first = first_ticks(board)
    board.tick("b", RB, 101)
    assert first.all_seen()
    board.tick("b", RB, 109)
    assert first.measured().contracts == {RB: 3 * S}, "what was seen first stands"


def test_contracts_that_never_came_are_left_out_and_the_rest_is_told(board: Board) -> None:
    board.stand("b", LineState.IDLE)
    board.tick("a", RB, 98)
    board.tick("a", AG, 98)
    first = first_ticks(board)
    board.tick("b", AG, 100)
    assert not first.all_seen()
    assert first.measured().contracts == {AG: 2 * S}
    assert first.measured().overall_ns == 2 * S


@pytest.mark.parametrize("source", [None, "a"])
def test_without_a_tick_of_an_old_line_there_is_nothing_to_measure(board: Board, source: str | None) -> None:
    first = first_ticks(board, source)
    board.tick("b", RB, 101)
    assert first.all_seen()
    assert first.measured().overall_ns is None
    assert first.measured().contracts == {}


# -- letting go of the old line ------------------------------------------------------------------------------------


class Stage:
    """A switch from a to b on the manual clock."""

    def __init__(self, *, is_open: bool = True, before: Plan = COLD_A, goal: Plan = COLD_B, **rules: float) -> None:
        self.clock = ManualClock(wall_ns=100 * S)
        self.board = Board(self.clock)
        self.hours = Hours(is_open=is_open)
        self.switching = Switching(self.board, self.hours, self.clock, self.clock.sleep, SwitchRules(**rules))
        self.before, self.goal = before, goal
        self.board.stand("a", LineState.STREAMING, confirmed=2)
        self.board.stand("b", LineState.STREAMING, confirmed=1)
        self.task: asyncio.Task[object] | None = None

    def go(self) -> asyncio.Task[object]:
        self.task = asyncio.create_task(self.switching.go(self.before, self.goal, "a", "b"))
        return self.task

    @property
    def let_go(self) -> bool:
        return self.board.applied[-1:] == [self.goal]


async def test_an_old_line_that_is_alive_is_kept_until_the_new_one_has_confirmed_as_much() -> None:
    stage = Stage(settle_s=30)
    stage.board.tick("a", RB, 99)
    task = stage.go()
    await stage.clock.advance(1)
    stage.board.tick("b", AG, 101)
    stage.board.tick("b", RB, 101)
    await stage.clock.advance(10)
    assert not stage.let_go, "the active contracts have ticked, but one that is quiet is not confirmed yet"
    stage.board.stand("b", LineState.STREAMING, confirmed=2)
    await stage.clock.advance(0.1)
    assert stage.let_go
    await task


async def test_also_when_nothing_ever_ticked_before_the_opening() -> None:
    stage = Stage(is_open=False, settle_s=30)
    task = stage.go()
    await stage.clock.advance(20)
    assert not stage.let_go
    stage.board.stand("b", LineState.STREAMING, confirmed=2)
    await stage.clock.advance(0.1)
    assert stage.let_go
    await task


async def test_an_old_line_is_not_kept_for_ever() -> None:
    stage = Stage(is_open=False, settle_s=30)
    task = stage.go()
    await stage.clock.advance(29.9)
    assert not stage.let_go
    await stage.clock.advance(0.2)
    assert stage.let_go
    await task


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_dead_old_line_is_let_go_at_once(when: str) -> None:
    stage = Stage(is_open=False, settle_s=30)
    if when == "before":
        stage.board.stand("a", LineState.LOST)
    task = stage.go()
    await stage.clock.advance(1)
    if when == "meanwhile":
        assert not stage.let_go
        stage.board.stand("a", LineState.LOST)
        await stage.clock.advance(0.1)
    assert stage.let_go
    await task


async def test_a_new_line_with_less_room_is_waited_for_until_it_has_confirmed_all_that_it_will_carry() -> None:
    goal = Plan(prefer="b", login=frozenset({"b"}), carry={"b": frozenset({RB})}, unplaced=frozenset({AG}))
    stage = Stage(is_open=False, goal=goal, settle_s=30)
    task = stage.go()
    await stage.clock.advance(0.1)
    assert stage.let_go
    await task


async def test_a_new_line_that_dies_while_the_old_one_is_kept_is_a_failed_switch() -> None:
    stage = Stage(is_open=False, settle_s=30)
    task = stage.go()
    await stage.clock.advance(1)
    stage.board.stand("b", LineState.LOST)
    await stage.clock.advance(0.1)
    assert not stage.let_go
    with pytest.raises(SwitchError, match=r"b was lost again \(it is lost\)"):
        await task


async def test_first_ticks_are_collected_for_a_while_and_no_longer() -> None:
    stage = Stage(collect_s=1)
    stage.board.stand("b", LineState.STREAMING, confirmed=2)
    for one in (RB, AG):
        stage.board.tick("a", one, 99)
    task = stage.go()
    await stage.clock.advance(0.1)
    stage.board.tick("b", RB, 100.1)
    await stage.clock.advance(0.8)
    assert not stage.let_go
    await stage.clock.advance(0.3)
    assert stage.let_go
    measured = await task
    assert measured.contracts == {RB: round(1.1 * S)}  # type: ignore[attr-defined]  # the result is an object to mypy


async def test_first_ticks_are_looked_for_as_long_as_the_old_line_is_kept() -> None:
    stage = Stage(collect_s=0.5)
    for one in (RB, AG):
        stage.board.tick("a", one, 99)
    task = stage.go()
    await stage.clock.advance(0.1)
    stage.board.tick("b", RB, 100.1)
    await stage.clock.advance(2)
    stage.board.tick("b", AG, 102)
    await stage.clock.advance(2)
    stage.board.tick("b", AG, 104)
    stage.board.stand("b", LineState.STREAMING, confirmed=2)
    await stage.clock.advance(0.1)
    measured = await task
    assert measured.contracts == {RB: round(1.1 * S), AG: 3 * S}  # type: ignore[attr-defined]  # the result is an object to mypy


async def test_what_a_closed_market_sends_at_login_is_no_latency() -> None:
    stage = Stage(is_open=False)
    stage.board.stand("b", LineState.STREAMING, confirmed=2)
    stage.board.tick("a", RB, 99)
    stage.board.tick("b", RB, 101)
    task = stage.go()
    await stage.clock.advance(0.1)
    measured = await task
    assert measured.overall_ns is None  # type: ignore[attr-defined]  # the result is an object to mypy
    assert measured.contracts == {}  # type: ignore[attr-defined]  # the result is an object to mypy


async def test_both_lines_are_logged_in_until_the_new_one_has_proved_itself() -> None:
    stage = Stage()
    stage.board.stand("b", LineState.IDLE)
    stage.board.tick("a", RB, 99)
    task = stage.go()
    await stage.clock.advance(5)
    (plan,) = stage.board.applied
    assert plan.login == {"a", "b"}
    assert plan.carry == {"a": ALL, "b": ALL}
    assert plan.prefer == "a"
    await stage.clock.advance(6)
    with pytest.raises(SwitchError, match="b did not log in within 10 s"):
        await task


async def test_nothing_to_carry_needs_no_proof_but_the_login() -> None:
    goal = Plan(prefer="b", login=frozenset({"a", "b"}), carry={"a": ALL, "b": frozenset()})
    stage = Stage(goal=goal)
    stage.board.stand("b", LineState.LOGGED_IN)
    task = stage.go()
    await stage.clock.advance(0.1)
    assert stage.let_go
    await task


def test_an_old_line_that_was_dead_and_speaks_again_does_not_make_the_hole_smaller(board: Board) -> None:
    board.tick("a", RB, 98)
    seen = first_ticks(board, alive=False)
    board.tick("b", RB, 101)
    assert seen.all_seen()
    board.tick("a", RB, 102)
    measured = seen.measured()
    assert measured.overall_ns == 3 * S
    assert measured.contracts == {RB: 3 * S}
