from __future__ import annotations

from runbook.supervisor.restarts import CRITICAL, ESSENTIAL, NON_CRITICAL, STABLE_S, BackOff


def waits(back_off: BackOff, count: int) -> list[float | None]:
    found = []
    for _ in range(count):
        back_off.started(0.0)
        found.append(back_off.ended(1.0))
    return found


def test_pauses_double_up_to_the_longest_one() -> None:
    assert waits(BackOff(CRITICAL), 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_critical_process_is_never_left_alone() -> None:
    assert None not in waits(BackOff(CRITICAL), 10_000)


def test_essential_and_non_critical_ones_are_left_alone_after_their_attempts() -> None:
    assert [wait is None for wait in waits(BackOff(ESSENTIAL), 11)] == [False] * 10 + [True]
    assert waits(BackOff(NON_CRITICAL), 4) == [5, 10, 20, None]


def test_ten_stable_minutes_reset_the_counter_and_a_moment_less_does_not() -> None:
    back_off = BackOff(CRITICAL)
    waits(back_off, 5)
    back_off.started(1000.0)
    assert back_off.ended(1000.0 + STABLE_S - 0.001) == 16
    back_off.started(5000.0)
    assert back_off.ended(5000.0 + STABLE_S) == 0.5
    assert back_off.failures == 1


def test_a_stable_process_has_a_clean_record_before_it_fails_again() -> None:
    back_off = BackOff(CRITICAL)
    waits(back_off, 3)
    back_off.started(0.0)
    assert not back_off.settled(STABLE_S - 1)
    assert back_off.settled(STABLE_S)
    assert back_off.failures == 0


def test_a_start_by_hand_begins_with_a_clean_record() -> None:
    back_off = BackOff(NON_CRITICAL)
    waits(back_off, 4)
    back_off.forget()
    assert waits(back_off, 1) == [5]


def test_only_non_critical_ones_do_not_degrade_the_environment() -> None:
    assert [rule.degrades for rule in (CRITICAL, ESSENTIAL, NON_CRITICAL)] == [True, True, False]
