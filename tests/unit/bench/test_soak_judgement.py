import pytest

from bench.soak import MIB, Sample, growth_mib, judge, slope
from bench.tally import Outcome

BOOKS = {"received": 100, "published": 100, "dropped": {}}


def outcome(*, lost=0, duplicates=0):
    return Outcome(
        received=100, lost=lost, duplicates=duplicates, rate=1.0, p50_ms=0.0, p99_ms=0.0, p999_ms=0.0, max_ms=0.0
    )


def samples(sizes, every=10.0):
    return [Sample(number * every, {"core": int(size * MIB)}) for number, size in enumerate(sizes)]


def test_the_slope_is_the_least_squares_one():
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2.0)
    assert slope([(0, 1)]) == 0.0


def test_growth_during_warm_up_does_not_count():
    assert growth_mib(samples([10, 40, 60, 60, 60]), 20.0) == {"core": 0.0}


def test_steady_growth_after_warm_up_is_told_in_mebibytes():
    assert growth_mib(samples([60, 60, 61, 62, 63]), 10.0)["core"] == pytest.approx(3.0)


def test_a_clean_run_has_no_findings():
    assert judge(outcome(), BOOKS, {"core": 0.2, "line": -1.0, "server": 3.9}, 4.0) == []


@pytest.mark.parametrize(
    ("seen", "books", "growth", "word"),
    [
        (outcome(lost=1), BOOKS, {}, "lost"),
        (outcome(duplicates=1), BOOKS, {}, "twice"),
        (outcome(), BOOKS | {"dropped": {"ship": {"queue": 1}}}, {}, "books"),
        (outcome(), BOOKS | {"published": 99}, {}, "books"),
        (outcome(), BOOKS, {"line": 4.1}, "line grew"),
    ],
)
def test_each_fault_is_a_finding(seen, books, growth, word):
    (finding,) = judge(seen, books, growth, 4.0)
    assert word in finding


def test_the_consumers_own_memory_is_not_judged():
    assert judge(outcome(), BOOKS, {"consumer": 500.0}, 4.0) == []
