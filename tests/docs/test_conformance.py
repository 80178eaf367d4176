"""docs/conformance.md and the cards agree; every card is a test of its contract; every broken plugin has its card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway import testing
from gateway.testing.cards import Card, run_card
from gateway.testing.catalogue_cards import CATALOGUE_CARDS
from gateway.testing.catalogue_contract import CatalogueContract
from gateway.testing.counter import Counter
from gateway.testing.feed_cards import FEED_CARDS
from gateway.testing.feed_contract import FeedContract
from gateway.testing.load_cards import LOAD_CARDS
from gateway.testing.plugin_check import OFFER
from gateway.testing.router_cards import ROUTER_CARDS
from gateway.testing.router_contract import RouterContract
from gateway.testing.secret_cards import SECRET_CARDS
from gateway.testing.secret_contract import SecretStoreContract
from runbook.testing.action_cards import ACTION_CARDS
from runbook.testing.action_contract import ActionContract
from tests.docs.documents import ROOT, blocks

PAGE = ROOT / "docs" / "conformance.md"
CARDS: Sequence[Card] = (
    *LOAD_CARDS,
    OFFER,
    *FEED_CARDS,
    *ROUTER_CARDS,
    *SECRET_CARDS,
    *CATALOGUE_CARDS,
    *ACTION_CARDS,
)
CONTRACTS = (
    (FeedContract, FEED_CARDS),
    (RouterContract, ROUTER_CARDS),
    (SecretStoreContract, SECRET_CARDS),
    (CatalogueContract, CATALOGUE_CARDS),
    (ActionContract, ACTION_CARDS),
)


def rows(page: Path) -> list[list[str]]:
    found = re.findall(
        r"^\| ([A-Z]+-[0-9]+) \| (.*) \| (.*) \| (.*) \|$", page.read_text(encoding="utf-8"), re.MULTILINE
    )
    return [[cell.strip() for cell in row] for row in found]


def test_every_card_has_its_row_with_the_same_words_and_every_row_its_card() -> None:
    cards = [[one.number, one.title, ", ".join(f"`{need}`" for need in one.needs), one.fix] for one in CARDS]
    assert rows(PAGE) == cards


def test_cards_are_numbered_without_a_hole() -> None:
    for sort in ("LOAD", "FEED", "ROUTER", "SECRET", "CATALOGUE", "ACTION"):
        numbers = [one.number for one in CARDS if one.number.startswith(sort)]
        assert numbers == [f"{sort}-{number:02}" for number in range(1, len(numbers) + 1)]
        assert numbers


@pytest.mark.parametrize(("contract", "cards"), CONTRACTS, ids=lambda one: getattr(one, "__name__", ""))
def test_every_card_of_a_contract_is_one_test_that_names_it(contract: type, cards: Sequence[Card]) -> None:
    tests = [name for name in vars(contract) if name.startswith("test_")]
    assert [name.split("_")[1:3] for name in tests] == [one.number.lower().split("-") for one in cards]


@pytest.mark.parametrize(
    ("contract", "cards"),
    [pair for pair in CONTRACTS if pair[0] is not RouterContract],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_test_asks_the_card_that_it_names(contract: type, cards: Sequence[Card]) -> None:
    asked: list[str] = []
    probe = type("Probe", (contract,), {"_ask": lambda _, number: asked.append(number)})()
    for name in [name for name in vars(contract) if name.startswith("test_")]:
        getattr(probe, name)()
    assert asked == [one.number for one in cards]


def test_every_capability_that_a_card_needs_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    assert {need for one in FEED_CARDS for need in one.needs} <= explained


def test_every_public_name_of_the_kit_is_on_the_page_or_says_what_it_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    elsewhere = {"Card", "CardFailed", "Harness", "NatsServer", "RecordingSink", "make_tick"}
    assert {name for name in testing.__all__ if name not in text} <= elsewhere
    for name in testing.__all__:
        assert (getattr(testing, name).__doc__ or "").strip(), name


def test_every_member_of_a_counter_is_in_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    members = {name for name in {*vars(Counter), *Counter.__annotations__} if not name.startswith("_")}
    assert {name for name in members - {"capabilities", "line"} if f"`{name}" not in text} == set()


def test_the_counter_of_the_page_is_asked_and_passes_what_it_declares() -> None:
    counter, contract, _ = (block.code for block in blocks(PAGE, "python"))
    names: dict[str, Any] = {}
    exec(compile(f"{counter}\n{contract}", str(PAGE), "exec"), names)
    assert issubclass(names["TestAcme"], FeedContract)
    (made,) = names["CONFORMANCE"]
    results = {one.number: run_card(one, made) for one in FEED_CARDS}
    assert {one.reason for one in results.values() if one.result == "fail"} == set()
    assert results["FEED-10"].result == "pass"
    assert results["FEED-11"].reason == "no capability refuse"


def test_the_program_with_the_harness_runs_as_it_is_printed() -> None:
    *_, program = (block.code for block in blocks(PAGE, "python"))
    exec(compile(program, str(PAGE), "exec"), {"__name__": "__main__"})
