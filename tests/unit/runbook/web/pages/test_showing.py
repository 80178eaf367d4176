"""How figures and times are written."""

from __future__ import annotations

import pytest

from runbook.web.pages import showing

NS = 1_000_000_000
NOON = 1_795_233_600 * NS  # 2026-11-21 12:00:00 +08:00


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, "–"), (1.0, "100 %"), (0.999999, "99.99 %"), (0.995, "99.50 %"), (0.9, "90 %"), (0.0, "0 %")],
)
def test_coverage_is_a_hundred_only_when_it_is_all(ratio: float | None, text: str) -> None:
    assert showing.percent(ratio) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.414, "0.41 ms"), (12.6, "13 ms"), (999.9, "1000 ms"), (3414, "3.4 s")]
)
def test_milliseconds_have_a_unit(value: float | None, text: str) -> None:
    assert showing.milliseconds(value) == text


def test_a_time_of_today_has_no_date_and_another_has() -> None:
    assert showing.moment(NOON - 3600 * NS, NOON) == "11:00:00"
    assert showing.moment(NOON - 86_400 * NS, NOON) == "2026-11-20 12:00:00"
    assert showing.moment(None, NOON) == "–"
    assert showing.moment(0, NOON) == "–"


def test_today_is_shanghais_day() -> None:
    late = 1_795_276_800 * NS  # 2026-11-22 00:00:00 +08:00
    assert showing.moment(late - NS, late) == "2026-11-21 23:59:59"


def test_a_written_time_is_shown_like_any_other_and_nonsense_as_it_is() -> None:
    assert showing.written("2026-11-21T11:00:00.123+08:00", NOON) == "11:00:00"
    assert showing.written("2026-11-21T03:00:00+00:00", NOON) == "11:00:00"
    assert showing.written("soon", NOON) == "soon"
    assert showing.written("", NOON) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (1.26, "1.3 s"),
        (8, "8 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (100_000, "1 d 3 h"),
        (-3, "0 s"),
    ],
)
def test_spans_have_two_units_at_most(seconds: float | None, text: str) -> None:
    assert showing.span(seconds) == text


def test_a_trading_day_is_written_with_dashes() -> None:
    assert showing.day(20261123) == "2026-11-23"
    assert showing.day(0) == showing.day(None) == "–"
