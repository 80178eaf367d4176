"""``gateway gaps``: what was missed, readable in 80 columns, and never more than the ledger knows."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.clock import SystemClock
from gateway.flow.gaps import CLOSED, OPENED, Gap, GapEvent, LedgerError, Mark, Seen, Watched
from gateway.flow.gapstore import GapStore
from gateway.terminal.gaps import DateError, show_gaps
from gateway.testing.clock import ManualClock
from tests.unit.flow.ledger_market import at

DAY = 20250829
WATCHED = Watched("ctp", DAY, "day", at("29 08:50:00"), at("29 15:00:00"), 812)


def gap(number: int, start: str, end: str | None, **fields: object) -> Gap:
    whole = Gap(
        id=f"1-{number}",
        feed="ctp",
        instrument=f"SHFE.rb25{number:02}",
        trading_day=DAY,
        session="day",
        outage_ns=at(start),
        start_ns=at(start),
        reason="ctp:primary: hung: nothing heard for 0.8 s",
        lines={"ctp:primary": "hung", "ctp:backup": "login refused (CTP 3)"},
    )
    return replace(whole, end_ns=at(end) if end else None, **fields)


async def ledger_with(path: Path, *gaps: Gap, watched: tuple[Watched, ...] = (WATCHED,)) -> Path:
    store = GapStore(path / "ledger.db", clock=SystemClock())
    await store.start()
    for one in gaps:
        store.put(GapEvent(CLOSED if one.closed else OPENED, one.start_ns, one))
    store.mark(Mark(at("29 15:00:00"), {}, watched))
    await store.aclose()
    return store.path


def shown(db: Path, date: str | None = "20250829", *, now: str = "29 16:00:00", **options: object) -> list[str]:
    out = io.StringIO()
    assert show_gaps(date, db=db, out=out, clock=ManualClock(wall_ns=at(now)), **options) == 0
    return out.getvalue().splitlines()


async def test_gaps_are_a_table_with_shanghai_times_and_totals(tmp_path):
    first = gap(1, "29 09:30:10", "29 09:30:14", lost_volume=17, before=Seen(at("29 09:30:09"), DAY, 1))
    second = gap(2, "29 10:00:00", "29 11:10:05", lost_volume=1234, skipped=3)
    lines = shown(await ledger_with(tmp_path, first, second, gap(3, "29 14:59:00", None)))
    assert lines == [
        "trading day 2025-08-29, times in Shanghai",
        "",
        "contract     sess.  from          to                   for     lost",
        "SHFE.rb2501  day    09:30:10.000  09:30:14.000       4.0 s       17",
        "SHFE.rb2502  day    10:00:00.000  11:10:05.000  1 h 10 min  ≤ 1,234",
        "SHFE.rb2503  day    14:59:00.000  open                   -        ?",
        "",
        "3 gaps · 3 contracts · 1 still open · longest 1 h 10 min · lost volume 1,251 (unknown in 1)",
        "  ctp:primary: hung: nothing heard for 0.8 s (3)",
        "",
        "watched day   08:50:00 to 15:00:00  ctp, 812 contracts",
    ]


async def test_a_time_that_is_not_of_today_shows_its_date_and_fits_in_80_columns(tmp_path):
    night = gap(1, "28 22:59:59", "29 02:30:00", session="night", instrument="CZCE.SR509C5600")
    lines = shown(await ledger_with(tmp_path, night), now="30 09:00:00")
    assert "CZCE.SR509C5600  night  08-28 22:59:59.000  08-29 02:30:00.000" in lines[3]
    assert max(map(len, lines)) <= 80


async def test_many_gaps_are_shown_by_outage(tmp_path):
    gaps = [gap(number, "29 09:30:00", f"29 09:30:{number:02}", lost_volume=10) for number in range(1, 42)]
    lines = shown(await ledger_with(tmp_path, *gaps))
    assert lines[2:5] == [
        "contracts  sess.  from          to               for  lost",
        "ctp 41     day    09:30:00.000  09:30:41.000  41.0 s   410",
        "one row an outage; --csv and --json list every contract",
    ]
    assert max(map(len, lines)) <= 80


async def test_a_day_without_gaps_says_when_it_was_watched(tmp_path):
    lines = shown(await ledger_with(tmp_path))
    assert lines[2:] == ["no gap recorded", "", "watched day   08:50:00 to 15:00:00  ctp, 812 contracts"]


async def test_of_a_day_that_nobody_watched_nothing_is_claimed(tmp_path):
    db = await ledger_with(tmp_path)
    assert shown(db, "2025-08-28") == ["trading day 2025-08-28: nothing known about this day"]
    assert json.loads("\n".join(shown(db, "2025-08-28", as_json=True)))["known"] is False
    assert shown(db, feed="sopt") == ["feed sopt, trading day 2025-08-29: nothing known about this day"]


async def test_without_a_date_it_is_the_latest_day_that_the_ledger_knows(tmp_path):
    assert shown(await ledger_with(tmp_path), None)[0] == "trading day 2025-08-29, times in Shanghai"
    assert shown(await ledger_with(tmp_path / "new", watched=()), None) == [
        "nothing known: the ledger has not kept watch over any session yet"
    ]


async def test_json_has_every_fact_and_csv_every_gap(tmp_path):
    after = Seen(at("29 09:30:15"), DAY, 18)
    whole = gap(1, "29 09:30:10", "29 09:30:14", lost_volume=17, after=after, open_ns=4_000_000_000, ending="covered")
    db = await ledger_with(tmp_path, whole)
    day = json.loads("\n".join(shown(db, as_json=True)))
    assert day["totals"] == {
        "gaps": 1,
        "contracts": 1,
        "open": 0,
        "longest_s": 4.0,
        "lost_volume": 17,
        "lost_volume_unknown": 0,
    }
    (row,) = day["gaps"]
    assert row["start"] == "2025-08-29T09:30:10.000+08:00"
    assert (row["duration_s"], row["open_s"], row["exact"], row["last_tick_before"]) == (4.0, 4.0, True, None)
    assert row["first_tick_after"] == "2025-08-29T09:30:15.000+08:00"
    assert day["watched"][0]["contracts"] == 812
    (cells,) = csv.DictReader(shown(db, as_csv=True))
    assert cells["lines"] == "ctp:primary: hung; ctp:backup: login refused (CTP 3)"
    assert (cells["instrument"], cells["lost_volume"], cells["ending"]) == ("SHFE.rb2501", "17", "covered")


@pytest.mark.parametrize("date", ["20250230", "yesterday", "2025-8-29"])
async def test_a_date_that_is_none_is_refused_with_an_example(tmp_path, date):
    with pytest.raises(DateError, match="write 20250829") as error:
        show_gaps(date, db=await ledger_with(tmp_path))
    assert error.value.exit_code == 64


def test_a_ledger_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LedgerError, match=r"no gap ledger at .*nowhere\.db"):
        show_gaps("20250829", db=tmp_path / "nowhere.db")
