"""The console's table of cards, row by row."""

from __future__ import annotations

import pytest

from runbook.web import verdicts
from runbook.web.verdicts import BACKLOG, COVERAGE, FAILOVER_MS, LATENCY_MS, Thresholds, judged

OPEN = {"age_s": 1.0, "trading": True}


@pytest.mark.parametrize(
    ("thresholds", "value", "verdict"),
    [
        (COVERAGE, 1.0, "good"),
        (COVERAGE, 0.9999, "warning"),
        (COVERAGE, 0.995, "warning"),
        (COVERAGE, 0.9949, "critical"),
        (COVERAGE, 0.0, "critical"),
        (LATENCY_MS, 9.99, "good"),
        (LATENCY_MS, 10.0, "warning"),
        (LATENCY_MS, 99.9, "warning"),
        (LATENCY_MS, 100.0, "critical"),
        (FAILOVER_MS, 0.0, "good"),
        (FAILOVER_MS, 1000.0, "warning"),
        (FAILOVER_MS, 4999.0, "warning"),
        (FAILOVER_MS, 5000.0, "critical"),
        (BACKLOG, 499, "good"),
        (BACKLOG, 500, "warning"),
        (BACKLOG, 1999, "warning"),
        (BACKLOG, 2000, "critical"),
    ],
)
def test_a_figure_is_judged_by_its_row_of_the_table(thresholds: Thresholds, value: float, verdict: str) -> None:
    assert judged(value, thresholds, **OPEN) == verdict


@pytest.mark.parametrize("value", [None, 0.0, 1.0])
def test_a_closed_market_makes_no_card_red(value: float | None) -> None:
    assert judged(value, COVERAGE, age_s=1.0, trading=False) == "neutral"
    assert verdicts.throughput(value, 100.0, age_s=1.0, trading=False) == "neutral"
    assert verdicts.gaps(3, 3, age_s=1.0, trading=False) == "neutral"


@pytest.mark.parametrize("age_s", [10.001, 3600.0, None])
@pytest.mark.parametrize("trading", [True, False])
def test_what_is_too_old_is_stale_however_good_it_was(age_s: float | None, trading: bool) -> None:
    assert judged(1.0, COVERAGE, age_s=age_s, trading=trading) == "stale"
    assert verdicts.throughput(500.0, 500.0, age_s=age_s, trading=trading) == "stale"
    assert verdicts.gaps(0, 0, age_s=age_s, trading=trading) == "stale"


def test_ten_seconds_are_not_too_old() -> None:
    assert judged(1.0, COVERAGE, age_s=10.0, trading=True) == "good"


def test_nothing_to_judge_is_neutral() -> None:
    assert judged(None, FAILOVER_MS, **OPEN) == "neutral"
    assert verdicts.throughput(None, 100.0, **OPEN) == "neutral"
    assert verdicts.gaps(None, 0, **OPEN) == "neutral"


@pytest.mark.parametrize(
    ("rate", "usual", "verdict"),
    [
        (1000.0, 1000.0, "good"),
        (500.0, 1000.0, "good"),
        (499.0, 1000.0, "warning"),
        (0.1, 1000.0, "warning"),
        (0.0, 1000.0, "critical"),
        (0.0, None, "critical"),
        (0.1, None, "good"),
    ],
)
def test_throughput_is_judged_by_what_is_usual(rate: float, usual: float | None, verdict: str) -> None:
    assert verdicts.throughput(rate, usual, **OPEN) == verdict


def test_no_throughput_in_a_break_is_as_it_should_be() -> None:
    assert verdicts.throughput(0.0, 1000.0, **OPEN, pause=True) == "neutral"


def test_the_usual_rate_is_the_median_so_that_a_burst_does_not_raise_it() -> None:
    assert verdicts.usual([100.0] * 29) is None
    assert verdicts.usual([100.0] * 29 + [1e6]) == 100.0


@pytest.mark.parametrize(
    ("count", "still_open", "verdict"), [(0, 0, "good"), (3, 0, "warning"), (3, 1, "critical"), (0, 1, "critical")]
)
def test_gaps_are_good_when_there_is_none_and_critical_while_one_is_open(
    count: int, still_open: int, verdict: str
) -> None:
    assert verdicts.gaps(count, still_open, **OPEN) == verdict
