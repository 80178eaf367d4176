"""Every tick of the recordings, through the vendor's bytes and back. The expectations are written from the rows."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest
from gateway_ctp.parse import Parser

from gateway.model import SHANGHAI, Tick
from plugins.ctp.tests.records import DBL_MAX, pack, row_fields

pytestmark = pytest.mark.recorded

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
EXCHANGES = {
    "ru": "SHFE", "AP": "CZCE", "cu": "SHFE", "pb": "SHFE", "rb": "SHFE", "sn": "SHFE", "sp": "SHFE", "ss": "SHFE",
    "zn": "SHFE", "bc": "INE", "lu": "INE", "nr": "INE", "sc": "INE",
    **dict.fromkeys(("a", "b", "c", "cs", "eb", "eg", "i", "j", "jm"), "DCE"),
    **dict.fromkeys(("l", "m", "p", "pg", "pp", "rr", "v", "y"), "DCE"),
    **dict.fromkeys(("CF", "CY", "FG", "MA", "OI", "PF", "PX", "RM", "SA", "SH", "SR", "TA"), "CZCE"),
}  # fmt: skip

Row = dict[str, str]


def rows(name: str) -> Iterator[Row]:
    path = DATA / name
    if not path.exists():
        reason = f"recorded data {name} is not in {DATA.parent.name}/{DATA.name} beside the repository"
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        yield from csv.DictReader(file)


_midnights: dict[str, int] = {}


def moment_ns(day: str, time: str, millisecond: str) -> int:
    if day not in _midnights:
        _midnights[day] = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=SHANGHAI).timestamp())
    seconds = int(time[:2]) * 3600 + int(time[3:5]) * 60 + int(time[6:])
    return (_midnights[day] + seconds) * 1_000_000_000 + int(millisecond) * 1_000_000


def number(text: str | None) -> float | None:
    return None if text in (None, "N/A") else float(text)


def price(text: str | None) -> float | None:
    return number(text) or None


def side(row: Mapping[str, str], name: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    sent = []
    for n in range(1, 6):
        value, volume = number(row.get(f"{name}Price{n}")), int(row.get(f"{name}Volume{n}") or 0)
        if value is None or (value == 0.0 and volume == 0):
            break  # in these recordings no level follows one that is missing
        sent.append((value, volume))
    return tuple(p for p, _ in sent), tuple(v for _, v in sent)


def expected(row: Mapping[str, str], exchange: str, calendar_day: str) -> Tick:
    traded = int(row["Volume"]) > 0
    first = number if traded else price
    upper, lower = number(row["UpperLimitPrice"]), number(row["LowerLimitPrice"])
    if not upper and not lower:  # an index has no limits
        upper = lower = None
    return Tick(
        0, 0, 0, "", "", exchange, row["InstrumentID"], int(row["TradingDay"]),
        moment_ns(calendar_day, row["UpdateTime"], row["UpdateMillisec"]),
        first(row["LastPrice"]), int(row["Volume"]), number(row["Turnover"]), number(row["OpenInterest"]),
        first(row.get("OpenPrice")), first(row.get("HighestPrice")), first(row.get("LowestPrice")),
        price(row.get("ClosePrice")), price(row.get("SettlementPrice")), price(row.get("AveragePrice")),
        price(row.get("PreSettlementPrice")), price(row.get("PreClosePrice")), number(row.get("PreOpenInterest")),
        upper, lower, *side(row, "Bid"), *side(row, "Ask"),
    )  # fmt: skip


def check(
    recorded: Iterator[Row],
    exchange_of: Callable[[Row], str],
    day_of: Callable[[Row], str] = lambda row: row["ActionDay"],
) -> list[Tick]:
    parser = Parser(EXCHANGES)
    rejects: list[str] = []
    ticks: list[Tick] = []
    for row in recorded:
        got = parser.parse([(0, pack(row_fields(row)))], rejects.append)
        assert got == [expected(row, exchange_of(row), day_of(row))], row
        ticks += got
    assert rejects == []
    return ticks


def test_every_tick_of_the_fifteen_contracts_of_2017():
    stale = Counter[str]()

    def day_of(row: Row) -> str:
        if row["ExchangeID"] == "CZCE" and row["UpdateTime"] >= "19" and row["ActionDay"] == "20170414":
            stale[row["InstrumentID"]] += 1
            return "20170413"  # a snapshot of Thursday's evening, dated a day late
        return row["ActionDay"]

    ticks = check(rows("ctp_multi_15c_TD20170414.csv.gz"), lambda row: row["ExchangeID"], day_of)
    assert len(ticks) == 238_402
    assert stale.total() == 45
    # with the dates right, volume never falls in the order of the exchange's time
    by_contract = defaultdict(list)
    for tick in ticks:
        by_contract[tick.code].append((tick.exchange_ns, tick.volume))
    for code, seen in by_contract.items():
        volumes = [volume for _, volume in sorted(seen)]
        assert volumes == sorted(volumes), code
    assert {tick.trading_day for tick in ticks} == {20170414}
    assert all(tick.exchange_ns % 1_000_000_000 == 0 for tick in ticks if tick.exchange == "CZCE")


def test_every_tick_of_rubber_over_the_change_of_the_trading_day():
    ticks = check(rows("ctp_raw_ru1901_20181012.csv.gz"), lambda _: "SHFE")
    assert len(ticks) == 36_928
    assert Counter(tick.trading_day for tick in ticks) == {20181012: 23_650, 20181015: 13_278}
    first_night = next(tick for tick in ticks if tick.trading_day == 20181015)
    assert str(first_night.exchange_time).startswith("2018-10-12 2")
    edges = {str(tick.exchange_time)[11:19] for tick in ticks}
    assert {"10:15:00", "11:30:00", "15:00:00"} <= edges
    assert all(tick.close is None and len(tick.bid_prices) <= 1 for tick in ticks if tick.trading_day == 20181015)


@pytest.mark.parametrize("code", ["AP010", "AP101"])
def test_every_tick_of_apples_without_a_night_session(code):
    ticks = check(rows(f"ctp_raw_{code}_20200803.csv.gz"), lambda _: "CZCE")
    assert len(ticks) > 5_000
    assert (ticks[0].trading_day, str(ticks[0].exchange_time)) == (20200803, "2020-07-31 19:29:00+08:00")
    assert ticks[0].high is None
    assert ticks[-1].settlement is not None
    assert ticks[-1].exchange_ns == ticks[-2].exchange_ns


@pytest.mark.parametrize("action", ["20231201", "20231204"], ids=["as sent", "as DCE sends it"])
def test_a_friday_night_belongs_to_monday_in_order_of_arrival(action):
    recorded = (row | {"ActionDay": action} for row in rows("ctp_arrival_night_20231201_289c.csv"))

    def exchange_of(row: Row) -> str:
        return EXCHANGES[row["InstrumentID"].rstrip("0123456789").removesuffix("_Index")]

    ticks = check(recorded, exchange_of, lambda _: "20231201")
    assert len(ticks) == 292
    assert {tick.trading_day for tick in ticks} == {20231204}
    assert len({tick.code for tick in ticks}) == 289


def test_a_raw_record_with_dbl_max_sentinels():
    path = DATA / "dict_j1901_20180824.json"
    next(rows("dict_j1901_20180824.json"))  # skips when it is not there
    fields = json.loads(path.read_text(encoding="utf-8"))
    (tick,) = Parser().parse([(0, pack(fields))], pytest.fail)
    assert (tick.exchange, tick.code, tick.trading_day) == ("DCE", "j1901", 20180824)
    assert str(tick.exchange_time) == "2018-08-24 07:54:41.500000+08:00"
    assert (tick.close, tick.settlement) == (None, None)
    assert (tick.bid_prices, tick.bid_volumes) == ((2509.5,), (4,))
    assert (tick.ask_prices, tick.ask_volumes) == ((2510.5,), (88,))
    assert (tick.last, tick.volume, tick.upper_limit, tick.lower_limit) == (2510.0, 329_376, 2759.0, 2351.0)


def test_options_that_never_traded_have_no_prices_of_the_day():
    parser = Parser(EXCHANGES)
    count = 0
    for row in rows("vnpy_recorder_20191101_head4.csv"):
        time, millisecond = row["Time"].split(".")
        fields = row_fields(row) | {
            "TradingDay": "20191101", "ActionDay": row["Date"], "UpdateTime": time, "UpdateMillisec": int(millisecond),
        }  # fmt: skip
        (tick,) = parser.parse([(0, pack(fields))], pytest.fail)
        assert tick.exchange_ns == moment_ns("20191031", time, millisecond)
        assert (tick.open, tick.high, tick.low, tick.close, tick.settlement, tick.average) == (None,) * 6
        assert (tick.bid_prices, tick.ask_prices) == ((), ())
        assert tick.last == float(row["LastPrice"]) != DBL_MAX
        count += 1
    assert count == 4
