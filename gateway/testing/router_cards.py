"""Cards of an account router: the promises as functions of one view, and views made by dice.

:mod:`gateway.testing.router_contract` asks the same promises with hypothesis, which finds more and shrinks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from gateway.hookspecs import RouterKind
from gateway.model import Instrument, LineState
from gateway.plan import AccountRouter, LineFacts, Plan, View
from gateway.testing.cards import Card, CardFailed, expect

NAMES: Final = ("ctp:a", "ctp:b", "ctp:c", "ctp:d")
_VIEWS: Final = 300
_MOST: Final = 40

MakeRouter = Callable[[], AccountRouter]
Promise = Callable[[MakeRouter, View], None]


class RouterPlace:
    """The router kind under test."""

    kind: RouterKind
    """Required, unless :meth:`build` is overridden."""
    logs_in_all: bool = False
    """Whether every line is to be logged in always."""

    def build(self) -> AccountRouter:
        """A fresh router."""
        return self.kind.build()

    def capabilities(self) -> frozenset[str]:
        """``logs_in_all``, if so."""
        return frozenset({"logs_in_all"} if self.logs_in_all else ())


# -- the promises ------------------------------------------------------------------------------------------------


def same(make: MakeRouter, view: View) -> None:
    """Two routers, asked twice."""
    router = make()
    expect(router.plan(view) == router.plan(view) == make().plan(view), f"two answers to the same view {view}")


def settles(make: MakeRouter, view: View) -> None:
    """Asked again with its own answer as the current plan."""
    router = make()
    plan = router.plan(view)
    expect(router.plan(replace(view, current=plan)) == plan, f"with its own plan in force it wants another one: {view}")


def names(make: MakeRouter, view: View) -> None:
    """Who is named."""
    plan, known = make().plan(view), {line.name for line in view.lines}
    expect(plan.login <= known, f"it logs in {plan.login - known}, which do not exist")
    expect(set(plan.carry) <= plan.login, f"{set(plan.carry) - plan.login} carry, and are not logged in")
    expect(plan.prefer in plan.login, f"it prefers {plan.prefer}, which is not logged in")


def logs_in(make: MakeRouter, view: View) -> None:
    """All of them."""
    plan, known = make().plan(view), {line.name for line in view.lines}
    expect(plan.login == known, f"{known - plan.login} are not logged in")


def prefers(make: MakeRouter, view: View) -> None:
    """A usable line, while there is one."""
    preferred = view.line(make().plan(view).prefer)
    usable = preferred is not None and preferred.usable
    expect(usable or not any(line.usable for line in view.lines), f"it prefers {preferred}, and another is usable")


def distrusts(make: MakeRouter, view: View) -> None:
    """A line that nobody suspects, while there is one."""
    preferred = view.line(make().plan(view).prefer)
    trusted = preferred is not None and not preferred.suspect
    others = any(line.usable and not line.suspect for line in view.lines)
    expect(trusted or not others, f"it prefers {preferred}, and one in good standing is usable")


def fits(make: MakeRouter, view: View) -> None:
    """The capacity of each login."""
    plan = make().plan(view)
    for line in view.lines:
        count = len(carried(plan, view, line))
        room = line.capacity is None or count <= line.capacity
        expect(room, f"{line.name} carries {count} contracts and has room for {line.capacity}")


def covers(make: MakeRouter, view: View) -> None:
    """Every wanted contract is carried, or reported."""
    plan = make().plan(view)
    given_out = frozenset[Instrument]().union(*(carried(plan, view, line) for line in view.lines))
    expect(given_out <= view.wanted, f"{len(given_out - view.wanted)} contracts are carried that nobody wants")
    lost = view.wanted - given_out
    words = f"{len(lost)} contracts are carried by nobody, and {len(plan.unplaced)} are reported so"
    expect(plan.unplaced == lost, words)
    usable = [line for line in view.lines if line.usable and not line.suspect and line.name in plan.login]
    on_usable = frozenset[Instrument]().union(*(carried(plan, view, line) for line in usable))
    if any(line.capacity is None or line.capacity >= len(view.wanted) for line in usable):
        missing = len(view.wanted - on_usable)
        expect(not missing, f"{missing} contracts are on no usable line, and one has room for all")


def is_calm(make: MakeRouter, view: View) -> None:
    """Figures that mean nothing change nothing."""
    router = make()
    plan = router.plan(view)
    view = replace(view, current=plan)
    later = tuple(replace(line, since_ns=line.since_ns + 1, restarts=line.restarts + 1) for line in view.lines)
    # a line that counts as never failed may be returned to; beside that, neither figure says anything
    if view.lines[0].restarts or view.lines[0].failures:
        expect(router.plan(replace(view, lines=later)) == plan, f"one more restart everywhere changes the plan: {view}")


def without_lines(make: MakeRouter, _view: View) -> None:
    """Nothing to plan with."""
    wanted = frozenset({Instrument("SHFE", "rb2510")})
    plan = make().plan(View(lines=(), wanted=wanted))
    found = (plan.prefer, plan.login, dict(plan.carry), plan.unplaced)
    expect(found == (None, frozenset(), {}, wanted), f"without a line it plans {plan}")


def carried(plan: Plan, view: View, line: LineFacts) -> frozenset[Instrument]:
    """The wanted contracts that a plan gives to a line."""
    return plan.carries(line.name, view.wanted)


# -- the cards ---------------------------------------------------------------------------------------------------


def _card(number: str, title: str, promise: Promise, *, fix: str, needs: tuple[str, ...] = ()) -> Card:
    async def run(make: Callable[[], RouterPlace]) -> None:
        dice = Random(number)  # noqa: S311 - the same views in every run
        place = make()
        for _ in range(_VIEWS):
            try:
                promise(place.build, _view(dice, place.build()))
            except CardFailed:
                raise
            except Exception as error:
                raise CardFailed(f"plan() raised {type(error).__name__}: {error}") from error

    return Card(number=number, title=title, fix=fix, needs=needs, run=run)


def _view(dice: Random, router: AccountRouter) -> View:
    """As hypothesis makes them: half of them with a plan that the router itself made before, for other facts."""
    first = View(lines=_lines(dice), wanted=_wanted(dice))
    if dice.random() < 0.5:  # noqa: PLR2004 - half
        return first
    changed = tuple(
        replace(line, state=dice.choice(list(LineState)), silent=dice.random() < 0.5)  # noqa: PLR2004 - half
        for line in first.lines
    )
    wanted = first.wanted if dice.random() < 0.5 else _wanted(dice)  # noqa: PLR2004 - half
    return View(lines=changed, wanted=wanted, current=router.plan(first), chosen=dice.choice((None, *NAMES)))


def _lines(dice: Random) -> tuple[LineFacts, ...]:
    return tuple(
        LineFacts(
            name=name,
            state=dice.choice(list(LineState)),
            restarts=dice.randint(0, 3),
            failures=dice.randint(0, 5),
            capacity=dice.choice((None, dice.randint(0, 30))),
            first_share=dice.random(),
            suspect=dice.random() < 0.3,  # noqa: PLR2004 - seldom
            silent=dice.random() < 0.3,  # noqa: PLR2004 - seldom
            role=dice.choice(("hot", "cold")),
        )
        for name in dice.sample(NAMES, dice.randint(1, len(NAMES)))
    )


def _wanted(dice: Random) -> frozenset[Instrument]:
    return frozenset(Instrument("SHFE", f"rb{number:04}") for number in range(dice.randint(0, _MOST)))


ROUTER_CARDS = (
    _card("ROUTER-01", "The same input gives the same answer", same, fix="keep no state; plan() is a pure function"),
    _card(
        "ROUTER-02",
        "Its own answer does not change its mind",
        settles,
        fix="plan(view) with view.current set to its answer gives that answer again; else lines flap",
    ),
    _card(
        "ROUTER-03",
        "A plan names only lines that exist, and carries only on lines that it logs in",
        names,
        fix="prefer and carry are taken from login, login from view.lines",
    ),
    _card(
        "ROUTER-04",
        "Every line is logged in",
        logs_in,
        needs=("logs_in_all",),
        fix="put every line of the view into login, or do not declare logs_in_all",
    ),
    _card(
        "ROUTER-05",
        "A line that is not usable is not preferred while another one is",
        prefers,
        fix="look at LineFacts.usable first",
    ),
    _card(
        "ROUTER-06",
        "A suspect line is not preferred while one in good standing is usable",
        distrusts,
        fix="look at LineFacts.suspect before the order of preference",
    ),
    _card("ROUTER-07", "The capacity of a login is never exceeded", fits, fix="count what a line carries already"),
    _card(
        "ROUTER-08",
        "Every wanted contract is on a usable line when there is room, or it is reported",
        covers,
        fix="put what finds no room into unplaced",
    ),
    _card(
        "ROUTER-09",
        "A line that fails again elsewhere changes nothing",
        is_calm,
        fix="decide by states and the plan in force, not by counts of restarts",
    ),
    _card(
        "ROUTER-10",
        "Without lines nothing is planned, and everything is unplaced",
        without_lines,
        fix="return Plan(unplaced=view.wanted) for an empty view",
    ),
)
