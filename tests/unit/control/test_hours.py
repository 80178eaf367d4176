from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date, datetime

import pytest

from gateway.calendar import Calendar, CalendarError, Session, TradingDays, UnknownProductError
from gateway.control.hours import MarketHours
from gateway.control.switching import Phases
from gateway.errors import FeedgateError
from gateway.model import SHANGHAI, Instrument
from gateway.testing.clock import ManualClock

STEEL, INDEX, GOLD = Instrument("SHFE", "rb2701"), Instrument("CFFEX", "IF2612"), Instrument("SHFE", "au2612")
NEW, NEWER, FUND = Instrument("GFEX", "xx2701"), Instrument("GFEX", "xx2703"), Instrument("SSE", "510050")
MINUTE_NS = 60_000_000_000


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000_000


def calendar_until(last: date = date(2027, 3, 31)) -> Calendar:
    """Trades on every weekday but the National Day holiday of 2026."""
    holidays = [date(2026, 10, day) for day in (1, 2, 5, 6, 7)]
    return Calendar(TradingDays.from_holidays(date(2026, 9, 1), last, holidays, source="a test list"))


def clock_at(text: str) -> ManualClock:
    return ManualClock(wall_ns=ns(text))


def hours(last: date = date(2027, 3, 31), now: str = "2026-11-20 10:00") -> MarketHours:
    return MarketHours({"ctp": "calendar", "sim": "always"}, calendar_until(last), clock_at(now))


def wanting(*instruments: Instrument) -> Callable[[], frozenset[Instrument]]:
    wanted = frozenset(instruments)
    return lambda: wanted


def test_a_feed_that_follows_the_calendar_is_open_when_what_it_wants_trades() -> None:
    phases: Phases = hours().of("ctp", wanting(STEEL))
    assert phases.phase(STEEL, ns("2026-11-20 10:00")) == "open"
    assert phases.phase(STEEL, ns("2026-11-20 10:20")) == "break"
    assert phases.phase(STEEL, ns("2026-11-20 20:56")) == "auction"
    assert phases.phase(STEEL, ns("2026-11-21 01:30")) == "closed"
    assert phases.phase(GOLD, ns("2026-11-21 01:30")) == "open"
    assert phases.any_open(ns("2026-11-20 10:00"))
    assert not phases.any_open(ns("2026-11-20 13:15"))  # steel's lunch; the index future, which nobody wants, trades
    assert not phases.any_open(ns("2026-09-30 21:30"))  # the eve of a holiday


def test_a_feed_that_is_always_open_asks_no_calendar() -> None:
    always = hours()
    phases = always.of("sim", wanting())
    sunday = ns("2026-11-22 03:00")
    assert phases.phase(NEW, sunday) == "open"
    assert phases.any_open(sunday)
    assert phases.open_share(sunday) == 1
    assert always.session("sim", sunday) == "day"
    ledger = always.ledger_phases("sim")
    assert (ledger.phase(NEW, sunday), ledger.trading_day(NEW, sunday)) == ("open", 20261122)


def test_the_ledger_is_told_the_trading_day_and_what_has_no_table() -> None:
    ledger = hours().ledger_phases("ctp")
    assert ledger.phase(GOLD, ns("2026-11-21 01:30")) == "open"
    assert ledger.trading_day(GOLD, ns("2026-11-21 01:30")) == 20261123
    for _ in range(2):  # the second answer is remembered
        with pytest.raises(UnknownProductError, match=r"'xx'.*override file") as caught:
            ledger.phase(NEW, ns("2026-11-20 10:00"))
        assert caught.value.fields["product"] == "xx"


def test_the_session_of_the_market_labels_the_metrics() -> None:
    market = hours()
    expected = {
        "2026-11-20 08:54": "closed", "2026-11-20 08:55": "day", "2026-11-20 10:20": "day", "2026-11-20 12:30": "day",
        "2026-11-20 15:14": "day", "2026-11-20 15:15": "closed", "2026-11-20 20:54": "closed",
        "2026-11-20 20:55": "night", "2026-11-21 02:29": "night", "2026-11-21 02:30": "closed",
        "2026-11-22 10:00": "closed", "2026-09-30 21:30": "closed", "2026-10-01 10:00": "closed",
    }  # fmt: skip
    assert {moment: market.session("ctp", ns(moment)) for moment in expected} == expected


def test_the_session_is_worked_out_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[datetime] = []
    session_at = Calendar.session_at

    def counted(calendar: Calendar, product: str, moment: datetime) -> Session | None:
        asked.append(moment)
        return session_at(calendar, product, moment)

    monkeypatch.setattr(Calendar, "session_at", counted)
    market, moment = hours(), ns("2026-11-20 10:00")
    assert {market.session("ctp", moment + step) for step in (0, 1, MINUTE_NS - 1)} == {"day"}
    assert len(asked) == 1  # the first group of products answers
    market.session("ctp", moment + MINUTE_NS)
    assert len(asked) == 2


def test_a_product_without_a_table_is_closed_and_said_once_with_the_fix(caplog: pytest.LogCaptureFixture) -> None:
    market, moment = hours(), ns("2026-11-20 10:00")
    one, other = market.of("ctp", wanting(NEW)), market.of("ctp", wanting(NEWER, FUND))
    for _ in range(2):
        assert one.phase(NEW, moment) == "closed"
        assert one.phase(NEWER, moment) == "closed"
        assert not one.any_open(moment)
        assert not other.any_open(moment)
    first, second = sorted(record.getMessage() for record in caplog.records)
    assert first.startswith("GFEX.xx2701 is never watched, nor is any contract of its product")
    assert '[[products]] codes = ["xx"]' in first
    assert second.startswith("SSE.510050 is never watched")
    assert 'sessions = "always"' in second


def test_a_wanted_product_without_a_table_is_said_before_it_ticks(caplog: pytest.LogCaptureFixture) -> None:
    hours().of("ctp", wanting(STEEL, NEW)).any_open(ns("2026-11-20 10:00"))
    assert "GFEX.xx2701 is never watched" in caplog.text


def test_a_calendar_that_ended_is_an_error_and_not_an_open_market() -> None:
    with pytest.raises(
        CalendarError, match=r"a test list ended on 2026-11-30.*follow it \(ctp\).*pip install -U"
    ) as caught:
        hours(last=date(2026, 11, 30), now="2026-12-01 09:00")
    assert caught.value.exit_code == 11
    assert "override file" in str(caught.value)
    with pytest.raises(CalendarError, match="ended on"):  # the night belongs to a day that it does not know
        hours(last=date(2026, 11, 30), now="2026-11-30 18:00")
    assert hours(last=date(2026, 11, 30), now="2026-11-30 17:59").session("ctp", ns("2026-11-30 14:00")) == "day"


def test_an_ended_calendar_does_not_matter_when_no_feed_follows_it() -> None:
    market = MarketHours({"sim": "always"}, calendar_until(date(2026, 11, 30)), clock_at("2027-01-04 09:00"))
    assert market.calendar is None
    assert market.session("sim", ns("2027-01-04 09:00")) == "day"


def test_a_calendar_that_ends_soon_is_warned_of_with_the_fix(caplog: pytest.LogCaptureFixture) -> None:
    hours(last=date(2026, 12, 31), now="2026-12-01 10:00")
    assert not caplog.records
    hours(last=date(2026, 12, 31), now="2026-12-02 10:00")
    (record,) = caplog.records
    assert record.getMessage().startswith("a test list ends on 2026-12-31, in 29 days;")
    assert "pip install -U exchange_calendars" in record.getMessage()
    assert "override file with start_date" in record.getMessage()


def test_a_gateway_that_runs_on_is_warned_once_a_day(caplog: pytest.LogCaptureFixture) -> None:
    market = hours(last=date(2026, 12, 31), now="2026-11-20 10:00")
    for moment in ("2026-11-30 10:00", "2026-12-10 10:00", "2026-12-10 10:01", "2026-12-11 09:59", "2026-12-11 10:00"):
        market.session("ctp", ns(moment))
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "a test list ends on 2026-12-31, in 21 days",
        "a test list ends on 2026-12-31, in 20 days",
    ]


def test_past_the_calendars_end_a_running_gateway_is_closed_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    market = hours(last=date(2026, 11, 30), now="2026-10-20 10:00")
    phases, after = market.of("ctp", wanting(STEEL)), ns("2026-12-01 10:00")
    for step in range(3):
        assert market.session("ctp", after + step * MINUTE_NS) == "closed"
        assert phases.phase(STEEL, after) == "closed"
        assert not phases.any_open(after)
        assert phases.open_share(after) == 0
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "a test list ends on 2026-11-30" in record.getMessage()
    assert "pip install -U" in record.getMessage()
    with pytest.raises(CalendarError):
        market.ledger_phases("ctp").phase(STEEL, after)


def test_a_feed_without_rules_is_an_error_that_names_the_others() -> None:
    market = hours()
    for ask in (
        lambda: market.of("sopt", wanting()),
        lambda: market.ledger_phases("sopt"),
        lambda: market.session("sopt", 0),
    ):
        with pytest.raises(FeedgateError, match="'sopt' has session rules; there are ctp, sim"):
            ask()


async def test_the_calendar_is_loaded_in_a_thread_and_only_when_a_feed_follows_it() -> None:
    threads: list[threading.Thread] = []

    def load() -> Calendar:
        threads.append(threading.current_thread())
        return calendar_until()

    clock = clock_at("2026-11-20 10:00")
    none = await MarketHours.open({"sim": "always", "replay": "always"}, load, clock)
    assert none.calendar is None
    assert not threads
    some = await MarketHours.open({"sim": "always", "ctp": "calendar"}, load, clock)
    assert some.calendar is not None
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_what_the_loader_refuses_reaches_the_caller() -> None:
    def load() -> Calendar:
        raise CalendarError("override file calendar.toml is no TOML")

    with pytest.raises(CalendarError, match="is no TOML"):
        await asyncio.wait_for(MarketHours.open({"ctp": "calendar"}, load, clock_at("2026-11-20 10:00")), 10)


def test_a_feed_that_follows_no_calendar_is_refused() -> None:
    with pytest.raises(CalendarError, match=r"have none \(ctp, sopt\)"):
        MarketHours({"sopt": "calendar", "ctp": "calendar"}, None, ManualClock())


def test_the_module_brings_no_pandas() -> None:
    code = "import sys, gateway.control.hours; sys.exit('pandas' in sys.modules or 'exchange_calendars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
