from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.calendar import Calendar, CalendarError, Phase, Session, UnknownProductError, WindowKind, product_of
from gateway.model import Instrument
from tests.unit.calendar.moments import at


def hours(session: Session) -> list[str]:
    return [f"{window.kind} {window.opens:%d-%H:%M}" for window in session.windows] + [f"{session.closes:%d-%H:%M}"]


def test_fridays_night_and_its_small_hours_belong_to_monday(calendar: Calendar) -> None:
    night, day = calendar.sessions("au", 20261123)
    assert (night.kind, night.trading_day, day.kind, day.trading_day) == ("night", 20261123, "day", 20261123)
    assert hours(night) == ["auction 20-20:55", "match 20-20:59", "continuous 20-21:00", "21-02:30"]
    assert hours(day) == [
        "auction 23-08:55", "match 23-08:59", "continuous 23-09:00", "break 23-10:15", "continuous 23-10:30",
        "break 23-11:30", "continuous 23-13:30", "23-15:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("product", "closes"),
    [("au", "02:30"), ("sc", "02:30"), ("cu", "01:00"), ("bc", "01:00"), ("rb", "23:00"), ("nr", "23:00"),
     ("i", "23:00"), ("SR", "23:00"), ("m_o", "23:00"), ("cu_o", "01:00"), ("SRC", "23:00")],
)  # fmt: skip
def test_the_night_ends_where_the_exchange_says(calendar: Calendar, product: str, closes: str) -> None:
    assert f"{calendar.sessions(product, 20261120)[0].closes:%H:%M}" == closes


@pytest.mark.parametrize("product", ["wr", "ec", "jd", "lh", "AP", "UR", "SF", "IF", "T", "IO", "si", "lc", "SSE_O"])
def test_these_products_have_no_night(calendar: Calendar, product: str) -> None:
    assert [session.kind for session in calendar.sessions(product, 20261120)] == ["day"]


def test_after_a_holiday_the_opening_auction_is_in_the_morning(calendar: Calendar) -> None:
    (day,) = calendar.sessions("SR", 20261008)
    assert hours(day)[:3] == ["auction 08-08:55", "match 08-08:59", "continuous 08-09:00"]


def test_czce_holds_no_second_auction_after_a_night(calendar: Calendar) -> None:
    assert calendar.sessions("SR", 20261120)[1].windows[0].kind is WindowKind.CONTINUOUS
    assert calendar.sessions("rb", 20261120)[1].windows[0].kind is WindowKind.AUCTION


def test_shfe_and_dce_hold_a_second_auction_since_may_2023(calendar: Calendar) -> None:
    for product in ("rb", "m", "sc"):
        assert calendar.sessions(product, 20230525)[1].windows[0].kind is WindowKind.CONTINUOUS
        assert calendar.sessions(product, 20230526)[1].windows[0].kind is WindowKind.AUCTION


def test_dce_nights_ended_later_and_were_fewer_before_april_2019(calendar: Calendar) -> None:
    assert hours(calendar.sessions("m", 20190329)[0])[-1] == "28-23:30"
    assert hours(calendar.sessions("m", 20190401)[0])[-1] == "29-23:00"
    assert [session.kind for session in calendar.sessions("pp", 20190329)] == ["day"]
    assert [session.kind for session in calendar.sessions("pp", 20190401)] == ["night", "day"]


def test_treasury_futures_open_later_since_july_2020_and_close_at_a_quarter_past(calendar: Calendar) -> None:
    assert hours(calendar.sessions("T", 20200717)[0])[2] == "continuous 17-09:15"
    assert hours(calendar.sessions("T", 20200720)[0])[2] == "continuous 20-09:30"
    assert hours(calendar.sessions("T", 20261120)[0])[-1] == "20-15:15"


def test_stock_options_pause_after_the_opening_auction_and_close_with_one(calendar: Calendar) -> None:
    (day,) = calendar.sessions("SSE_O", 20261120)
    assert hours(day) == [
        "auction 20-09:15", "break 20-09:25", "continuous 20-09:30", "break 20-11:30", "continuous 20-13:00",
        "auction 20-14:57", "20-15:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("product", "ready"),
    [
        ("rb", ["19-20:55", "20-08:55"]),
        ("SR", ["19-20:55", "20-08:55"]),
        ("IF", ["20-09:25"]),
        ("SZSE_O", ["20-09:15"]),
    ],
)
def test_checks_are_done_five_minutes_before_or_when_the_auction_begins(
    calendar: Calendar, product: str, ready: list[str]
) -> None:
    assert [f"{session.ready_by:%d-%H:%M}" for session in calendar.sessions(product, 20261120)] == ready


def test_a_day_that_does_not_trade_has_no_sessions(calendar: Calendar) -> None:
    assert calendar.sessions("rb", 20261121) == ()


def test_days_before_the_tables_are_an_error(calendar: Calendar) -> None:
    with pytest.raises(CalendarError, match="session table of rb begins on 2017-01-03, after 2016-12-30"):
        calendar.sessions("rb", 20161230)


@pytest.mark.parametrize(
    ("moment", "phase"),
    [
        ("2026-11-20 08:54:59.999999", Phase.CLOSED),
        ("2026-11-20 08:55", Phase.AUCTION),
        ("2026-11-20 08:59:30", Phase.AUCTION),
        ("2026-11-20 09:00", Phase.OPEN),
        ("2026-11-20 10:15", Phase.BREAK),
        ("2026-11-20 10:30", Phase.OPEN),
        ("2026-11-20 12:00", Phase.BREAK),
        ("2026-11-20 13:30", Phase.OPEN),
        ("2026-11-20 15:00", Phase.CLOSED),
        ("2026-11-20 19:00", Phase.CLOSED),
        ("2026-11-20 20:56", Phase.AUCTION),
        ("2026-11-20 22:59:59", Phase.OPEN),
        ("2026-11-20 23:00", Phase.CLOSED),
        ("2026-11-22 10:00", Phase.CLOSED),
        ("2026-09-30 21:30", Phase.CLOSED),
        ("2026-10-01 09:30", Phase.CLOSED),
    ],
)
def test_a_steel_future_goes_through_its_phases(calendar: Calendar, moment: str, phase: Phase) -> None:
    assert calendar.phase("rb", at(moment)) is phase


def test_gold_trades_after_midnight_on_saturday_but_not_on_sunday(calendar: Calendar) -> None:
    assert calendar.phase("au", at("2026-11-21 02:29:59")) is Phase.OPEN
    assert calendar.phase("au", at("2026-11-21 02:30")) is Phase.CLOSED
    assert calendar.phase("au", at("2026-11-22 01:00")) is Phase.CLOSED


def test_ticks_of_the_closing_second_belong_to_what_closes(calendar: Calendar) -> None:
    for close, opens in (
        ("10:15:00", "09:00"),
        ("11:30:00.500", "10:30"),
        ("15:00:00", "13:30"),
        ("15:00:00.500", "13:30"),
    ):
        window = calendar.window_of("ru", at(f"2026-11-20 {close}"))
        assert window is not None
        assert f"{window.opens:%H:%M}" == opens
    night = calendar.window_of("au", at("2026-11-21 02:30:00.500"))
    assert night is not None
    assert night.kind is WindowKind.CONTINUOUS


def test_the_first_second_of_trading_is_not_the_auctions(calendar: Calendar) -> None:
    window = calendar.window_of("rb", at("2026-11-20 09:00:00"))
    assert window is not None
    assert window.kind is WindowKind.CONTINUOUS


def test_settlement_rows_and_junk_belong_to_no_window(calendar: Calendar) -> None:
    for stamp in ("15:00:01", "15:27:15", "18:35:38", "10:20:00", "12:00:00"):
        assert calendar.window_of("rb", at(f"2026-11-20 {stamp}")) is None


def test_the_next_change_is_told_over_breaks_nights_and_holidays(calendar: Calendar) -> None:
    def change(product: str, moment: str) -> str:
        found = calendar.next_change(product, at(moment))
        return f"{found.at:%m-%d %H:%M} {found.phase}"

    assert change("rb", "2026-11-20 09:00") == "11-20 10:15 break"
    assert change("rb", "2026-11-20 08:56") == "11-20 09:00 open"
    assert change("rb", "2026-11-20 14:00") == "11-20 15:00 closed"
    assert change("rb", "2026-11-20 15:00") == "11-20 20:55 auction"
    assert change("SR", "2026-11-20 23:00") == "11-23 09:00 open"
    assert change("rb", "2026-09-30 15:00") == "10-08 08:55 auction"
    assert change("IO", "2026-11-20 14:57") == "11-20 15:00 closed"


def test_any_open_means_continuous_trading(calendar: Calendar) -> None:
    assert calendar.any_open(at("2026-11-21 00:30"), ["rb", "cu"])
    assert not calendar.any_open(at("2026-11-21 01:00"), ["rb", "cu"])
    assert calendar.any_open(at("2026-11-20 13:15"), ["rb", "IF"])
    assert not calendar.any_open(at("2026-11-20 12:00"), ["rb", "IF"])
    assert not calendar.any_open(at("2026-11-20 12:00"), [])


def test_session_at_includes_auction_and_breaks(calendar: Calendar) -> None:
    for moment in ("2026-11-20 08:55", "2026-11-20 12:00"):
        session = calendar.session_at("rb", at(moment))
        assert session is not None
        assert session.kind == "day"
    assert calendar.session_at("rb", at("2026-11-20 15:00")) is None


def test_a_session_is_closed_from_its_last_moment_on(calendar: Calendar) -> None:
    (day,) = calendar.sessions("IF", 20261120)
    assert day.phase(day.begins - timedelta(microseconds=1)) is Phase.CLOSED
    assert day.phase(day.begins) is Phase.AUCTION
    assert day.phase(day.closes - timedelta(microseconds=1)) is Phase.OPEN
    assert day.phase(day.closes) is Phase.CLOSED


def test_products_with_equal_hours_are_grouped(calendar: Calendar) -> None:
    assert calendar.same_hours(["rb", "SR", "hc", "IF", "IH", "rb"]) == (("rb", "hc"), ("SR",), ("IF", "IH"))


@pytest.mark.parametrize(
    ("code", "product"),
    [
        ("rb2510", "rb"), ("m2505-C-3000", "m"), ("IO2101-C-5000", "IO"), ("SR109C5500", "SR"), ("AP010", "AP"),
        ("SR509MSC5400", "SR"), ("m2509-MS-C-3000", "m"), ("l2603F", "l"), ("SP a2505&a2509", "a"),
        ("10001771", "SSE_O"),
        ("90000123", "SZSE_O"), ("510050", ""), ("SRC", "SRC"), (Instrument("SZSE", "90000123"), "SZSE_O"),
        (Instrument("SHFE", "au2108P488"), "au"), (Instrument("SSE", "10001771"), "SSE_O"),
    ],
)  # fmt: skip
def test_a_contracts_product_is_told_by_its_spelling(code: Instrument | str, product: str) -> None:
    assert product_of(code) == product


def test_an_unknown_product_is_named_with_its_neighbours(calendar: Calendar) -> None:
    with pytest.raises(UnknownProductError, match=r"'RB': did you mean rb\?") as caught:
        calendar.phase("RB", at("2026-11-20 09:00"))
    assert caught.value.exit_code == 64
    for _ in range(2):  # the second answer is remembered
        with pytest.raises(UnknownProductError, match="no session table for product 'xyz'"):
            calendar.product("xyz")
    assert not calendar.knows("xyz")
    assert calendar.knows("m_o")


@pytest.mark.parametrize(("code", "product"), [("rb2701", "rb"), ("10007001", "SSE_O"), ("m2705-C-3000", "m")])
def test_a_contract_in_place_of_a_product_is_answered_with_its_product(
    calendar: Calendar, code: str, product: str
) -> None:
    with pytest.raises(UnknownProductError, match=f"'{code}' is a contract, not a product; ask for {product}$"):
        calendar.product(code)


def test_a_code_without_a_product_is_not_sent_to_the_override_file(calendar: Calendar) -> None:
    with pytest.raises(UnknownProductError, match=r'cannot give it one.*sessions = "always"'):
        calendar.product("510050")


def test_moments_of_other_zones_are_read_as_what_they_are(calendar: Calendar) -> None:
    from datetime import UTC

    moment = at("2026-11-21 00:30").astimezone(UTC)
    assert calendar.trading_day_of(moment) == 20261123
    assert calendar.phase("au", moment) is Phase.OPEN
    assert calendar.next_change("au", moment).at - moment == timedelta(hours=2)
