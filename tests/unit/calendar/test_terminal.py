from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path

import pytest

from gateway.calendar import Calendar, CalendarError, TradingDays, UnknownProductError
from gateway.terminal.sessions import show_sessions

DAYS = TradingDays.from_holidays(
    date(2026, 9, 21), date(2026, 10, 31), [date(2026, 10, day) for day in (1, 2, 5, 6, 7)], source="a test list"
)


def shown(day: date, *products: str, as_json: bool = False) -> str:
    out = io.StringIO()
    assert show_sessions(day, products, out, as_json=as_json, calendar=Calendar(DAYS)) == 0
    return out.getvalue()


def test_the_sessions_of_a_product_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    text = shown(date(2026, 10, 12), "au", "IO")
    assert "Trading day 2026-10-12 (Monday)." in text
    assert "21:00-02:30" in text
    assert "10-10 02:30" in text
    assert "09:00-10:15  10:30-11:30  13:30-15:00" in text
    assert "09:25-09:29  14:57-15:00" in text


def test_the_first_day_after_a_holiday_says_that_it_had_no_night() -> None:
    text = shown(date(2026, 10, 8), "rb")
    assert "No night session on 2026-09-30" in text
    assert "night sessions; next trading day" in " ".join(text.split())


def test_a_day_that_does_not_trade_is_said() -> None:
    text = " ".join(shown(date(2026, 10, 3)).split())
    assert text == "2026-10-03 (Saturday) does not trade. Trading day before: 2026-09-30, after: 2026-10-08."


def test_json_carries_moments_with_their_zone() -> None:
    report = json.loads(shown(date(2026, 10, 12), "rb", "hc", "IF", as_json=True))
    assert report["trading_day"]
    assert report["night_before"]
    assert report["next_trading_day"] == "2026-10-13"
    assert [group["products"] for group in report["groups"]] == [["rb", "hc"], ["IF"]]
    night = report["groups"][0]["sessions"][0]
    assert night["opens"] == "2026-10-09T21:00:00+08:00"
    assert night["ready_by"] == "2026-10-09T20:55:00+08:00"
    assert night["windows"][0] == {
        "kind": "auction",
        "opens": "2026-10-09T20:55:00+08:00",
        "closes": "2026-10-09T20:59:00+08:00",
    }


def test_without_products_all_are_shown() -> None:
    report = json.loads(shown(date(2026, 10, 12), as_json=True))
    assert {"au", "SR", "T", "si", "SSE_O"} <= {product for group in report["groups"] for product in group["products"]}


def test_the_last_day_is_shown_and_what_follows_is_not_guessed() -> None:
    report = json.loads(shown(date(2026, 10, 30), "rb", as_json=True))
    assert report["next_trading_day"] is None
    assert report["night_on_this_evening"] is None
    assert report["groups"][0]["sessions"]
    assert "not known (the calendar ends)" in shown(date(2026, 10, 30), "rb")


def test_a_day_after_the_calendar_and_an_unknown_product_are_errors() -> None:
    with pytest.raises(CalendarError, match="a test list ends on 2026-10-31"):
        shown(date(2026, 11, 2), "rb")
    with pytest.raises(UnknownProductError, match="did you mean rb"):
        shown(date(2026, 10, 12), "RB")


def test_the_override_file_is_used(tmp_path: Path) -> None:
    file = tmp_path / "calendar.toml"
    file.write_text("holiday_dates = [2026-10-12]", "utf-8")
    out = io.StringIO()
    show_sessions(date(2026, 10, 12), ["rb"], out, as_json=True, overrides=file)
    assert json.loads(out.getvalue())["trading_day"] is False
