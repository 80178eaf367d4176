"""When a line may start again."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.lines.restarts import RestartPolicy
from gateway.lines.vigil import A_LOGIN, LineTimers, Vigil


def policy(**changes: float) -> RestartPolicy:
    numbers = {"initial_s": 0.5, "max_s": 30.0, "reset_s": 600.0} | changes
    return RestartPolicy(per_minute=int(numbers.pop("per_minute", 6)), dice=random.Random(1), **numbers)


def test_the_first_start_waits_for_nothing() -> None:
    assert policy().wait_s(0.0) == 0.0


def test_failures_in_a_row_wait_longer_up_to_the_bound() -> None:
    restarts = policy(per_minute=1000)
    waits = []
    for now in range(12):
        restarts.started(float(now))
        restarts.ended(float(now))
        waits.append(restarts.wait_s(float(now)))
    assert 0.25 <= waits[0] <= 0.5
    assert all(later > 0.4 * earlier for earlier, later in pairwise(waits))
    assert 15.0 <= waits[-1] <= 30.0


def test_a_line_that_ran_long_starts_again_as_if_it_had_never_failed() -> None:
    restarts = policy()
    for now in (0.0, 1.0, 2.0):
        restarts.started(now)
        restarts.ended(now)
    restarts.started(10.0)
    restarts.ended(700.0)
    assert restarts.failures == 1
    assert restarts.wait_s(700.0) <= 0.5


def test_there_are_never_more_starts_a_minute_than_logins_allowed() -> None:
    restarts = policy(per_minute=3, max_s=0.5)
    for now in (0.0, 1.0, 2.0):
        restarts.started(now)
        restarts.ended(now)
    assert restarts.wait_s(3.0) == 57.0


def test_after_a_refused_login_the_line_waits_long_and_longer_so_that_no_account_is_locked() -> None:
    restarts = policy(per_minute=1000)
    waits = []
    for now in range(0, 10_000, 1000):
        restarts.started(float(now))
        restarts.refused()
        restarts.ended(float(now))
        waits.append(restarts.wait_s(float(now)))
    assert waits[:3] == [10.0, 20.0, 40.0]
    assert max(waits) == 300.0


def test_an_accepted_login_ends_the_long_waits() -> None:
    restarts = policy()
    restarts.started(0.0)
    restarts.refused()
    restarts.ended(0.0)
    restarts.started(10.0)
    restarts.logged_in()
    restarts.ended(11.0)
    assert restarts.wait_s(11.0) < 10.0


@given(st.lists(st.floats(0.1, 1000), max_size=30))
def test_the_wait_is_never_negative_and_never_beyond_a_minute_without_refusals(gaps: list[float]) -> None:
    restarts, now = policy(), 0.0
    for gap in gaps:
        now += gap
        restarts.started(now)
        restarts.ended(now)
        assert 0.0 <= restarts.wait_s(now) <= 60.0


def test_silence_in_which_nobody_listened_is_not_the_lines() -> None:
    vigil = Vigil(LineTimers(hung_after_s=0.8, kill_after_s=3.0, login_s=5.0), now=100.0)
    vigil.wait_for(A_LOGIN, 100.0)
    vigil.heard(100.0)
    vigil.excuse(4.0, 104.1)
    assert not vigil.is_silent(104.1)
    assert vigil.verdict(104.1) == ""
    assert vigil.is_silent(105.0), "from then on it counts again"
    vigil.heard(108.9)
    assert vigil.verdict(108.9) == "", "what was due is due so much later"
    vigil.heard(109.0)
    assert vigil.verdict(109.0) == "no login answer in time"
