"""Coverage, gaps, switches and status over the control service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, replace

import msgspec
import pytest

from gateway.bus.memory import MemoryBus
from gateway.control import FeedStatus, LedgerStatus, StatusReply
from gateway.control.service import ControlService
from gateway.errors import ControlError
from gateway.flow.coverage import Coverage, ProductCoverage
from gateway.flow.gaphistory import GapDay
from gateway.flow.gaps import Gap, LedgerError, Watched
from gateway.model import Instrument
from gateway.subjects import control_subject
from gateway.terminal.gaps import gaps_json
from tests.unit.control.market import Market, json_of, switch_of

START = 1_756_431_010_000_000_000


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.aclose()


@pytest.fixture
async def market(bus: MemoryBus) -> Market:
    market = Market(bus)
    market.rows = {"ctp:primary": [], "ctp:backup": [], "sopt:primary": []}
    await ControlService(bus, market, "feedgate", figures=market.figures, page_bytes=6_000).start()
    return market


async def ask(bus: MemoryBus, endpoint: str, **request: object) -> dict[str, object]:
    return json_of(await bus.request(control_subject(endpoint), msgspec.json.encode(request)))


def names(product: str, count: int) -> tuple[Instrument, ...]:
    return tuple(Instrument("SHFE", f"{product}{number:04}") for number in range(count))


def coverage_of(feed: str, missing: int = 1) -> Coverage:
    return Coverage(
        feed=feed,
        session="day",
        at_ns=5,
        wanted=7 + missing,
        confirmed=7,
        ticking=3,
        quiet=names("ag", 3),
        stalled=names("rb", 1),
        missing=names("au", missing),
        unexpected=names("cu", 2),
    )


def day_of(gaps: int, notes: int = 0) -> GapDay:
    return GapDay(
        trading_day=20250829,
        gaps=tuple(
            Gap(
                id=f"1-{number}",
                feed="ctp",
                instrument=f"SHFE.rb{number:04}",
                trading_day=20250829,
                session="day",
                outage_ns=START,
                start_ns=START,
                end_ns=START + number * 1_000_000_000 if number else None,
                reason="ctp:primary: hung",
                lines={"ctp:primary": "hung"},
                lost_volume=number,
            )
            for number in range(gaps)
        ),
        watched=(Watched("ctp", 20250829, "day", START, START + 1_000, 812),),
        notes=tuple((START, "the clock went back by 3.0 s") for _ in range(notes)),
    )


async def test_coverage_counts_each_feed_and_names_what_is_wrong(bus, market) -> None:
    market.covered = [coverage_of("ctp"), coverage_of("sopt")]
    reply = await ask(bus, "coverage")
    assert reply["feeds"][0] == {
        "feed": "ctp",
        "session": "day",
        "at_ns": 5,
        "wanted": 8,
        "confirmed": 7,
        "ticking": 3,
        "quiet": 3,
        "stalled_count": 1,
        "missing_count": 1,
        "unexpected_count": 2,
        "ratio": 0.875,
        "stalled": ["SHFE.rb0000"],
        "missing": ["SHFE.au0000"],
        "unexpected": ["SHFE.cu0000", "SHFE.cu0001"],
        "truncated": False,
        "products": [],
    }
    assert [row["feed"] for row in reply["feeds"]] == ["ctp", "sopt"]
    only = await ask(bus, "coverage", feed="sopt")
    assert [row["feed"] for row in only["feeds"]] == ["sopt"]
    with pytest.raises(ControlError, match="no feed 'cpt' here; the feeds are: ctp, sopt"):
        await ask(bus, "coverage", feed="cpt")


async def test_coverage_by_product_is_told_when_it_is_asked_for(bus, market) -> None:
    rb = ProductCoverage(exchange="SHFE", product="rb", wanted=4, ticking=1, quiet=1, stalled=1, missing=1)
    market.covered = [replace(coverage_of("ctp"), products=(rb,))]
    assert (await ask(bus, "coverage"))["feeds"][0]["products"] == []
    (row,) = (await ask(bus, "coverage", products=True))["feeds"]
    assert row["products"] == [asdict(rb)]


async def test_figures_are_told_in_numbers(bus, market) -> None:
    reply = await ask(bus, "figures")
    assert (reply["published_rate"], reply["p50_ms"], reply["p99_ms"]) == (3.0, None, 0.5)
    assert (reply["lines"][0]["line"], reply["lines"][0]["first"]) == ("ctp:primary", 12)
    assert reply["feeds"][0]["failover_ms"] == 272.0


async def test_thirty_thousand_missing_contracts_are_counted_whole_in_a_reply_that_fits(bus, market) -> None:
    await ControlService(bus, market, "big", figures=market.figures).start()
    market.covered = [coverage_of("ctp", 30_000), coverage_of("sopt", 30_000)]
    data = await bus.request(control_subject("coverage", "big"), b"")
    feeds = json_of(data)["feeds"]
    assert len(data) < 512 * 1024
    assert [(row["missing_count"], row["truncated"]) for row in feeds] == [(30_000, True)] * 2
    assert all(1_000 < len(row["missing"]) < 30_000 and len(row["stalled"]) == 1 for row in feeds)


async def test_gaps_are_the_rows_of_the_command_in_pages_that_together_hold_each_once(bus, market) -> None:
    market.day = day_of(40)
    printed = gaps_json(market.day)
    found, cursor, pages = [], 0, 0
    while cursor is not None:
        reply = await ask(bus, "gaps", date="2025-08-29", feed="ctp", cursor=cursor)
        found += reply["gaps"]
        cursor, pages = reply["cursor"], pages + 1
        whole = {name: reply[name] for name in ("trading_day", "known", "totals", "watched", "notes")}
        assert whole == {name: printed[name] for name in whole}
        assert not reply["truncated"]
    assert found == printed["gaps"]
    assert pages > 3
    assert market.orders == [("gaps", 20250829, "ctp")] * pages


async def test_a_limit_cuts_a_page_of_gaps(bus, market) -> None:
    market.day = day_of(5)
    reply = await ask(bus, "gaps", cursor=1, limit=2)
    assert ([row["id"] for row in reply["gaps"]], reply["cursor"]) == (["1-1", "1-2"], 3)


async def test_without_a_date_the_latest_day_is_asked_for_and_an_unknown_day_is_no_error(bus, market) -> None:
    market.day = GapDay(trading_day=0, gaps=(), watched=(), notes=())
    reply = await ask(bus, "gaps")
    assert market.orders == [("gaps", None, None)]
    assert (reply["known"], reply["gaps"], reply["cursor"], reply["totals"]["longest_s"]) == (False, [], None, None)


async def test_more_notes_than_fit_are_cut_and_the_reply_says_so(bus, market) -> None:
    market.day = day_of(2, notes=2_000)
    data = await bus.request(control_subject("gaps"), b"")
    reply = json_of(data)
    assert len(data) < 7_000
    assert reply["truncated"]
    assert 0 < len(reply["notes"]) < 100
    assert len(reply["gaps"]) == 2


@pytest.mark.parametrize("date", ["20250230", "2025-8-29", "yesterday", "", "２０２５０８２９"])
async def test_what_is_no_day_is_refused_with_how_to_write_one(bus, market, date) -> None:
    with pytest.raises(ControlError, match="is not a day; write 20250829 or 2025-08-29") as caught:
        await ask(bus, "gaps", date=date)
    assert caught.value.fields["reply_code"] == "control"
    assert market.orders == []


async def test_a_ledger_that_cannot_be_read_is_told_with_its_code(bus, market, monkeypatch) -> None:
    async def refuse(date: int | None, feed: str | None) -> GapDay:
        raise LedgerError("ledger.db cannot be read")

    monkeypatch.setattr(market, "gaps", refuse)
    with pytest.raises(ControlError, match="cannot be read") as caught:
        await ask(bus, "gaps")
    assert caught.value.fields["reply_code"] == "ledger"


async def test_switches_are_told_newest_first_over_all_feeds(bus, market) -> None:
    market.switched = [switch_of("ctp", 1), switch_of("ctp", 3), switch_of("sopt", 2, error="refused")]
    reply = await ask(bus, "switches")
    told = [(row["feed"], row["finished_ns"] // 1_000_000_000 - 1_760_000_000, row["ok"]) for row in reply["switches"]]
    assert told == [("ctp", 3, True), ("sopt", 2, False), ("ctp", 1, True)]
    assert not reply["truncated"]
    newest = await ask(bus, "switches", feed="ctp", limit=1)
    assert ([row["at_ns"] for row in newest["switches"]], newest["truncated"]) == ([market.switched[1].at_ns], True)
    with pytest.raises(ControlError, match="no feed 'x' here"):
        await ask(bus, "switches", feed="x")


async def test_status_tells_feeds_ledger_events_and_warnings(bus, market) -> None:
    market.warned = ["ctp:backup is lost: front disconnected"]
    reply = msgspec.json.decode(await bus.request(control_subject("status"), b""), type=StatusReply)
    assert reply.feeds == [
        FeedStatus(feed="ctp", active="ctp:primary", session="day"),
        FeedStatus(feed="sopt", active="sopt:primary", session="day"),
    ]
    assert reply.ledger == LedgerStatus(waiting=3)
    assert (reply.events_dropped, reply.warnings) == (2, ["ctp:backup is lost: front disconnected"])


async def test_a_status_of_a_gateway_of_before_is_read_with_defaults() -> None:
    old = b'{"name":"a","version":"0.1.0","epoch":1,"codec":"json","lines":[],"counters":{}}'
    reply = msgspec.json.decode(old, type=StatusReply)
    assert (reply.feeds, reply.ledger.degraded, reply.warnings) == ([], False, [])


async def test_a_flood_of_warnings_does_not_make_the_status_too_large(bus, market) -> None:
    market.warned = [f"SHFE.rb{number} has no place" for number in range(30_000)]
    data = await bus.request(control_subject("status"), b"")
    assert len(data) < 6_000
    assert json_of(data)["warnings"][0] == "SHFE.rb0 has no place"
