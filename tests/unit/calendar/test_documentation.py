from __future__ import annotations

import re
from pathlib import Path

from gateway.calendar import Calendar, load_calendar
from gateway.calendar.hours import Product
from gateway.calendar.products import PRODUCTS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "sessions.md").read_text("utf-8")
DELISTED = {"ME", "TC", "ER", "RO", "WS", "WT"}


def test_the_examples_on_the_page_run() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/sessions.md", "exec"), {})


def test_the_override_file_on_the_page_is_accepted(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "calendar.toml"
    file.write_text(example, "utf-8")
    calendar = load_calendar(file)
    assert not calendar.is_trading_day(20261125)
    assert calendar.knows("xx")


def test_the_table_on_the_page_holds_every_product_with_its_night(calendar: Calendar) -> None:
    rows = re.findall(r"^\| (.*?) \| (21:00-\d\d:\d\d|–) \| (.*?) \|$", PAGE, re.MULTILINE)
    told = {
        code: night for names, night, _ in rows for quoted in re.findall(r"`(.*?)`", names) for code in quoted.split()
    }
    listed = {
        code: product for code, product in PRODUCTS.items() if code not in DELISTED and product.exchange[0] != "S"
    }
    listed |= {code: product for code, product in PRODUCTS.items() if product.exchange == "SHFE"}
    gfex = {code for code, product in PRODUCTS.items() if product.exchange == "GFEX"}
    assert told.keys() == listed.keys() - gfex
    assert {code: night_of(calendar, product) for code, product in listed.items()} == told | dict.fromkeys(gfex, "–")


def night_of(calendar: Calendar, product: Product) -> str:
    sessions = calendar.sessions(product.code, 20261120)
    night = next((session for session in sessions if session.kind == "night"), None)
    return f"{night.opens:%H:%M}-{night.closes:%H:%M}" if night else "–"
