"""What every feed promises, as tests. Subclass it in a plugin's tests; it needs pytest, and none of its plugins.

class TestAcme(FeedContract):
    counter = AcmeCounter

Each test is one card of ``docs/conformance.md``; one that asks for what the counter does not declare is skipped, with
the name of the capability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest

from gateway.testing.cards import Card, CardFailed, MakeSubject, run_card
from gateway.testing.counter import Counter
from gateway.testing.feed_cards import FEED_CARDS


def ask(cards: Sequence[Card], number: str, make: MakeSubject) -> None:
    """Run the card with this number as a test."""
    __tracebackhide__ = True
    card = next(card for card in cards if card.number == number)
    outcome = run_card(card, make)
    if outcome.result == "n/a":
        pytest.skip(f"{card.number} is not applicable: {outcome.reason}")
    if outcome.result == "fail":
        raise CardFailed(f"{card}: {outcome.reason}\nfix: {card.fix}") from outcome.error


class FeedContract:
    """The promises. Set :attr:`counter`."""

    counter: ClassVar[Callable[[], Counter]]
    """The class of the counter, or whatever makes a new one."""

    def _ask(self, number: str) -> None:
        __tracebackhide__ = True
        ask(FEED_CARDS, number, type(self).counter)

    def test_feed_01_start_and_stop_leave_nothing_behind(self) -> None:
        self._ask("FEED-01")

    def test_feed_02_closing_twice_is_closing_once(self) -> None:
        self._ask("FEED-02")

    def test_feed_03_closing_before_during_and_after_a_failed_start_leaves_nothing(self) -> None:
        self._ask("FEED-03")

    def test_feed_04_a_login_is_told_once_and_only_a_sources_own_states_are(self) -> None:
        self._ask("FEED-04")

    def test_feed_05_nothing_reaches_the_sink_after_closing(self) -> None:
        self._ask("FEED-05")

    def test_feed_06_a_late_callback_reaches_nobody(self) -> None:
        self._ask("FEED-06")

    def test_feed_07_what_is_subscribed_is_confirmed_and_ticks_and_nothing_else(self) -> None:
        self._ask("FEED-07")

    def test_feed_08_unsubscribing_stops_the_ticks_of_that_contract_alone(self) -> None:
        self._ask("FEED-08")

    def test_feed_09_an_unknown_contract_is_refused_with_a_reason(self) -> None:
        self._ask("FEED-09")

    def test_feed_10_after_a_loss_it_is_back_and_sends_each_tick_once(self) -> None:
        self._ask("FEED-10")

    def test_feed_11_a_refused_login_is_told_in_the_vendors_words(self) -> None:
        self._ask("FEED-11")

    def test_feed_12_a_sink_that_raises_does_not_end_the_feed_in_silence(self) -> None:
        self._ask("FEED-12")

    def test_feed_13_two_sources_in_one_process_share_nothing(self) -> None:
        self._ask("FEED-13")

    def test_feed_14_no_secret_can_be_seen(self) -> None:
        self._ask("FEED-14")

    def test_feed_15_check_and_the_declared_options_agree_with_what_works(self) -> None:
        self._ask("FEED-15")

    def test_feed_16_every_number_of_a_tick_is_finite_or_none(self) -> None:
        self._ask("FEED-16")

    def test_feed_17_time_and_volume_of_a_contract_never_go_back(self) -> None:
        self._ask("FEED-17")

    def test_feed_18_a_bad_record_is_a_counted_reject(self) -> None:
        self._ask("FEED-18")

    def test_feed_19_parse_is_pure_however_the_batch_is_cut(self) -> None:
        self._ask("FEED-19")

    def test_feed_20_parse_raises_for_no_bytes_whatever(self) -> None:
        self._ask("FEED-20")

    def test_feed_21_in_a_child_process_it_ticks_and_is_replaced_when_killed(self) -> None:
        self._ask("FEED-21")
