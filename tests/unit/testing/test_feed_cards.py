"""The suite is tested by feeds that are wrong: each breaks one promise, and that card alone fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from gateway.model import Instrument
from gateway.ports import TickSink
from gateway.testing.cards import Card, CardFailed, card, run_card
from gateway.testing.feed_cards import FEED_CARDS
from gateway.testing.scripted import ScriptedSource
from tests.unit.testing.broken_feeds import BROKEN, Broken, feed


@pytest.mark.parametrize("number", [one.number for one in FEED_CARDS])
def test_a_feed_that_breaks_one_promise_fails_that_card_alone(number: str) -> None:
    outcomes = [run_card(one, BROKEN[number]) for one in FEED_CARDS]
    failed = {outcome.card.number: outcome.reason for outcome in outcomes if outcome.result == "fail"}
    assert list(failed) == [number], failed
    assert failed[number]


def numbered(number: str) -> Card:
    return next(one for one in FEED_CARDS if one.number == number)


def test_a_capability_that_is_not_declared_makes_its_cards_not_applicable_by_name() -> None:
    class Mute(Broken):
        unknown = None

    outcome = run_card(numbered("FEED-09"), Mute)
    assert (outcome.result, outcome.reason) == ("n/a", "no capability unknown")


def test_a_capability_that_is_declared_and_does_not_work_fails() -> None:
    class CannotDrop(Broken):
        async def drop(self) -> None:
            """It says that it can."""

    outcome = run_card(numbered("FEED-10"), CannotDrop)
    assert outcome.result == "fail"
    assert "LOST, after the connection was cut, did not come" in outcome.reason


def test_a_refused_login_that_is_never_answered_is_a_failure_and_no_hang() -> None:
    class NeverAnswers(ScriptedSource):
        async def start(self, sink: TickSink) -> None:
            if not self.feed.refusal:
                await super().start(sink)

    outcome = run_card(numbered("FEED-11"), feed(NeverAnswers))
    assert (outcome.result, outcome.reason) == ("fail", "REFUSED did not come within 0.5 s; told: nothing")


def test_a_start_that_does_not_return_is_a_failure_and_no_hang() -> None:
    class WaitsForTheLogin(ScriptedSource):
        async def start(self, sink: TickSink) -> None:
            await asyncio.Event().wait()

    outcome = run_card(numbered("FEED-02"), feed(WaitsForTheLogin))
    assert outcome.result == "fail"
    assert outcome.reason.startswith("start() did not return within 0.5 s")


def test_a_source_that_blocks_the_loop_costs_the_limit_and_not_the_caller() -> None:
    class Blocks(ScriptedSource):
        async def subscribe(self, instruments: Sequence[Instrument]) -> None:
            time.sleep(0.3)  # noqa: ASYNC251 - that is what is wrong with it
            await asyncio.sleep(0)

    outcome = run_card(numbered("FEED-01"), feed(Blocks), limit_s=0.1)
    assert outcome.result == "fail"
    assert "did not end within 0.1 s" in outcome.reason


def test_what_a_subject_raises_is_the_outcome_and_never_the_callers() -> None:
    def cannot() -> Broken:
        raise OSError("no port")

    assert run_card(numbered("FEED-01"), cannot).reason == "its subject cannot be made: OSError: no port"

    @card("X-01", "Two things go wrong", fix="")
    async def twice(_make: object) -> None:
        raise ExceptionGroup("both", [CardFailed("one"), ValueError("two")])

    outcome = run_card(twice, Broken)
    assert (outcome.result, outcome.reason) == ("fail", "one; ValueError: two")
