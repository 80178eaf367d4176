from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import LineError
from gateway.flow.subscriptions import SubscriptionPolicy, Subscriptions
from gateway.model import Instrument, LineId
from gateway.testing.clock import ManualClock

LINE = LineId("ctp", "primary")


def contracts(count: int, start: int = 0) -> list[Instrument]:
    return [Instrument("SHFE", f"rb{number:05d}") for number in range(start, start + count)]


class Counter:
    """A counter that writes down what it is asked; ``answer`` decides what it replies."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.batches: list[list[Instrument]] = []
        self.times: list[float] = []
        self.offs: list[list[Instrument]] = []
        self.answer: Callable[[list[Instrument]], None] = lambda batch: None
        self.answer_off: Callable[[list[Instrument]], None] = lambda batch: None
        self.broken = ""

    @property
    def asked(self) -> list[Instrument]:
        return [instrument for batch in self.batches for instrument in batch]

    async def subscribe(self, instruments: Sequence[Instrument], /) -> None:
        if self.broken:
            raise LineError(self.broken)
        self.batches.append(list(instruments))
        self.times.append(self.clock.monotonic())
        self.answer(list(instruments))

    async def unsubscribe(self, instruments: Sequence[Instrument], /) -> None:
        if self.broken:
            raise LineError(self.broken)
        self.offs.append(list(instruments))
        self.answer_off(list(instruments))


class Bench:
    def __init__(self, **policy: Any) -> None:
        self.clock = ManualClock()
        self.counter = Counter(self.clock)
        self.changes = 0
        self.subs = Subscriptions(
            LINE,
            self.counter,
            SubscriptionPolicy(**policy),
            self.clock,
            self._changed,
            sleep=self.clock.sleep,
        )

    def _changed(self) -> None:
        self.changes += 1

    def confirming(self) -> None:
        self.counter.answer = self.subs.on_confirmed
        self.counter.answer_off = self.subs.on_unsubscribed


@asynccontextmanager
async def bench(**policy: Any) -> AsyncIterator[Bench]:
    made = Bench(**policy)
    task = asyncio.create_task(made.subs.run())
    try:
        yield made
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_wanted_goes_out_in_order_and_in_batches_once_the_line_is_up() -> None:
    async with bench(batch_size=2, per_second=1e6) as b:
        wanted = contracts(5)
        b.subs.want(wanted)
        await b.clock.advance(1)
        assert b.counter.batches == []
        assert b.subs.unsent == set(wanted)
        b.subs.line_up()
        await b.clock.advance(0.1)
        assert b.counter.batches == [wanted[0:2], wanted[2:4], wanted[4:5]]
        assert set(b.subs.pending) == set(wanted)
        b.subs.on_confirmed(wanted)
        assert set(b.subs.confirmed) == set(wanted)
        assert b.subs.batches_sent == 3
        assert b.changes > 0


async def test_the_rate_is_kept_after_the_burst_and_the_waits_are_counted() -> None:
    async with bench(batch_size=10, burst=20, per_second=10) as b:
        b.confirming()
        b.subs.want(contracts(40))
        b.subs.line_up()
        start = b.clock.monotonic()
        await b.clock.advance(10)
        assert [round(at - start, 3) for at in b.counter.times] == [0, 0, 1, 2]
        assert b.subs.rate_limit_waits == 2


async def test_wanting_twice_sends_once() -> None:
    async with bench() as b:
        b.confirming()
        b.subs.line_up()
        b.subs.want(contracts(3))
        await b.clock.advance(1)
        b.subs.want(contracts(3))
        await b.clock.advance(1)
        assert b.counter.batches == [contracts(3)]


async def test_an_unanswered_contract_is_tried_again_with_growing_pauses_and_then_fails() -> None:
    async with bench(confirm_timeout_s=5, retry_initial_s=1, max_retries=2) as b:
        one = contracts(1)
        b.subs.want(one)
        b.subs.line_up()
        start = b.clock.monotonic()
        await b.clock.advance(60)
        assert [round(at - start, 3) for at in b.counter.times] == [0, 6, 13]
        assert b.subs.failed == {one[0]: "no answer after 3 tries"}
        assert b.subs.retries == 2
        assert not b.subs.unsent
        assert not b.subs.pending


async def test_a_late_answer_still_counts() -> None:
    async with bench(confirm_timeout_s=5, retry_initial_s=10, max_retries=1) as b:
        first, second = contracts(2)
        b.subs.want([first, second])
        b.subs.line_up()
        await b.clock.advance(6)
        assert b.subs.unsent == {first, second}
        b.subs.on_confirmed([first])
        assert set(b.subs.confirmed) == {first}
        await b.clock.advance(60)
        assert set(b.subs.failed) == {second}
        b.subs.on_confirmed([second])
        assert set(b.subs.confirmed) == {first, second}
        assert not b.subs.failed


async def test_a_refused_contract_keeps_the_vendors_reason_and_waits_for_the_next_login() -> None:
    async with bench() as b:
        good, bad = contracts(2)
        b.subs.want([good, bad])
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.on_confirmed([good])
        b.subs.on_refused(bad, "16: 找不到合约")
        await b.clock.advance(600)
        assert b.subs.failed == {bad: "16: 找不到合约"}
        assert len(b.counter.batches) == 1
        b.subs.line_down("0x1001")
        assert b.subs.failed == {bad: "16: 找不到合约"}
        b.subs.line_up()
        await b.clock.advance(1)
        assert b.counter.batches[1] == [good, bad]
        assert not b.subs.failed


async def test_asking_explicitly_tries_a_refused_contract_again() -> None:
    async with bench() as b:
        bad = contracts(1)
        b.subs.want(bad)
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.on_refused(bad[0], "no")
        b.subs.want(bad)
        await b.clock.advance(1)
        assert b.counter.batches == [bad, bad]
        assert not b.subs.failed


async def test_after_a_reconnect_everything_is_replayed() -> None:
    async with bench(batch_size=3) as b:
        b.confirming()
        b.subs.want(contracts(7))
        b.subs.line_up()
        await b.clock.advance(100)
        b.subs.line_down("front closed")
        assert not b.subs.confirmed
        assert b.subs.unsent == set(contracts(7))
        b.counter.batches.clear()
        await b.clock.advance(1)
        assert b.counter.batches == []
        b.subs.line_up()
        await b.clock.advance(1)
        assert b.counter.asked == contracts(7)
        assert set(b.subs.confirmed) == set(contracts(7))


async def test_more_than_one_login_may_hold_fails_by_name_of_the_limit_and_comes_in_when_there_is_room() -> None:
    async with bench(per_login_limit=3) as b:
        b.confirming()
        b.subs.want(contracts(5))
        b.subs.line_up()
        await b.clock.advance(1)
        assert set(b.subs.confirmed) == set(contracts(3))
        assert set(b.subs.failed) == set(contracts(2, 3))
        assert all("limit of 3 contracts per login" in reason for reason in b.subs.failed.values())
        b.subs.release(contracts(1))
        await b.clock.advance(1)
        assert set(b.subs.confirmed) == set(contracts(3, 1))
        assert set(b.subs.failed) == set(contracts(1, 4))


async def test_a_refusal_makes_room_under_the_limit() -> None:
    async with bench(per_login_limit=1) as b:
        first, second = contracts(2)
        b.subs.want([first, second])
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.on_refused(first, "no such contract")
        await b.clock.advance(1)
        assert b.counter.batches == [[first], [second]]
        assert b.subs.failed == {first: "no such contract"}


async def test_room_is_only_given_away_when_the_vendor_has_let_go() -> None:
    async with bench(per_login_limit=1) as b:
        b.counter.answer = b.subs.on_confirmed
        first, second = contracts(2)
        b.subs.want([first, second])
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.release([first])
        await b.clock.advance(1)
        assert b.counter.offs == [[first]]
        assert b.counter.batches == [[first]]
        b.subs.on_unsubscribed([first])
        await b.clock.advance(1)
        assert b.counter.batches == [[first], [second]]


async def test_an_unanswered_unsubscribe_gives_the_room_back_after_the_time_out() -> None:
    async with bench(per_login_limit=1, confirm_timeout_s=5) as b:
        b.counter.answer = b.subs.on_confirmed
        first, second = contracts(2)
        b.subs.want([first, second])
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.release([first])
        await b.clock.advance(6)
        assert set(b.subs.confirmed) == {second}


async def test_a_release_while_pending_reaches_the_vendor_and_a_late_answer_changes_nothing() -> None:
    async with bench() as b:
        one = contracts(1)
        b.subs.want(one)
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.release(one)
        await b.clock.advance(1)
        assert b.counter.offs == [one]
        b.subs.on_confirmed(one)
        assert not b.subs.wanted
        assert not b.subs.confirmed


async def test_a_release_before_sending_never_reaches_the_vendor() -> None:
    async with bench() as b:
        b.subs.want(contracts(2))
        b.subs.release(contracts(1))
        b.subs.line_up()
        await b.clock.advance(1)
        assert b.counter.batches == [contracts(1, 1)]
        assert b.counter.offs == []


async def test_wanting_again_while_the_unsubscribe_is_out_waits_for_its_answer() -> None:
    async with bench() as b:
        b.counter.answer = b.subs.on_confirmed
        one = contracts(1)
        b.subs.want(one)
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.release(one)
        await b.clock.advance(1)
        b.subs.want(one)
        b.subs.on_confirmed(one)
        await b.clock.advance(1)
        assert b.subs.unsent == set(one)
        assert b.counter.batches == [one]
        b.subs.on_unsubscribed(one)
        await b.clock.advance(1)
        assert b.counter.batches == [one, one]
        assert set(b.subs.confirmed) == set(one)


async def test_wanting_again_before_the_unsubscribe_went_out_needs_no_call_at_all() -> None:
    async with bench() as b:
        b.confirming()
        one = contracts(1)
        b.subs.want(one)
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.release(one)
        b.subs.want(one)
        await b.clock.advance(1)
        assert b.counter.offs == []
        assert b.counter.batches == [one]
        assert set(b.subs.confirmed) == set(one)


async def test_a_contract_that_the_vendor_takes_off_by_itself_is_asked_for_again() -> None:
    async with bench() as b:
        b.confirming()
        one = contracts(1)
        b.subs.want(one)
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.on_unsubscribed(one)
        assert b.subs.unsent == set(one)
        await b.clock.advance(2)
        assert b.counter.batches == [one, one]


async def test_a_port_that_raises_is_tried_again_and_its_words_become_the_reason() -> None:
    async with bench(max_retries=3, retry_initial_s=1) as b:
        b.counter.broken = "the line's process is gone"
        one = contracts(1)
        b.subs.want(one)
        b.subs.line_up()
        await b.clock.advance(2)
        assert b.subs.unsent == set(one)
        b.counter.broken = ""
        await b.clock.advance(3)
        assert b.counter.batches == [one]
        b.subs.line_down("x")
        b.counter.broken = "the line's process is gone"
        b.subs.line_up()
        await b.clock.advance(100)
        assert b.subs.failed == {one[0]: "the line's process is gone after 4 tries"}


async def test_an_unsubscribe_that_fails_is_tried_again() -> None:
    async with bench() as b:
        b.confirming()
        b.subs.want(contracts(2))
        b.subs.line_up()
        await b.clock.advance(1)
        b.counter.broken = "busy"
        b.subs.release(contracts(1))
        await b.clock.advance(0.5)
        b.counter.broken = ""
        assert b.counter.offs == []
        await b.clock.advance(5)
        assert b.counter.offs == [contracts(1)]
        assert set(b.subs.confirmed) == set(contracts(1, 1))


async def test_a_disconnect_after_a_burst_halves_the_next_logins_batches() -> None:
    async with bench(batch_size=8, burst=8, per_second=8) as b:
        b.subs.want(contracts(8))
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.line_down("0x2001")
        assert b.subs.bisections == 1
        assert b.subs.pace.size == 4
        b.subs.line_up()
        await b.clock.advance(0.1)
        assert b.counter.batches == [contracts(8), contracts(4)]
        assert b.subs.pace.bucket.rate == 4


async def test_a_disconnect_long_after_the_last_batch_blames_nobody() -> None:
    async with bench(burst_disconnect_s=3) as b:
        b.confirming()
        b.subs.want(contracts(8))
        b.subs.line_up()
        await b.clock.advance(3.1)
        b.subs.line_down("0x1001")
        assert b.subs.bisections == 0
        assert b.subs.pace.size == 200


async def test_the_one_contract_that_kills_the_login_is_found_and_given_up_and_the_rest_is_carried() -> None:
    async with bench(batch_size=64, burst=64, per_second=1000) as b:
        wanted = contracts(64)
        poison = wanted[37]
        deaths: list[int] = []

        def answer(batch: list[Instrument]) -> None:
            b.subs.on_confirmed(batch)
            if poison in batch:
                deaths.append(len(batch))

        b.counter.answer = answer
        b.subs.want(wanted)
        logins = 0
        while poison not in b.subs.failed:
            logins += 1
            assert logins <= 12
            b.subs.line_up()
            for _ in range(600):
                await b.clock.advance(0.5)
                if len(deaths) == logins:
                    break
            b.subs.line_down("0x2001")
        assert deaths[:2] == [64, 32]
        assert deaths[-2:] == [1, 1]
        assert b.subs.failed == {poison: "took the line down alone twice: 0x2001"}
        b.subs.line_up()
        await b.clock.advance(120)
        assert set(b.subs.confirmed) == set(wanted) - {poison}
        assert set(b.subs.failed) == {poison}
        b.subs.want([poison])
        assert poison not in b.subs.failed


async def test_a_counter_that_dislikes_bursts_is_served_slowly_enough_and_completely() -> None:
    async with bench(batch_size=200, burst=400, per_second=2000) as b:
        wanted = contracts(6000)
        recent: list[tuple[float, int]] = []
        cut = False

        def answer(batch: list[Instrument]) -> None:
            nonlocal cut, recent
            b.subs.on_confirmed(batch)
            now = b.clock.monotonic()
            recent = [one for one in recent if now - one[0] < 1] + [(now, len(batch))]
            cut = cut or sum(count for _, count in recent) > 700

        b.counter.answer = answer
        b.subs.want(wanted)
        b.subs.line_up()
        for _ in range(600):
            await b.clock.advance(0.1)
            if cut:
                b.subs.line_down("0x2001")
                await b.clock.advance(5)
                cut, recent = False, []
                b.subs.line_up()
            if len(b.subs.confirmed) == len(wanted):
                break
        assert set(b.subs.confirmed) == set(wanted)
        assert b.subs.bisections == 2
        await b.clock.advance(10)
        assert not b.subs.pace.suspects


async def test_a_stable_login_gives_the_speed_back() -> None:
    async with bench(batch_size=8, burst=8, per_second=8, stable_s=60) as b:
        b.confirming()
        b.subs.want(contracts(8))
        for _ in range(2):
            b.subs.line_up()
            b.subs.line_down("0x2001")
            b.subs.line_up()
            await b.clock.advance(0.1)
            b.subs.line_down("0x2001")
        slow = b.subs.pace.size
        assert slow < 8
        b.subs.line_up()
        await b.clock.advance(59)
        assert b.subs.pace.size == slow
        await b.clock.advance(200)
        assert (b.subs.pace.size, b.subs.pace.bucket.rate, b.subs.pace.bucket.burst) == (8, 8, 8)


async def test_settled_waits_for_every_answer() -> None:
    async with bench() as b:
        await b.subs.settled()
        first, second = contracts(2)
        b.subs.want([first, second])
        waiter = asyncio.create_task(b.subs.settled())
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.on_confirmed([first])
        await b.clock.settle()
        assert not waiter.done()
        b.subs.on_refused(second, "no")
        await asyncio.wait_for(waiter, 60)


async def test_answers_of_a_dead_login_are_ignored() -> None:
    async with bench() as b:
        one = contracts(1)
        b.subs.want(one)
        b.subs.line_up()
        await b.clock.advance(1)
        b.subs.line_down("gone")
        b.subs.on_confirmed(one)
        b.subs.on_refused(one[0], "late")
        assert b.subs.unsent == set(one)


async def test_thirty_thousand_contracts_over_the_limit_are_sorted_out_quickly() -> None:
    async with bench(batch_size=500, burst=10_000, per_second=1e6, per_login_limit=10_000) as b:
        b.confirming()
        b.subs.want(contracts(30_000))
        b.subs.line_up()
        await b.clock.advance(1)
        assert len(b.subs.confirmed) == 10_000
        assert len(b.subs.failed) == 20_000


@pytest.mark.parametrize(
    ("field", "value"), [("batch_size", 0), ("per_second", -1.0), ("max_retries", -1), ("per_login_limit", -5)]
)
def test_a_policy_that_cannot_work_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        SubscriptionPolicy(**{field: value})  # type: ignore[arg-type]  # the field is a parameter of the test
