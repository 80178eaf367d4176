"""What the figures were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runbook.web.history import MINUTES_KEPT, SECONDS_KEPT, Band, History, Point

NS = 1_000_000_000
START = 1_795_000_020 * NS
"""A full minute."""


def test_a_quarter_of_an_hour_is_kept_by_the_second() -> None:
    history = History()
    for second in range(SECONDS_KEPT + 100):
        history.add("published_rate", START + second * NS, float(second))
    points = history.series("published_rate", 0)
    assert len(points) == SECONDS_KEPT
    assert points[0] == Point(START + 100 * NS, 100.0)
    assert points[-1].value == SECONDS_KEPT + 99
    assert history.series("published_rate", START + (SECONDS_KEPT + 98) * NS) == points[-2:]


def test_half_a_day_is_kept_by_the_minute_with_the_worst_where_that_matters() -> None:
    history = History()
    for second in range(60 * (MINUTES_KEPT + 5)):
        at = START + second * NS
        spike = second % 60 == 30
        history.add("p99_ms", at, 80.0 if spike else 1.0)
        history.add("coverage_ratio", at, 0.5 if spike else 1.0)
        history.add("published_rate", at, 60.0 if spike else 0.0)
    assert len(history.series("p99_ms", 0, 60)) == MINUTES_KEPT + 1
    assert {point.value for point in history.series("p99_ms", 0, 60)} == {80.0}
    assert {point.value for point in history.series("coverage_ratio", 0, 60)} == {0.5}
    assert {point.value for point in history.series("published_rate", 0, 60)} == {1.0}
    first, second, *_ = history.series("p99_ms", 0, 60)
    assert second.at_ns - first.at_ns == 60 * NS
    assert first.at_ns % (60 * NS) == 0


def test_wider_steps_fold_the_points_between() -> None:
    history = History()
    for second in range(60):
        history.add("backlog", START + second * NS, float(second))
    points = history.series("backlog", START + 1 * NS, 10)
    assert [point.value for point in points] == [10.0, 20.0, 30.0, 40.0, 50.0, 59.0]
    assert all(point.at_ns % (10 * NS) == 0 for point in points)


def test_a_moment_without_a_figure_is_a_hole_and_an_unknown_name_is_empty() -> None:
    history = History()
    history.add("p50_ms", START, None)
    assert history.series("p50_ms", 0) == []
    assert history.series("nonsense", 0, 60) == []


def test_a_minute_is_also_there_while_it_goes_on() -> None:
    history = History()
    history.add("held", START, 3.0)
    assert history.series("held", 0, 60) == [Point(START + 60 * NS, 3.0)]


def test_a_line_s_states_are_bands_that_touch_and_a_time_unseen_is_a_hole() -> None:
    history = History()
    for second, state in enumerate(["streaming"] * 3 + ["lost"] * 2 + ["streaming"]):
        history.see("ctp:primary", state, START + second * NS)
    history.see("ctp:primary", "streaming", START + 60 * NS)
    assert history.bands("ctp:primary", 0) == [
        Band("streaming", START, START + 3 * NS),
        Band("lost", START + 3 * NS, START + 5 * NS),
        Band("streaming", START + 5 * NS, START + 5 * NS),
        Band("streaming", START + 60 * NS, START + 60 * NS),
    ]
    assert history.bands("ctp:primary", START + 4 * NS)[0].state == "lost"
    assert history.bands("no:line", 0) == []


def test_memory_is_bounded_whatever_comes() -> None:
    history = History()
    for number in range(1000):
        history.add(f"line.{number}.rate", START, 1.0)
        history.see(f"line {number}", "idle", START)
    for number in range(5000):
        history.see("line 0", f"state {number % 2}", START + number * NS)
    assert len(history.names) == 200
    assert len(history.lines) == 64
    assert len(history.bands("line 0", 0)) == 1000


@given(st.lists(st.tuples(st.integers(0, 2**62), st.floats(allow_nan=False, allow_infinity=False)), max_size=50))
def test_whatever_the_clock_does_points_come_back_as_they_were(points: list[tuple[int, float]]) -> None:
    history = History()
    for at, value in points:
        history.add("held", at, value)
    assert [tuple(point) for point in history.series("held", 0)] == points
    history.series("held", 0, 60)
    history.series("held", 0, 7)
