"""A gateway that was down writes that gap at its next start."""

from __future__ import annotations

from gateway.flow.gaphistory import read_day
from gateway.model import Instrument
from tests.unit.flow.ledger_market import AU, RB, A, Market, at


async def life(now: str, path, *, recover_feeds=None) -> Market:
    market = Market(now, path)
    await market.store.start()
    await market.ledger.recover(recover_feeds)
    return market


async def carrying(now: str, path) -> Market:
    market = await life(now, path)
    market.ledger.covered(A, [RB])
    market.ledger.wanted("ctp", [RB])
    market.ticks(RB, 100)
    market.ledger.tick()
    return market


async def die(market: Market) -> None:
    """What was committed is there, and nothing after it: no last sign of life."""
    await market.store.flushed()
    await market.store.aclose()


async def test_a_gateway_that_died_was_down_since_its_last_sign_of_life(tmp_path):
    path = tmp_path / "ledger.db"
    first = await carrying("29 09:30:00", path)
    await first.passes(2)
    await die(first)
    second = await life("29 09:40:00", path)
    assert second.told() == ["opened rb2510 09:30:02"]
    assert second.events[0].gap.reason == "the gateway died without an orderly stop"
    second.ledger.wanted("ctp", [RB])
    await second.passes(3)
    second.ledger.covered(A, [RB])
    second.ticks(RB, 150)
    await second.passes(1)
    assert second.told()[1:] == ["closed rb2510 09:30:02-09:40:03 lost None"]  # the last volume died with it
    await second.ledger.aclose()
    (gap,) = read_day(path, 20250829).gaps
    assert gap == second.events[-1].gap


async def test_an_orderly_stop_is_a_gap_too_and_says_so(tmp_path):
    first = await carrying("29 14:50:00", tmp_path / "ledger.db")
    await first.passes(1)
    await first.ledger.aclose()
    await first.ledger.aclose()
    second = await life("30 09:10:00", tmp_path / "ledger.db")
    assert second.told() == [
        "opened rb2510 14:50:01",
        "closed rb2510 14:50:01-15:00:00 lost None",
        "opened rb2510 20:55:00",
        "closed rb2510 20:55:00-23:00:00 lost None",
        "opened rb2510 08:55:00",
    ]
    assert second.events[0].gap.reason == "the gateway was stopped"
    await second.ledger.aclose()


async def test_a_stop_outside_of_the_sessions_is_no_gap(tmp_path):
    first = await carrying("29 15:30:00", tmp_path / "ledger.db")
    await first.ledger.aclose()
    second = await life("29 20:30:00", tmp_path / "ledger.db")
    second.ledger.wanted("ctp", [RB])
    second.ledger.covered(A, [RB])
    await second.until("29 21:30:00")
    assert second.events == []
    await second.ledger.aclose()


async def test_a_gap_that_was_open_when_the_gateway_died_goes_on_as_the_same_gap(tmp_path):
    first = await carrying("29 09:30:00", tmp_path / "ledger.db")
    first.ledger.line_lost(A, "front refused")
    await first.passes(5)
    await die(first)
    second = await life("29 09:31:00", tmp_path / "ledger.db")
    assert second.events == []
    assert second.ledger.open_gaps == 1
    second.ledger.wanted("ctp", [RB])
    second.ledger.covered(A, [RB])
    second.ticks(RB, 130)
    await second.passes(1)
    assert second.told() == ["closed rb2510 09:30:00-09:31:00 lost 30"]  # the volume before was in its opened row
    assert second.events[0].gap.id == first.events[0].gap.id
    assert second.events[0].gap.reason == "ctp:primary: front refused"
    await second.ledger.aclose()


async def test_a_start_that_dies_before_its_first_sign_of_life_tells_nothing_twice(tmp_path):
    path = tmp_path / "ledger.db"
    first = await carrying("29 14:50:00", path)
    await first.passes(1)
    await die(first)
    await die(await life("29 16:00:00", path))  # recovered, and killed at once
    await die(await life("29 22:00:00", path))
    third = await life("29 22:10:00", path)
    third.ledger.wanted("ctp", [RB])
    third.ledger.covered(A, [RB])
    third.ticks(RB, 1, day=20250830)
    await third.passes(1)
    await third.ledger.aclose()
    spans = [(gap.start_ns, gap.end_ns) for day in (20250829, 20250830) for gap in read_day(path, day).gaps]
    assert spans == [
        (at("29 14:50:01"), at("29 15:00:00")),
        (at("29 20:55:00"), at("29 22:10:00")),
    ]


async def test_a_feed_that_is_gone_from_the_settings_ends_its_gaps(tmp_path):
    first = await carrying("29 09:30:00", tmp_path / "ledger.db")
    await die(first)
    second = await life("29 09:31:00", tmp_path / "ledger.db", recover_feeds=["sopt"])
    second.ledger.tick()
    assert [event.gap.ending for event in second.events] == ["", "feed removed"]
    await second.ledger.aclose()
    third = await life("29 09:35:00", tmp_path / "ledger.db")
    assert third.events == []
    await third.ledger.aclose()


async def test_of_a_month_of_absence_only_the_last_two_weeks_are_written_and_that_is_noted(tmp_path, caplog):
    first = await carrying("01 09:30:00", tmp_path / "ledger.db")
    await die(first)
    second = await life("29 08:00:00", tmp_path / "ledger.db")
    days = {event.gap.trading_day for event in second.events}
    assert (min(days), max(days)) == (20250815, 20250829)
    assert "more than 14 days" in caplog.text
    await second.ledger.aclose()


async def test_the_watch_that_was_kept_is_known_by_trading_day_and_session(tmp_path):
    path = tmp_path / "ledger.db"
    first = await carrying("29 14:00:00", path)
    await first.until("29 14:59:59")
    await first.until("29 16:00:00")
    await first.until("29 21:00:00")
    await first.until("29 21:30:00")
    await first.ledger.aclose()
    day, night = read_day(path, 20250829), read_day(path, 20250830)
    assert [one[:5] for one in day.watched] == [("ctp", 20250829, "day", at("29 14:00:00"), at("29 14:59:59"))]
    assert [one[:5] for one in night.watched] == [("ctp", 20250830, "night", at("29 21:00:00"), at("29 21:30:00"))]
    assert not read_day(path, 20250828).known
    assert read_day(path).trading_day == 20250830  # the latest


async def test_thousands_of_contracts_recover_within_a_bounded_queue(tmp_path):
    many = [Instrument("SHFE", f"rb{number}") for number in range(6000)]
    first = await life("29 09:30:00", tmp_path / "ledger.db")
    first.ledger.covered(A, [*many, AU])
    first.ledger.wanted("ctp", [*many, AU])
    first.ledger.tick()
    await die(first)
    second = await life("29 09:31:00", tmp_path / "ledger.db")
    assert second.ledger.open_gaps == 6001
    await second.ledger.aclose()
    assert second.ledger.health.lost == 0
