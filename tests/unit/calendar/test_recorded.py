"""The calendar against what was recorded and listed: ../shared/data."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path

import pytest

from gateway.calendar import Calendar, CalendarError, TradingDays, WindowKind, product_of
from gateway.calendar.days import as_date
from gateway.calendar.hours import minutes
from gateway.calendar.products import PRODUCTS
from tests.unit.calendar.rows import Row, cffex_rows, ctp_rows

pytestmark = pytest.mark.recorded


def test_the_stale_holiday_list_is_an_error_after_its_end_and_agrees_before(calendar: Calendar, data: Path) -> None:
    holidays = [as_date(int(day)) for day in json.loads((data / "holidays.json").read_text("ascii"))["CHINA"]]
    stale = TradingDays.from_holidays(date(2008, 1, 1), max(holidays), holidays, source="holidays.json")
    assert stale.open_days == tuple(
        day for day in calendar.days.open_days if date(2008, 1, 1) <= day <= date(2022, 10, 7)
    )
    for ask in (stale.is_trading_day, stale.has_night, stale.next):
        with pytest.raises(CalendarError, match=r"holidays\.json ends on 2022-10-07, before 2022-10-10"):
            ask(date(2022, 10, 10))


def outside(calendar: Calendar, rows: Iterable[Row]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Rows in windows by kind, rows in no window by hour and minute, rows whose TradingDay is not the calendar's."""
    kinds: Counter[str] = Counter()
    strays: Counter[str] = Counter()
    misdated: Counter[str] = Counter()
    for row in rows:
        window = calendar.window_of(product_of(row.code), row.stamped)
        if window is None:
            strays[f"{row.stamped:%d %H:%M}"] += 1
        else:
            kinds[window.kind] += 1
        if calendar.trading_day_of(row.stamped) != row.trading_day:
            misdated[f"{row.stamped:%d %H:%M:%S}"] += 1
    return kinds, strays, misdated


def test_the_recorded_day_with_its_night_falls_into_the_windows(calendar: Calendar, data: Path) -> None:
    kinds, strays, misdated = outside(calendar, ctp_rows(data / "ctp_multi_15c_TD20170414.csv.gz"))
    assert kinds == {WindowKind.CONTINUOUS: 238_265, WindowKind.MATCH: 15}
    assert strays == {
        "13 18:35": 2,  # SHFE, before the night: the first rows of the new trading day
        "13 19:31": 57,  # CZCE, the same
        "14 00:00": 4,  # CFFEX, the front's start
        "14 07:02": 4,  # CFFEX, the same
        "14 15:00": 4,  # DCE, 15:00:23: settlement prices
        "14 15:23": 4,  # CFFEX, settlement prices
        "14 15:26": 1,  # SHFE, the same
        "14 15:27": 4,  # CFFEX, the same
        "14 19:31": 42,  # CZCE, the evening's rows sent again and dated a day late
    }
    assert misdated == {
        "14 19:31:03": 42,
        "14 23:29:59": 3,  # CZCE's last night snapshots, dated a day late
    }


@pytest.mark.parametrize(
    ("file", "read", "rows", "strays"),
    [
        ("ctp_raw_ru1901_20181012.csv.gz", ctp_rows, 36_928, {}),
        ("ctp_arrival_night_20231201_289c.csv", ctp_rows, 292, {}),
        ("ctp_raw_AP010_20200803.csv.gz", ctp_rows, 12_515, {"31 19:29": 1}),
        ("ctp_raw_AP101_20200803.csv.gz", ctp_rows, 8_079, {"31 19:29": 1}),
        ("cffex_IF2101_20210104.csv.gz", cffex_rows, 27_955, {"04 15:30": 1, "04 15:35": 1}),
    ],
)
def test_recorded_ticks_fall_into_their_windows_and_trading_days(
    calendar: Calendar, data: Path, file: str, read: Callable[[Path], Iterable[Row]], rows: int, strays: dict[str, int]
) -> None:
    kinds, found, misdated = outside(calendar, read(data / file))
    assert found == strays
    assert kinds.total() + found.total() == rows
    assert not misdated


def test_ticks_at_the_very_end_of_a_window_are_inside(calendar: Calendar, data: Path) -> None:
    closing = [
        row
        for row in ctp_rows(data / "ctp_raw_ru1901_20181012.csv.gz")
        if f"{row.stamped:%H:%M:%S}" in {"10:15:00", "11:30:00", "15:00:00", "23:00:00"}
    ]
    assert len(closing) == 8
    for row in closing:
        assert calendar.window_of("ru", row.stamped) is not None
        assert calendar.window_of("ru", row.stamped, edge=timedelta()) is None


def templates(data: Path) -> dict[str, str]:
    """Product → name of its session template, spring 2022."""
    tables = json.loads((data / "commodities.json").read_text("gb18030"))
    return {code: entry["session"] for exchange in tables.values() for code, entry in exchange.items()}


def test_the_session_templates_of_spring_2022_agree(calendar: Calendar, data: Path) -> None:
    sections = {
        name: [(part["from"], part["to"]) for part in template["sections"]]
        for name, template in json.loads((data / "sessions.json").read_text("gb18030")).items()
    }
    differing = {}
    for product, template in templates(data).items():
        ours = [
            (int(f"{window.opens:%H%M}"), int(f"{window.closes:%H%M}"))
            for session in calendar.sessions(product, 20220401)
            for window in session.windows
            if window.kind is WindowKind.CONTINUOUS
        ]
        if ours != sections[template]:
            differing[product] = template
    assert differing == {
        "nr": "FN0230",  # INE: 21:00-23:00
        "T": "SD0930", "TF": "SD0930", "TS": "SD0930",  # CFFEX: until 15:15
    }  # fmt: skip


def test_every_listed_contract_has_a_table_and_its_own_product(calendar: Calendar, data: Path) -> None:
    with gzip.open(data / "instruments_fut_opt_2006_2023.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            product = calendar.product(product_of(row["INSTRUMENTID"]))
            assert product is calendar.product(row["PRODUCTID"])
            assert product.exchange == row["EXCHANGEID"]
    with gzip.open(data / "contracts.json.gz", "rt", encoding="gb18030") as text:
        for exchange, contracts in json.load(text).items():
            for code, contract in contracts.items():
                assert calendar.product(product_of(code)).exchange == exchange
                assert product_of(code) == contract["product"]


def test_the_listed_stock_options_are_sse_options(data: Path) -> None:
    with (data / "sse_50etf_option_list_201903.csv").open(encoding="utf-8") as lines:
        codes = [row["option_code"].removesuffix(".SH") for row in csv.DictReader(lines)]
    assert len(codes) == 174
    assert {product_of(code) for code in codes} == {"SSE_O"}


def test_the_tables_hold_every_product_of_the_templates(data: Path) -> None:
    assert templates(data).keys() <= PRODUCTS.keys()
    assert minutes("26:30") == 1590
