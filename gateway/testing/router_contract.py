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
from gateway.plan import AccountRouter, LineFacts, View
from gateway.testing import router_cards
from gateway.testing.router_cards import NAMES, Promise


@st.composite
def lines(draw: st.DrawFn) -> tuple[LineFacts, ...]:
    """One to four lines in any condition."""
    count = draw(st.integers(1, len(NAMES)))
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
        for name in draw(st.permutations(NAMES))[:count]
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
    chosen = draw(st.sampled_from((None, *NAMES)))
    return View(lines=changed, wanted=wanted, current=earlier, chosen=chosen)


class RouterContract:
    """The promises. Override :meth:`router`, and the class variables where a policy means to do otherwise."""

    logs_in_all: ClassVar[bool] = True
    """Whether every line is logged in always. A policy that parks lines promises coverage by the one it prefers."""
    examples: ClassVar[int] = 100
    """Of each promise."""

    def router(self) -> AccountRouter:
        """A fresh router."""
        raise NotImplementedError

    def _check(self, promise: Promise) -> None:
        router = self.router()

        @settings(max_examples=self.examples, deadline=None, database=None)
        @given(st.data())
        def run(data: Any) -> None:
            promise(self.router, data.draw(views(router)))

        run()

    def test_router_01_the_same_input_gives_the_same_answer(self) -> None:
        self._check(router_cards.same)

    def test_router_02_its_own_answer_does_not_change_its_mind(self) -> None:
        self._check(router_cards.settles)

    def test_router_03_a_plan_names_only_lines_that_exist_and_carries_only_on_lines_that_log_in(self) -> None:
        self._check(router_cards.names)

    def test_router_04_every_line_is_logged_in_if_the_policy_says_so(self) -> None:
        if self.logs_in_all:
            self._check(router_cards.logs_in)

    def test_router_05_a_line_that_is_not_usable_is_not_preferred_while_another_is(self) -> None:
        self._check(router_cards.prefers)

    def test_router_06_a_suspect_line_is_not_preferred_while_one_in_good_standing_is_usable(self) -> None:
        self._check(router_cards.distrusts)

    def test_router_07_the_capacity_of_a_login_is_never_exceeded(self) -> None:
        self._check(router_cards.fits)

    def test_router_08_every_wanted_contract_is_on_a_usable_line_when_there_is_room_or_it_is_reported(self) -> None:
        self._check(router_cards.covers)

    def test_router_09_a_line_that_fails_again_elsewhere_changes_nothing(self) -> None:
        self._check(router_cards.is_calm)

    def test_router_10_without_lines_nothing_is_planned_and_everything_is_unplaced(self) -> None:
        self._check(router_cards.without_lines)
