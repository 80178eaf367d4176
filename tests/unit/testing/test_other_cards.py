"""Cards of secret stores, contract lists, routers and actions: each fails for what breaks it, and for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, Field

from gateway.control.routing.all_hot import AllHot
from gateway.errors import CatalogueError, SettingsError
from gateway.hookspecs import CatalogueKind
from gateway.model import Contract, Instrument
from gateway.plan import AccountRouter, Plan, View
from gateway.ports import Catalogue, SecretStore
from gateway.testing import CataloguePlace, RouterPlace, SecretPlace
from gateway.testing.cards import Card, run_card
from gateway.testing.catalogue_cards import CATALOGUE_CARDS
from gateway.testing.router_cards import ROUTER_CARDS
from gateway.testing.secret_cards import SECRET_CARDS
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult
from runbook.testing.action_cards import ACTION_CARDS, ActionCase


def failing(cards: Sequence[Card], make: Callable[[], Any]) -> dict[str, str]:
    outcomes = [run_card(card, make) for card in cards]
    return {one.card.number: one.reason for one in outcomes if one.result == "fail"}


# -- secret stores -------------------------------------------------------------------------------------------------


class Store:
    """Sound."""

    def __init__(self, place: Shelf) -> None:
        self.place = place

    def read(self, path: str) -> Mapping[str, str]:
        if self.place.broken:
            raise SettingsError(["the shelf is gone; put it back"])
        if path != "here":
            raise SettingsError([f"nothing is under {path!r}"])
        return dict(self.place.now)


class Shelf(SecretPlace):
    path, missing = "here", "there"
    store: type[Store] = Store

    def __init__(self) -> None:
        self.now, self.broken = dict(self.values), False

    def build(self) -> SecretStore:
        return self.store(self)

    def change(self, values: Mapping[str, str]) -> None:
        self.now = dict(values)

    def break_it(self) -> None:
        self.broken = True


class LosesAKey(Store):
    def read(self, path: str) -> Mapping[str, str]:
        return {key: value for key, value in super().read(path).items() if key != "auth_code"}


class GivesNothing(Store):
    def read(self, path: str) -> Mapping[str, str]:
        return super().read(path) if path in ("here", "there") else {}


class ShowsItself(Store):
    def __repr__(self) -> str:
        return f"Store({self.place.now})"


class Remembers(Store):
    kept: Mapping[str, str] | None = None

    def read(self, path: str) -> Mapping[str, str]:
        found = super().read(path)
        self.kept = self.kept or found
        return self.kept


class BreaksDown(Store):
    def read(self, path: str) -> Mapping[str, str]:
        if self.place.broken:
            raise OSError("connection refused")
        return super().read(path)


@pytest.mark.parametrize(
    ("numbers", "store"),
    [
        ([], Store),
        (["SECRET-01"], LosesAKey),
        (["SECRET-02"], GivesNothing),
        (["SECRET-03"], ShowsItself),
        (["SECRET-04"], Remembers),
        (["SECRET-05"], BreaksDown),
    ],
)
def test_a_store_that_breaks_one_promise_fails_that_card(numbers: list[str], store: type[Store]) -> None:
    failed = failing(SECRET_CARDS, type("Place", (Shelf,), {"store": store}))
    assert list(failed) == numbers


# -- contract lists ------------------------------------------------------------------------------------------------

RB = Contract(instrument=Instrument("SHFE", "rb2601"), multiplier=10, price_tick=1.0, expire_date=20260115)


class ListOf:
    def __init__(self, contracts: Callable[[], Sequence[Contract]]) -> None:
        self.give = contracts

    async def contracts(self) -> Sequence[Contract]:
        return self.give()


class Place(CataloguePlace):
    patience_s = 0.3
    kind = CatalogueKind(name="acme", build=lambda *_: ListOf(lambda: [RB]))
    error: Exception | None = CatalogueError("the list is gone; ask again")

    def __init__(self) -> None:
        self.list = ListOf(self.give)
        self.asked = 0

    def give(self) -> Sequence[Contract]:
        self.asked += 1
        return [RB]

    def build(self) -> Catalogue:
        return self.list

    def break_it(self) -> None:
        def broken() -> Sequence[Contract]:
            if self.error is not None:
                raise self.error
            return ()

        self.list.give = broken


class Twice(Place):
    def give(self) -> Sequence[Contract]:
        return [RB, RB]


class NoNumber(Place):
    def give(self) -> Sequence[Contract]:
        return [Contract(instrument=RB.instrument, price_tick=float("inf"))]


class NoDate(Place):
    def give(self) -> Sequence[Contract]:
        return [Contract(instrument=RB.instrument, expire_date=20261399)]


class Empty(Place):
    def give(self) -> Sequence[Contract]:
        return []


class Changes(Place):
    def give(self) -> Sequence[Contract]:
        super().give()
        return [Contract(instrument=Instrument("SHFE", f"rb26{self.asked:02}"))]


class Leaks(Place):
    def give(self) -> Sequence[Contract]:
        threading.Thread(target=threading.Event().wait, args=(2.0,), daemon=True).start()
        return [RB]


class Raises(Place):
    error = OSError("no route to host")


class Pretends(Place):
    error = None


@pytest.mark.parametrize(
    ("numbers", "place"),
    [
        ([], Place),
        (["CATALOGUE-01"], Twice),
        (["CATALOGUE-01"], NoNumber),
        (["CATALOGUE-01"], NoDate),
        (["CATALOGUE-01"], Empty),
        (["CATALOGUE-02"], Changes),
        (["CATALOGUE-02"], Leaks),
        (["CATALOGUE-03"], Raises),
        (["CATALOGUE-03"], Pretends),
    ],
)
def test_a_list_that_breaks_one_promise_fails_that_card_alone(numbers: list[str], place: type[Place]) -> None:
    assert list(failing(CATALOGUE_CARDS, place)) == numbers


# -- routers -------------------------------------------------------------------------------------------------------


class Bent:
    """All hot, but for one thing."""

    def __init__(self, bend: Callable[[Plan, View], Plan]) -> None:
        self.bend = bend

    def plan(self, view: View) -> Plan:
        return self.bend(AllHot().plan(view), view)


def bent(bend: Callable[[Plan, View], Plan]) -> Callable[[], RouterPlace]:
    class Bends(RouterPlace):
        logs_in_all = True

        def build(self) -> AccountRouter:
            return Bent(bend)

    return Bends


def by_restarts(plan: Plan, view: View) -> Plan:
    usable = [line for line in view.lines if line.usable and not line.suspect]
    return replace(plan, prefer=max(usable, key=lambda line: line.restarts % 3).name) if usable else plan


def the_first(plan: Plan, view: View) -> Plan:
    return replace(plan, prefer=view.lines[0].name) if view.lines else plan


@pytest.mark.parametrize(
    ("number", "bend"),
    [
        ("ROUTER-03", lambda plan, _: replace(plan, login=plan.login | {"ctp:nobody"})),
        ("ROUTER-04", lambda plan, _: replace(plan, login=frozenset({plan.prefer} - {None}), carry={})),
        ("ROUTER-05", the_first),
        ("ROUTER-06", the_first),
        ("ROUTER-07", lambda plan, view: replace(plan, carry=dict.fromkeys(plan.login, "all"))),
        ("ROUTER-08", lambda plan, _: replace(plan, carry={})),
        ("ROUTER-09", by_restarts),
        ("ROUTER-10", lambda plan, view: plan if view.lines else Plan()),
    ],
)
def test_a_router_that_breaks_a_promise_fails_its_card(number: str, bend: Callable[[Plan, View], Plan]) -> None:
    card = next(card for card in ROUTER_CARDS if card.number == number)
    assert run_card(card, bent(lambda plan, _: plan)).result == "pass"
    outcome = run_card(card, bent(bend))
    assert (outcome.result, bool(outcome.reason)) == ("fail", True)


def test_a_router_that_changes_its_mind_fails_the_first_cards() -> None:
    class Moody(RouterPlace):
        def build(self) -> AccountRouter:
            turns = iter(range(1_000_000))
            return Bent(lambda plan, _: replace(plan, unplaced=frozenset({Instrument("X", str(next(turns)))})))

    assert {"ROUTER-01", "ROUTER-02"} <= set(failing(ROUTER_CARDS, Moody))


# -- actions -------------------------------------------------------------------------------------------------------


class Parameters(BaseModel, extra="forbid", frozen=True):
    name: str = Field("a", description="What the file is called")


async def write(context: Any, parameters: Any) -> ActionResult:
    if not context.request.dry_run:
        (context.log_dir / parameters.name).write_text("done")
    return ActionResult(exit_code=0, message="written", output="" if context.request.dry_run else parameters.name)


ACTION = ActionKind(name="write", title="Write a file", build=lambda: write, parameters=Parameters)


class Writes(ActionCase):
    kind = ACTION
    patience_s = 0.3

    def observe(self) -> object:
        return sorted(path.name for path in self.root.rglob("a"))


def writes(run: Any = write, **more: Any) -> type[ActionCase]:
    return type("Broken", (Writes,), {"kind": replace(ACTION, **{"build": lambda: run} | more)})


class Loose(BaseModel):
    name: str = Field("a", description="What the file is called")


class Silent(BaseModel, extra="forbid"):
    name: str = "a"


class Keeper:
    runs = 0

    async def __call__(self, context: Any, parameters: Any) -> ActionResult:
        self.runs += 1
        return await write(context, parameters)


async def strange_code(context: Any, parameters: Any) -> ActionResult:
    return replace(await write(context, parameters), exit_code=99)


async def raising(context: Any, parameters: Any) -> ActionResult:
    await write(context, parameters)
    raise KeyError("x")


async def wet(context: Any, parameters: Any) -> ActionResult:
    return await write(replace(context, request=replace(context.request, dry_run=False)), parameters)


async def chatty(context: Any, parameters: Any) -> ActionResult:
    password = context.settings.feeds["sim"].accounts["primary"].password.get_secret_value()
    context.tell("login", f"with {password}", {})
    return await write(context, parameters)


async def leaky(context: Any, parameters: Any) -> ActionResult:
    threading.Thread(target=threading.Event().wait, args=(2.0,), daemon=True).start()
    return await write(context, parameters)


@pytest.mark.parametrize(
    ("numbers", "case"),
    [
        ([], Writes),
        (["ACTION-01"], writes(name="Write It")),
        (["ACTION-01"], writes(parameters=Silent)),
        (["ACTION-02"], writes(parameters=Loose)),
        (["ACTION-03"], writes(run=Keeper())),
        (["ACTION-04"], writes(run=strange_code)),
        (["ACTION-05"], writes(run=wet)),
        (["ACTION-06"], writes(run=chatty)),
        (["ACTION-07"], writes(run=leaky)),
    ],
)
def test_an_action_that_breaks_one_promise_fails_that_card_alone(numbers: list[str], case: type[ActionCase]) -> None:
    assert list(failing(ACTION_CARDS, case)) == numbers


def test_an_action_that_raises_what_is_no_error_of_ours_fails() -> None:
    assert "ACTION-04" in failing(ACTION_CARDS, writes(run=raising))
