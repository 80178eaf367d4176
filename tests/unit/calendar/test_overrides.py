from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

import pytest

from gateway.calendar import Calendar, CalendarError, load_calendar
from gateway.calendar.overrides import Overrides
from gateway.calendar.products import PRODUCTS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calendar.toml"


def loaded(file: Path, text: str) -> Calendar:
    file.write_text(text, "utf-8")
    return load_calendar(file)


def test_an_extra_holiday_closes_the_day_and_the_night_before_it(file: Path) -> None:
    calendar = loaded(file, "holiday_dates = [2026-11-25]")
    assert not calendar.is_trading_day(20261125)
    assert not calendar.has_night(20261124)
    assert calendar.next_trading_day(20261124) == date(2026, 11, 26)
    assert [session.kind for session in calendar.sessions("rb", 20261126)] == ["day"]


def test_an_extra_night_off(file: Path) -> None:
    calendar = loaded(file, "no_night_trading_dates = [2026-11-24]")
    assert calendar.is_trading_day(20261125)
    assert not calendar.has_night(20261124)
    assert [session.kind for session in calendar.sessions("rb", 20261125)] == ["day"]


def test_a_holiday_that_trades_after_all(file: Path) -> None:
    calendar = loaded(file, "trading_dates = [2026-10-07]")
    assert calendar.is_trading_day(20261007)
    assert calendar.has_night(20261007)


def test_a_file_with_a_range_carries_the_calendar_on(file: Path) -> None:
    calendar = loaded(file, "start_date = 2027-01-01\nend_date = 2027-12-31\nholiday_dates = [2027-01-01]")
    assert calendar.last == date(2027, 12, 31)
    assert calendar.has_night(20270105)
    assert calendar.is_trading_day(20270104)
    assert not calendar.has_night(20261231)
    assert calendar.is_trading_day(20261231)
    with pytest.raises(CalendarError, match=r"with calendar.toml ends on 2027-12-31"):
        calendar.is_trading_day(20280103)


def test_a_file_with_a_range_has_its_nights_off(file: Path) -> None:
    calendar = loaded(file, "start_date = 2027-01-01\nend_date = 2027-12-31\nno_night_trading_dates = [2027-01-05]")
    assert not calendar.has_night(20270105)
    assert calendar.has_night(20270106)


def test_a_range_replaces_what_the_package_says_and_the_difference_is_logged(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        calendar = loaded(
            file, "start_date = 2026-10-01\nend_date = 2026-10-31\nholiday_dates = [2026-10-01, 2026-10-02, 2026-10-13]"
        )
    assert calendar.is_trading_day(20261005)
    assert not calendar.is_trading_day(20261013)
    assert calendar.is_trading_day(20261102)
    assert "2026-10-05 trades by the file" in caplog.text
    assert "2026-10-13 closed by the file" in caplog.text


def test_a_hole_between_the_package_and_the_file_is_refused(file: Path) -> None:
    with pytest.raises(CalendarError, match="nobody knows the days between"):
        loaded(file, "start_date = 2027-03-01\nend_date = 2027-12-31")


def test_a_night_that_ends_elsewhere_from_a_day_on(file: Path) -> None:
    calendar = loaded(
        file,
        '[[hours]]\nproducts = ["rb", "SR"]\nsince = 2026-11-24\nnight_ends = "01:00"\n'
        '[[hours]]\nproducts = ["hc"]\nsince = 2026-11-24\nnight_ends = "none"\n'
        '[[hours]]\nproducts = ["lc"]\nsince = 2026-11-24\nnight_ends = "23:00"\n',
    )
    assert f"{calendar.sessions('rb', 20261123)[0].closes:%H:%M}" == "23:00"
    assert f"{calendar.sessions('rb', 20261124)[0].closes:%d %H:%M}" == "24 01:00"
    assert [session.kind for session in calendar.sessions("hc", 20261124)] == ["day"]
    assert [session.kind for session in calendar.sessions("lc", 20261124)] == ["night", "day"]
    assert "rb" not in {name for group in calendar.same_hours(["rb", "hc"]) for name in group if len(group) > 1}


def test_a_product_that_was_listed_lately(file: Path) -> None:
    calendar = loaded(file, '[[products]]\ncodes = ["xx"]\nexchange = "GFEX"\nlike = "si"')
    assert calendar.sessions("xx", 20261120) == calendar.sessions("si", 20261120)
    assert calendar.product("xx").exchange == "GFEX"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("holiday_date = []", "holiday_date: no such key; did you mean holiday_dates"),
        ("holiday_dates = ['2026-11-25']", "'2026-11-25' is not a date; write it without quotes"),
        ("holiday_dates = [2026-11-25T00:00:00]", "is not a date"),
        ("holiday_dates = 2026-11-25", "is not a list"),
        ("holiday_dates = [2026-11-25]\ntrading_dates = [2026-11-25]", "2026-11-25 is in holiday_dates, too"),
        ("start_date = 2027-01-01", "stands without end_date"),
        ("start_date = 2027-01-01\nend_date = 2026-01-01", "is before start_date"),
        ("start_date = 2027-01-01\nend_date = 2027-12-31\nholiday_dates = [2026-05-01]", "does not hold its date"),
        ("holiday_dates = [2031-05-01]", "ends on .*, before 2031-05-01"),
        ("holiday_dates = [", "is no TOML"),
        ("[[hours]]\nproducts = ['rb']\nsince = 2027-01-04", "hours.night_ends: is missing"),
        ("[[hours]]\nproducts = ['rb']\nsince = 2027-01-04\nnight_ends = '24:00'", "'24:00' is none of none, 23:00"),
        ("[[hours]]\nproducts = 'rb'\nsince = 2027-01-04\nnight_ends = 'none'", "not a list of product codes"),
        ("[[hours]]\nproducts = ['rb']\nsince = 2020-01-02\nnight_ends = 'none'", "is not after 2023-05-26"),
        ("[[hours]]\nproducts = ['zz']\nsince = 2027-01-04\nnight_ends = 'none'", "no session table for product 'zz'"),
        ("[hours]\nproducts = ['rb']", r"write \[\[hours\]\]"),
        ("[[products]]\ncodes = ['xx']\nexchange = 'GFEX'\nlike = 1", "exchange and like are texts"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_the_fix(file: Path, text: str, complaint: str) -> None:
    with pytest.raises(CalendarError, match=complaint):
        loaded(file, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match=r"nothing\.toml: No such file.*correct the path"):
        load_calendar(tmp_path / "nothing.toml")


def test_a_file_with_a_range_needs_no_package(file: Path) -> None:
    file.write_text("start_date = 2027-01-01\nend_date = 2027-12-31\nholiday_dates = [2027-01-01]", "utf-8")
    overrides = Overrides.read(file)
    assert Calendar(overrides.days(None), overrides.table(PRODUCTS)).next_trading_day(20270101) == date(2027, 1, 4)
    file.write_text("holiday_dates = []", "utf-8")
    with pytest.raises(CalendarError, match="no start_date and end_date"):
        Overrides.read(file).days(None)
