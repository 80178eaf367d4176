"""What a line carries, as told to its subscriptions, to the ledger and to the watchdog."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.flow.carrying import Carrying
from gateway.flow.subscriptions import SubscriptionPolicy, Subscriptions
from gateway.flow.topics import Topics
from gateway.model import Instrument, LineId
from gateway.testing.clock import ManualClock
from tests.unit.flow.ledger_market import Market
from tests.unit.flow.test_subscriptions import Counter

LINE = LineId("ctp", "primary")
RB, AG, CU = (Instrument("SHFE", code) for code in ("rb2510", "ag2512", "cu2510"))


class Books:
    """A ledger that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def covered(self, line: LineId, instruments: list[Instrument]) -> None:
        self.told.append(("covered", line, sorted(instruments)))

    def uncovered(self, line: LineId, instruments: list[Instrument], reason: str) -> None:
        self.told.append(("uncovered", line, sorted(instruments), reason))

    def line_lost(self, line: LineId, reason: str, *, since_ns: int | None = None) -> None:
        self.told.append(("lost", line, reason, since_ns))


class Bench:
    """A line up, with ``wanted`` sent to the counter; ``run`` is played by :meth:`send`."""

    def __init__(self, books: Any = None) -> None:
        self.clock = ManualClock()
        self.counter = Counter(self.clock)
        self.subs = Subscriptions(LINE, self.counter, SubscriptionPolicy(), self.clock, sleep=self.clock.sleep)
        self.books = Books() if books is None else books
        self.topics = Topics(lambda subject: subject.encode())
        self.heard: int | None = None
        self.carrying = Carrying(self.subs, self.books, self.topics, lambda: self.heard)

    async def send(self) -> None:
        """What is due, until there is nothing left."""
        while await self.subs._send_next() is None:
            pass

    async def up(self, *wanted: Instrument) -> None:
        self.subs.want(wanted)
        self.carrying.line_up()
        await self.send()

    def marked(self) -> list[Instrument]:
        return [mark.instrument for mark in self.carrying.marks]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- confirmations -------------------------------------------------------------------------------------------------


async def test_what_the_counter_confirmed_is_covered_and_marked(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.carrying.on_confirmed([RB])
    assert bench.books.told == [("covered", LINE, [RB])]
    bench.carrying.on_confirmed([AG])
    assert bench.marked() == [RB, AG]
    assert bench.carrying.marks[0] is bench.topics.of("SHFE", "rb2510"), "the published stream itself"
    assert set(bench.subs.confirmed) == {RB, AG}


async def test_a_confirmation_that_comes_twice_is_one(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.carrying.on_confirmed([RB, RB])
    bench.carrying.on_confirmed([RB])
    assert bench.marked() == [RB]
    assert bench.books.told == [("covered", LINE, [RB])]


async def test_an_answer_for_a_contract_that_nobody_wants_any_more_is_no_coverage(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.subs.release([RB])
    bench.carrying.on_confirmed([RB, AG])
    assert bench.books.told == [("covered", LINE, [AG])]
    assert bench.marked() == [AG]


async def test_an_answer_that_comes_after_the_line_was_lost_is_no_coverage(bench: Bench) -> None:
    await bench.up(RB)
    bench.carrying.line_down("OnFrontDisconnected 4097")
    bench.books.told.clear()
    bench.carrying.on_confirmed([RB])
    assert bench.books.told == []
    assert bench.marked() == []


async def test_an_answer_for_a_contract_that_was_never_asked_for_is_no_coverage(bench: Bench) -> None:
    await bench.up(RB)
    bench.carrying.on_confirmed([CU])
    assert bench.books.told == []
    assert bench.marked() == []


# -- refusals and ends ---------------------------------------------------------------------------------------------


async def test_a_refused_contract_is_told_with_the_vendors_words(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.carrying.on_confirmed([AG])
    bench.carrying.on_refused(RB, "CTP:no such instrument")
    assert bench.books.told[-1] == ("uncovered", LINE, [RB], "CTP:no such instrument")
    assert bench.subs.failed == {RB: "CTP:no such instrument"}
    assert bench.marked() == [AG]


async def test_a_confirmed_contract_that_is_refused_later_loses_its_mark(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.carrying.on_confirmed([RB, AG])
    bench.carrying.on_refused(RB, "CTP:expired")
    assert bench.marked() == [AG]
    assert bench.books.told[-1] == ("uncovered", LINE, [RB], "CTP:expired")


async def test_a_refusal_that_the_subscriptions_do_not_take_uncovers_nothing(bench: Bench) -> None:
    """It is for a contract that another login asked for, and this one has confirmed."""
    await bench.up(RB)
    bench.carrying.on_confirmed([RB])
    bench.subs.on_refused = lambda *_: None  # type: ignore[method-assign]  # the test looks at one callback only
    bench.books.told.clear()
    bench.carrying.on_refused(RB, "CTP:late")
    assert bench.books.told == []
    assert bench.marked() == [RB]


async def test_an_unsubscribed_contract_is_carried_no_longer(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.carrying.on_confirmed([RB, AG])
    bench.subs.release([RB])
    await bench.send()
    assert bench.counter.offs == [[RB]]
    bench.carrying.on_unsubscribed([RB])
    assert bench.marked() == [AG]
    assert bench.books.told[-1] == ("uncovered", LINE, [RB], "unsubscribed")


async def test_a_contract_that_the_counter_stopped_by_itself_is_uncovered_until_it_is_confirmed_anew(
    bench: Bench,
) -> None:
    await bench.up(RB)
    bench.carrying.on_confirmed([RB])
    bench.carrying.on_unsubscribed([RB])
    assert bench.books.told[-1] == ("uncovered", LINE, [RB], "unsubscribed")
    await bench.clock.advance(600)
    bench.subs._pass_time()
    await bench.send()
    bench.carrying.on_confirmed([RB])
    assert bench.books.told[-1] == ("covered", LINE, [RB])
    assert bench.marked() == [RB]


# -- wanted again --------------------------------------------------------------------------------------------------


async def test_a_contract_wanted_again_before_its_end_was_sent_was_carried_all_the_time(bench: Bench) -> None:
    await bench.up(RB)
    bench.carrying.on_confirmed([RB])
    marks = bench.carrying.marks
    bench.subs.release([RB])
    bench.subs.want([RB])
    await bench.send()
    assert bench.counter.offs == []
    assert bench.books.told == [("covered", LINE, [RB])]
    assert bench.carrying.marks is marks
    assert set(bench.subs.confirmed) == {RB}


async def test_a_contract_wanted_again_after_its_end_was_sent_is_uncovered_in_between(bench: Bench) -> None:
    await bench.up(RB)
    bench.carrying.on_confirmed([RB])
    bench.subs.release([RB])
    await bench.send()
    bench.subs.want([RB])
    bench.carrying.on_unsubscribed([RB])
    await bench.send()
    bench.carrying.on_confirmed([RB])
    assert [told[0] for told in bench.books.told] == ["covered", "uncovered", "covered"]
    assert bench.marked() == [RB]


async def test_with_the_real_ledger_a_contract_that_was_released_and_wanted_again_at_once_is_covered() -> None:
    market = Market("29 09:30:00", grace_s=5)
    bench = Bench(market.ledger)
    market.ledger.wanted("ctp", [RB])
    await bench.up(RB)
    bench.carrying.on_confirmed([RB])
    bench.subs.release([RB])
    market.ledger.wanted("ctp", [])
    bench.subs.want([RB])
    market.ledger.wanted("ctp", [RB])
    await market.passes(60)
    assert market.told() == []
    bench.carrying.line_down("4097")
    await market.passes(1)
    assert market.told() == ["opened rb2510 09:31:00"]


# -- the line ------------------------------------------------------------------------------------------------------


async def test_a_lost_line_carries_nothing_since_now(bench: Bench) -> None:
    await bench.up(RB)
    bench.carrying.on_confirmed([RB])
    bench.carrying.line_down("4097")
    assert bench.books.told[-1] == ("lost", LINE, "4097", None)
    assert bench.marked() == []
    assert set(bench.subs.confirmed) == set()
    assert set(bench.subs.unsent) == {RB}


async def test_a_hung_line_carries_nothing_since_its_last_sign_of_life(bench: Bench) -> None:
    await bench.up(RB)
    bench.heard = 77
    bench.carrying.line_down("hung: nothing heard for 0.8 s")
    assert bench.books.told[-1] == ("lost", LINE, "hung: nothing heard for 0.8 s", 77)


async def test_a_line_lost_without_words_has_a_reason_all_the_same(bench: Bench) -> None:
    await bench.up(RB)
    bench.carrying.line_down("")
    assert bench.books.told[-1] == ("lost", LINE, "line down", None)


async def test_a_line_that_comes_back_is_covered_when_it_is_confirmed_not_when_it_is_up(bench: Bench) -> None:
    await bench.up(RB)
    bench.carrying.on_confirmed([RB])
    bench.carrying.line_down("4097")
    bench.books.told.clear()
    bench.carrying.line_up()
    await bench.send()
    assert bench.books.told == []
    bench.carrying.on_confirmed([RB])
    assert bench.books.told == [("covered", LINE, [RB])]
    assert bench.marked() == [RB]


async def test_a_silent_line_is_uncovered_since_its_last_tick_and_covered_when_it_speaks(bench: Bench) -> None:
    await bench.up(RB, AG, CU)
    bench.carrying.on_confirmed([RB, AG])
    bench.carrying.silent("silent for 3.0 s in session", 55)
    assert bench.books.told[-1] == ("lost", LINE, "silent for 3.0 s in session", 55)
    assert bench.marked() == [RB, AG], "it is still watched, or it could never speak again"
    bench.carrying.speaks()
    assert bench.books.told[-1] == ("covered", LINE, [AG, RB]), "what is confirmed, not what is wanted"


# -- the end of the gateway ----------------------------------------------------------------------------------------


async def test_what_ends_with_the_gateway_is_no_news_for_the_ledger(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.carrying.on_confirmed([RB, AG])
    bench.books.told.clear()
    bench.carrying.close()
    bench.subs.release([AG])
    await bench.send()
    bench.carrying.on_unsubscribed([AG])
    bench.carrying.line_down("closed")
    assert bench.books.told == []
    assert bench.marked() == []
    assert set(bench.subs.confirmed) == set(), "the subscriptions hear of it all the same"


# -- the rule of the marks -----------------------------------------------------------------------------------------


async def test_the_marks_grow_at_their_end_and_anything_else_is_a_new_list(bench: Bench) -> None:
    await bench.up(RB, AG, CU)
    marks = bench.carrying.marks
    bench.carrying.on_confirmed([RB])
    bench.carrying.on_confirmed([AG, CU])
    assert bench.carrying.marks is marks
    assert bench.marked() == [RB, AG, CU]
    bench.carrying.on_refused(AG, "CTP:expired")
    assert bench.carrying.marks is not marks
    assert [mark.instrument for mark in marks] == [RB, AG, CU], "whoever still has the old list sees it whole"
    assert bench.marked() == [RB, CU]
    marks = bench.carrying.marks
    bench.carrying.on_unsubscribed([RB])
    assert bench.carrying.marks is not marks
    marks = bench.carrying.marks
    bench.carrying.line_down("4097")
    assert bench.carrying.marks is not marks


async def test_what_concerns_no_mark_leaves_the_list_as_it_is(bench: Bench) -> None:
    await bench.up(RB, AG)
    bench.carrying.on_confirmed([RB])
    marks = bench.carrying.marks
    bench.carrying.on_refused(AG, "CTP:no such instrument")
    bench.carrying.on_unsubscribed([CU])
    bench.carrying.silent("silent", None)
    bench.carrying.speaks()
    assert bench.carrying.marks is marks
