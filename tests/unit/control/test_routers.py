from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.routing.all_hot import AllHot
from gateway.control.routing.builtin import gateway_routers
from gateway.control.routing.primary_backup import PrimaryBackup
from gateway.control.routing.quality import Quality
from gateway.control.routing.shard import Shard, shares
from gateway.control.routing.standing import MOST_FAILURES
from gateway.model import Instrument, LineState
from gateway.plan import LineFacts, Plan, View
from gateway.testing.router_contract import RouterContract

UP, LOST, IDLE = LineState.STREAMING, LineState.LOST, LineState.IDLE
RB = [Instrument("SHFE", f"rb{number:04}") for number in range(300)]
ALL = frozenset(RB)


class TestPrimaryBackupHot(RouterContract):
    logs_in_all = False

    def router(self) -> PrimaryBackup:
        return PrimaryBackup("hot")


class TestPrimaryBackupCold(RouterContract):
    logs_in_all = False

    def router(self) -> PrimaryBackup:
        return PrimaryBackup("cold")


class TestAllHot(RouterContract):
    def router(self) -> AllHot:
        return AllHot()


class TestShard(RouterContract):
    def router(self) -> Shard:
        return Shard()


class TestQuality(RouterContract):
    def router(self) -> Quality:
        return Quality()


def line(name: str, state: LineState = UP, **facts: object) -> LineFacts:
    return replace(LineFacts(name=name, state=state), **facts)  # type: ignore[arg-type]  # facts by name


def view(*lines: LineFacts, current: Plan | None = None, chosen: str | None = None) -> View:
    return View(lines=lines, wanted=ALL, current=current or Plan(), chosen=chosen)


# -- what all share ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("router", [PrimaryBackup(), AllHot(), Shard()])
def test_a_backup_that_logs_in_first_gives_way_to_a_primary_that_never_failed(router):
    early = router.plan(view(line("a", LineState.CONNECTING), line("b")))
    assert early.prefer == "b"
    assert router.plan(view(line("a"), line("b"), current=early)).prefer == "a"


@pytest.mark.parametrize("router", [PrimaryBackup(), AllHot(), Shard(), Quality()])
def test_a_primary_that_failed_and_came_back_is_not_returned_to_by_itself(router):
    switched = router.plan(view(line("a", LOST, failures=1, restarts=1), line("b")))
    assert switched.prefer == "b"
    assert router.plan(view(line("a", restarts=1), line("b"), current=switched)).prefer == "b"


@pytest.mark.parametrize("router", [PrimaryBackup(), AllHot(), Shard(), Quality()])
def test_the_operators_choice_comes_before_the_order_but_not_before_a_line_that_works(router):
    assert router.plan(view(line("a"), line("b"), chosen="b")).prefer == "b"
    assert router.plan(view(line("a"), line("b", LOST, failures=1), chosen="b")).prefer == "a"


@pytest.mark.parametrize("router", [PrimaryBackup(), AllHot(), Shard(), Quality()])
def test_a_line_that_failed_too_often_is_left_while_it_is_up(router):
    current = Plan(prefer="a")
    shaky = line("a", failures=MOST_FAILURES, restarts=9)
    assert router.plan(view(shaky, line("b"), current=current)).prefer == "a"
    assert router.plan(view(replace(shaky, failures=MOST_FAILURES + 1), line("b"), current=current)).prefer == "b"


# -- primary and backup ------------------------------------------------------------------------------------------


def test_hot_keeps_both_logged_in_and_carrying_everything():
    plan = PrimaryBackup("hot").plan(view(line("a"), line("b")))
    assert plan.login == {"a", "b"}
    assert plan.carry == {"a": "all", "b": "all"}


def test_cold_logs_in_only_the_preferred_line():
    plan = PrimaryBackup("cold").plan(view(line("a"), line("b", IDLE, role="cold")))
    assert (plan.prefer, plan.login, plan.carry) == ("a", {"a"}, {"a": "all"})


@pytest.mark.parametrize(
    "broken", [line("a", LOST, failures=1), line("a", silent=True), line("a", LineState.CONNECTING, failures=1)]
)
def test_cold_turns_to_a_parked_backup_whatever_state_the_old_line_is_in(broken):
    current = Plan(prefer="a", login=frozenset({"a"}), carry={"a": "all"})
    plan = PrimaryBackup("cold").plan(view(broken, line("b", IDLE, role="cold"), current=current))
    assert (plan.prefer, plan.login) == ("b", {"b"})


def test_cold_with_both_dead_lets_both_try_and_takes_the_first_that_comes_back():
    router = PrimaryBackup("cold")
    dead = router.plan(view(line("a", LOST, failures=2), line("b", LOST, failures=1), current=Plan(prefer="b")))
    assert (dead.prefer, dead.login) == ("b", {"a", "b"})
    back = router.plan(view(line("a", failures=2), line("b", LOST, failures=1), current=dead))
    assert (back.prefer, back.login) == ("a", {"a"})


def test_hot_with_three_lines_replaces_a_dead_backup_by_the_parked_one():
    current = Plan(prefer="a", login=frozenset({"a", "b"}))
    plan = PrimaryBackup("hot").plan(
        view(line("a"), line("b", LOST, failures=1), line("c", IDLE, role="cold"), current=current)
    )
    assert plan.login == {"a", "c"}


def test_contracts_beyond_the_login_limit_are_reported():
    plan = PrimaryBackup("hot").plan(view(line("a", capacity=200), line("b", capacity=100)))
    assert plan.carry["a"] == frozenset(RB[:200])
    assert plan.unplaced == frozenset(RB[200:])


# -- shard -------------------------------------------------------------------------------------------------------


def test_shares_are_about_equal_and_nothing_is_carried_twice():
    plan = Shard().plan(view(*(line(name) for name in "abc")))
    assert sum(shares(plan).values()) == len(ALL)
    assert all(70 < share < 130 for share in shares(plan).values())


def owner(plan: Plan) -> dict[Instrument, str]:
    return {one: name for name, carried in plan.carry.items() for one in carried}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=2, max_size=5), st.data(), st.integers(0, 60))
def test_when_a_line_dies_only_its_own_contracts_move(capacities, data, count):
    router = Shard()
    names = "abcde"[: len(capacities)]
    lines = [line(name, capacity=capacity) for name, capacity in zip(names, capacities, strict=True)]
    wanted = frozenset(RB[:count])
    before = router.plan(View(lines=tuple(lines), wanted=wanted))
    dead = data.draw(st.sampled_from(names))
    after_lines = tuple(replace(one, state=LOST, failures=1) if one.name == dead else one for one in lines)
    after = router.plan(View(lines=after_lines, wanted=wanted, current=before))
    was, now = owner(before), owner(after)
    assert all(now[one] == name for one, name in was.items() if name != dead)
    room = sum(len(wanted) if one.capacity is None else one.capacity for one in lines if one.name != dead)
    assert len(now) == min(len(wanted), room)
    assert after.unplaced == wanted - now.keys()


def test_when_a_line_comes_back_it_takes_its_own_contracts_back_and_no_other_moves():
    router = Shard()
    lines = [line("a"), line("b"), line("c")]
    before = router.plan(view(*lines))
    without = router.plan(view(lines[0], line("b", LOST, failures=1), lines[2], current=before))
    assert router.plan(view(*lines, current=without)).carry == before.carry


def test_a_login_limit_that_was_lowered_is_kept_from_then_on():
    before = Shard().plan(view(line("a"), line("b")))
    after = Shard().plan(view(line("a", capacity=10), line("b", capacity=500), current=before))
    assert shares(after) == {"a": 10, "b": 290}


def test_shares_are_the_same_in_another_process():
    code = (
        "from gateway.control.routing.shard import Shard\n"
        "from gateway.plan import *\n"
        "from gateway.model import *\n"
        "v = View(lines=tuple(LineFacts(name=n, state=LineState.STREAMING) for n in 'abc'),"
        "wanted=frozenset(Instrument('SHFE', f'rb{i:04}') for i in range(20)))\n"
        "print(sorted(str(i) for i in Shard().plan(v).carry['b']))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = Shard().plan(View(lines=tuple(line(name) for name in "abc"), wanted=frozenset(RB[:20])))
    assert other.strip() == str(sorted(str(one) for one in here.carry["b"]))


def test_a_thousand_more_contracts_move_none_of_the_old_ones():
    router = Shard()
    lines = (line("a"), line("b"))
    before = router.plan(View(lines=lines, wanted=frozenset(RB[:100])))
    after = router.plan(View(lines=lines, wanted=ALL, current=before))
    assert all(owner(after)[one] == name for one, name in owner(before).items())


# -- quality -----------------------------------------------------------------------------------------------------


def test_a_clearly_faster_line_is_preferred_and_a_slightly_faster_one_is_not():
    current = Plan(prefer="a")
    plan = Quality(0.1).plan(view(line("a", first_share=0.46), line("b", first_share=0.54), current=current))
    assert plan.prefer == "a"
    plan = Quality(0.1).plan(view(line("a", first_share=0.4), line("b", first_share=0.6), current=current))
    assert plan.prefer == "b"


@given(st.lists(st.floats(0.455, 0.545), min_size=1, max_size=30))
def test_shares_within_the_hysteresis_never_make_lines_take_turns(noise):
    router, plan, seen = Quality(0.1), Plan(prefer="a"), Counter[str | None]()
    for share in noise:
        plan = router.plan(view(line("a", first_share=share), line("b", first_share=1 - share), current=plan))
        seen[plan.prefer] += 1
    assert set(seen) == {"a"}


def test_every_built_in_policy_is_offered_by_its_documented_name():
    kinds = {kind.name: type(kind.build()) for kind in gateway_routers()}
    assert kinds == {
        "all_hot": AllHot,
        "primary_backup": PrimaryBackup,
        "primary_backup_cold": PrimaryBackup,
        "quality": Quality,
        "shard": Shard,
    }


def test_a_cold_backup_is_parked():
    cold = PrimaryBackup("cold").plan(view(line("a"), line("b", IDLE, role="cold")))
    assert cold.login == {"a"}
