# ruff: noqa: S101 - these are tests, asserts are their means
"""What every account router promises, as tests. Subclass it in a plugin's tests; it needs pytest and hypothesis.

class TestMine(RouterContract):
    def router(self):
        return Mine()
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Instrument, LineState
from gateway.plan import AccountRouter, LineFacts, Plan, View

_NAMES = ("ctp:a", "ctp:b", "ctp:c", "ctp:d")


@st.composite
def lines(draw: st.DrawFn) -> tuple[LineFacts, ...]:
    """One to four lines in any condition."""
    count = draw(st.integers(1, len(_NAMES)))
    return tuple(
        LineFacts(
            name=name,
            state=draw(st.sampled_from(LineState)),
            restarts=draw(st.integers(0, 3)),
            failures=draw(st.integers(0, 5)),
            capacity=draw(st.one_of(st.none(), st.integers(0, 30))),
            first_share=draw(st.floats(0, 1)),
            suspect=draw(st.booleans()),
            silent=draw(st.booleans()),
            role=draw(st.sampled_from(("hot", "cold"))),
        )
        for name in draw(st.permutations(_NAMES))[:count]
    )


def instruments(most: int = 40) -> st.SearchStrategy[frozenset[Instrument]]:
    """Some contracts."""
    return st.integers(0, most).map(lambda n: frozenset(Instrument("SHFE", f"rb{i:04}") for i in range(n)))


@st.composite
def views(draw: st.DrawFn, router: AccountRouter) -> View:
    """A view whose current plan is one that the router itself made before, for other facts or none."""
    first = View(lines=draw(lines()), wanted=draw(instruments()))
    if draw(st.booleans()):
        return first
    earlier = router.plan(first)
    changed = tuple(
        replace(line, state=draw(st.sampled_from(LineState)), silent=draw(st.booleans())) for line in first.lines
    )
    wanted = draw(st.one_of(st.just(first.wanted), instruments()))
    chosen = draw(st.sampled_from((None, *_NAMES)))
    return View(lines=changed, wanted=wanted, current=earlier, chosen=chosen)


def carried(plan: Plan, view: View, line: LineFacts) -> frozenset[Instrument]:
    """The wanted contracts that a plan gives to a line."""
    return plan.carries(line.name, view.wanted)


class RouterContract:
    """The promises. Override :meth:`router`, and the class variables where a policy means to do otherwise."""

    logs_in_all: ClassVar[bool] = True
    """Whether every line is logged in always. A policy that parks lines promises coverage by the one it prefers."""
    examples: ClassVar[int] = 100
    """Of each promise."""

    def router(self) -> AccountRouter:
        """A fresh router."""
        raise NotImplementedError

    def _check(self, name: str) -> None:
        router = self.router()

        @settings(max_examples=self.examples, deadline=None, database=None)
        @given(st.data())
        def run(data: Any) -> None:
            view = data.draw(views(router))
            getattr(self, name)(router, view)

        run()

    # -- every view ----------------------------------------------------------------------------------------------

    def test_the_same_input_gives_the_same_answer(self) -> None:
        self._check("_same")

    def _same(self, router: AccountRouter, view: View) -> None:
        assert router.plan(view) == router.plan(view) == self.router().plan(view)

    def test_its_own_answer_does_not_change_its_mind(self) -> None:
        self._check("_settles")

    def _settles(self, router: AccountRouter, view: View) -> None:
        plan = router.plan(view)
        assert router.plan(replace(view, current=plan)) == plan

    def test_a_plan_names_only_lines_that_exist_and_carries_only_on_lines_that_log_in(self) -> None:
        self._check("_names")

    def _names(self, router: AccountRouter, view: View) -> None:
        plan, names = router.plan(view), {line.name for line in view.lines}
        assert plan.login <= names
        assert set(plan.carry) <= plan.login
        assert plan.prefer in plan.login
        if self.logs_in_all:
            assert plan.login == names

    def test_a_line_that_is_not_usable_is_not_preferred_while_another_is(self) -> None:
        self._check("_prefers")

    def _prefers(self, router: AccountRouter, view: View) -> None:
        preferred = view.line(router.plan(view).prefer)
        assert preferred is not None
        assert preferred.usable or not any(line.usable for line in view.lines)

    def test_a_suspect_line_is_not_preferred_while_one_in_good_standing_is_usable(self) -> None:
        self._check("_suspects")

    def _suspects(self, router: AccountRouter, view: View) -> None:
        preferred = view.line(router.plan(view).prefer)
        assert preferred is not None
        assert not preferred.suspect or not any(line.usable and not line.suspect for line in view.lines)

    def test_the_capacity_of_a_login_is_never_exceeded(self) -> None:
        self._check("_capacity")

    def _capacity(self, router: AccountRouter, view: View) -> None:
        plan = router.plan(view)
        for line in view.lines:
            assert line.capacity is None or len(carried(plan, view, line)) <= line.capacity

    def test_every_wanted_contract_is_on_a_usable_line_when_there_is_room_or_it_is_reported(self) -> None:
        self._check("_covers")

    def _covers(self, router: AccountRouter, view: View) -> None:
        plan = router.plan(view)
        given_out = frozenset[Instrument]().union(*(carried(plan, view, line) for line in view.lines))
        assert given_out <= view.wanted
        assert plan.unplaced == view.wanted - given_out
        usable = [line for line in view.lines if line.usable and not line.suspect and line.name in plan.login]
        on_usable = frozenset[Instrument]().union(*(carried(plan, view, line) for line in usable))
        one_holds_all = any(line.capacity is None or line.capacity >= len(view.wanted) for line in usable)
        if one_holds_all:
            assert on_usable == view.wanted

    def test_a_line_that_fails_again_elsewhere_changes_nothing(self) -> None:
        self._check("_unrelated")

    def _unrelated(self, router: AccountRouter, view: View) -> None:
        plan = router.plan(view)
        view = replace(view, current=plan)
        later = tuple(replace(line, since_ns=line.since_ns + 1, restarts=line.restarts + 1) for line in view.lines)
        # a line that counts as never failed may be returned to; beside that, neither figure says anything
        if view.lines[0].restarts or view.lines[0].failures:
            assert router.plan(replace(view, lines=later)) == plan

    def test_without_lines_nothing_is_planned_and_everything_is_unplaced(self) -> None:
        wanted = frozenset({Instrument("SHFE", "rb2510")})
        plan = self.router().plan(View(lines=(), wanted=wanted))
        assert (plan.prefer, plan.login, dict(plan.carry), plan.unplaced) == (None, frozenset(), {}, wanted)
