from __future__ import annotations

from gateway.flow.arbiter import Arbiter
from gateway.model import LineId
from tests.unit.flow.arbitrated import LINES, NOON, SECOND, Bench, Truth, market

PRIMARY, BACKUP, THIRD = LINES


def tick(place: int, *, volume: int = 1, second: int = 0, book: int | None = None, day: int = 20170414) -> Truth:
    ns = NOON + second * SECOND
    book = place if book is None else book
    return Truth(0, place, day, volume, ns, market(book, volume=volume, ns=ns, day=day))


def test_the_first_copy_is_published_and_the_second_is_counted() -> None:
    bench = Bench()
    one = tick(1)
    assert bench.deliver(1, one) == [one]
    assert bench.deliver(0, one) == []
    assert bench.arbiter.dropped[PRIMARY] == {"copy": 1}
    assert bench.arbiter.published == {BACKUP: 1, PRIMARY: 0}
    assert bench.arbiter.first == {BACKUP: 1, PRIMARY: 0}


def test_a_book_may_change_and_return_without_a_trade() -> None:
    bench = Bench()
    there, away, back = tick(1, book=7), tick(2, book=8), tick(3, book=7)
    assert bench.deliver(0, there, away, back) == [there, away, back]
    assert bench.deliver(1, there, away, back) == []
    again = tick(4, book=8)
    assert bench.deliver(1, again) == [again]
    assert bench.deliver(0, again) == []


def test_a_new_trading_day_begins_with_a_smaller_volume() -> None:
    bench = Bench()
    close, evening = tick(1, volume=90_000), tick(2, volume=0, second=5, day=20170417)
    assert bench.deliver(0, close, evening) == [close, evening]
    assert bench.deliver(1, close, evening) == []


def test_a_line_that_lost_a_tick_leaves_what_follows_under_the_same_key_to_the_other() -> None:
    bench = Bench()
    one, two, three = (tick(place) for place in (1, 2, 3))
    assert bench.deliver(0, one, two) == [one, two]
    # the backup lost the second one; for all the arbiter knows, the third may be older than the second
    assert bench.deliver(1, one, three) == []
    assert bench.arbiter.dropped[BACKUP] == {"copy": 1, "late": 1}
    assert bench.deliver(0, three) == [three]
    # and it knows now that the backup had it
    four = tick(4)
    assert bench.deliver(1, four) == [four]


def test_what_the_faster_line_lost_does_not_come_out_after_what_it_had() -> None:
    bench = Bench()
    one, two, three = (tick(place) for place in (1, 2, 3))
    bench.deliver(0, one, three)
    assert bench.deliver(1, one, two, three) == []
    assert bench.arbiter.dropped[BACKUP] == {"copy": 2, "late": 1}


def test_when_the_line_that_was_ahead_is_lost_the_other_is_followed() -> None:
    bench = Bench()
    one, two, three = (tick(place) for place in (1, 2, 3))
    bench.deliver(0, one, two)
    bench.arbiter.lost(PRIMARY)
    assert bench.deliver(1, one, three) == [three]


def test_junk_after_a_login_is_dropped_by_its_own_name() -> None:
    bench = Bench(1)
    ticks = [tick(place, volume=place, second=place) for place in range(1, 9)]
    bench.deliver(0, *ticks)
    bench.arbiter.reset(PRIMARY)
    old = tick(99, volume=2, second=2, book=555)
    assert bench.deliver(0, old, ticks[4], ticks[7]) == []
    assert bench.arbiter.dropped[PRIMARY]["junk"] == 2
    new = tick(9, volume=9, second=9)
    assert bench.deliver(0, new) == [new]


def test_a_line_can_be_added_and_removed_while_others_run() -> None:
    bench = Bench(1)
    one, two, three = (tick(place, second=place) for place in (1, 2, 3))
    bench.deliver(0, one)
    bench.arbiter.add(BACKUP)
    assert bench.deliver(1, one, two) == [two]
    bench.arbiter.remove(PRIMARY)
    assert bench.deliver(1, three) == [three]
    bench.arbiter.add(PRIMARY)
    assert bench.deliver(0, three) == []
    assert bench.arbiter.dropped[PRIMARY] == {"copy": 1}
    assert bench.arbiter.published == {PRIMARY: 1, BACKUP: 2}


def test_a_contracts_memory_stays_small() -> None:
    bench = Bench(2)
    for place in range(1000):
        bench.deliver(place % 2, tick(place, second=place))
        bench.deliver((place + 1) % 2, tick(place, second=place))
    contract = bench._topics[0].arbitration
    assert len(contract.entries) == len(contract.keys) == len(contract.who) <= 16
    for place in range(1000, 2000):
        bench.deliver(0, tick(place, second=1000))
    assert len(contract.entries) <= 100
    bench.assert_balanced()


def test_the_window_fills_what_the_faster_line_lost() -> None:
    bench = Bench(2, reorder_s=1.0)
    one, two, three = (tick(place) for place in (1, 2, 3))
    stream = [[tick(0), one, two, three]]
    bench.deliver(0, one, three)
    assert bench.arbiter.next_due() == 1.0
    bench.clock._now = 0.5
    bench.deliver(1, one, two, three)
    bench.release(0.9, stream)
    assert bench.out == [one]
    bench.release(1.0, stream)
    assert bench.out == [one, two, three]
    assert bench.arbiter.waiting == 0
    bench.assert_balanced()


def test_the_window_does_not_hold_what_all_lines_have_brought() -> None:
    bench = Bench(2, reorder_s=60.0)
    one = tick(1)
    bench.deliver(0, one)
    assert bench.arbiter.release(0.0) == []
    bench.deliver(1, one)
    assert bench.arbiter.next_due() == bench.clock.monotonic()
    ((line, arrival),) = bench.arbiter.release(0.0)
    assert (line, arrival[4]) == (PRIMARY, 1)
    assert bench.arbiter.dropped[BACKUP] == {"copy": 1}


def test_feeds_of_any_line_names_work() -> None:
    bench = Bench(1)
    lines = [LineId("sim", "a"), LineId("sim", "b")]
    arbiter = Arbiter(lines, clock=bench.clock, events=bench.events.append)
    assert arbiter.admit(lines[1], []) == []
    assert arbiter.suspects == set()


def test_a_line_that_logs_in_again_keeps_its_lead_under_one_key() -> None:
    bench = Bench()
    one, two, three, four = (tick(place) for place in (1, 2, 3, 4))
    bench.deliver(0, one, three)
    bench.deliver(1, one)
    bench.arbiter.reset(PRIMARY)
    assert bench.deliver(1, two) == []
    assert bench.deliver(0, three, four) == [four]


def test_a_line_that_left_the_window_is_late_or_stale_and_not_fresh_from_a_login() -> None:
    ticks = [tick(place, second=place * 100) for place in range(17)]
    for had in range(1, 17):
        bench = Bench()
        bench.deliver(0, *ticks[:16])
        bench.deliver(1, *ticks[:had])
        bench.deliver(0, ticks[16])
        assert bench.deliver(1, tick(99, second=(had - 1) * 100 - 50)) == []
        assert bench.arbiter.dropped[BACKUP] == {"copy": had, "stale": 1}


def test_all_snapshots_of_the_newest_key_are_remembered() -> None:
    bench = Bench()
    run = [tick(place) for place in range(40)]
    bench.deliver(0, *run)
    bench.arbiter.lost(PRIMARY)
    assert bench.deliver(1, *run) == []
    assert bench.arbiter.dropped[BACKUP] == {"copy": 40}


def test_the_window_lets_go_only_what_is_due_under_one_key() -> None:
    bench = Bench(2, reorder_s=1.0)
    one, two, three = (tick(place) for place in (1, 2, 3))
    stream = [[tick(0), one, two, three]]
    bench.deliver(0, one)
    bench.clock._now = 0.5
    bench.deliver(0, three)
    bench.release(1.0, stream)
    assert bench.out == [one]
    bench.clock._now = 1.2
    bench.deliver(1, two, three)
    bench.release(1.5, stream)
    assert bench.out == [one, two, three]


def test_a_line_that_lags_behind_the_window_is_late_until_it_is_inside_again_and_then_a_copy() -> None:
    bench = Bench()
    ticks = [tick(place, volume=place, second=place) for place in range(1, 101)]
    bench.deliver(1, ticks[0])
    bench.deliver(0, *ticks)
    assert bench.deliver(1, *ticks[1:]) == []
    dropped = bench.arbiter.dropped[BACKUP]
    assert dropped["late"] + dropped["copy"] == 99
    assert dropped["late"] >= 99 - 2 * bench.arbiter.rules.window
    assert dropped["copy"] >= bench.arbiter.rules.window
    following = tick(101, volume=101, second=101)
    assert bench.deliver(1, following) == [following], "it is level again, and first this time"
