from __future__ import annotations

import contextlib
import csv
import gzip
import json
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec import MsgpackCodec, encode_market
from gateway.errors import LineError
from gateway.model import SHANGHAI, Tick
from gateway.sources.exchange_time import exchange_ns, trading_day_of, weekday_before
from gateway.sources.recordings import Recording, RowParser
from tests.unit.sources.test_market import ns

MULTI = "ctp_multi_15c_TD20170414.csv.gz"
FILES = {
    MULTI: 238_402,
    "ctp_raw_ru1901_20181012.csv.gz": 36_928,
    "ctp_raw_AP010_20200803.csv.gz": 12_515,
    "ctp_raw_AP101_20200803.csv.gz": 8079,
    "cffex_IF2101_20210104.csv.gz": 27_955,
    "ctp_arrival_night_20231201_289c.csv": 292,
    "vnpy_recorder_20191101_head4.csv": 4,
}


def ticks_of(path: Path) -> list[Tick]:
    return [parser.tick(row) for _, parser, row in Recording(path).rows()]


@pytest.mark.recorded
@pytest.mark.parametrize("name", FILES)
def test_every_recorded_tick_survives_the_wire(data: Path, name: str) -> None:
    codec = MsgpackCodec()
    origin = codec.origin(0, "", "")
    count = 0
    for _, parser, row in Recording(data / name).rows():
        tick = parser.tick(row)
        assert codec.decode(origin.payload(0, 0, encode_market(tick))) == tick
        assert tick.exchange
        assert len(tick.bid_prices) == len(tick.bid_volumes)
        assert len(tick.ask_prices) == len(tick.ask_volumes)
        count += 1
    assert count == FILES[name]


@pytest.mark.recorded
@pytest.mark.parametrize("name", FILES)
def test_every_recorded_value_is_what_the_file_says(data: Path, name: str) -> None:
    columns = {"last": ("LastPrice", "price"), "volume": ("Volume", "total_volume"), "high": ("HighestPrice", "high")}
    with (gzip.open if name.endswith("gz") else open)(data / name, "rt", encoding="utf-8", newline="") as text:
        for row, tick in zip(csv.DictReader(text), ticks_of(data / name), strict=True):
            for field, names in columns.items():
                raw = next((row[column] for column in names if column in row), None)
                expected = None if raw in (None, "N/A", "1.7976931348623157e+308") else float(raw)
                assert getattr(tick, field) == (expected or (0 if field == "volume" else None))


@pytest.mark.recorded
def test_czce_snapshots_dated_a_day_late_get_their_true_evening(data: Path) -> None:
    late = [tick for tick in ticks_of(data / MULTI) if tick.exchange == "CZCE"][-45:]
    assert {tick.exchange_time.date() for tick in late} == {date(2017, 4, 13)}
    assert {tick.exchange_time.hour for tick in late} == {19, 23}


@pytest.mark.recorded
def test_with_true_dates_volume_never_falls_in_exchange_time(data: Path) -> None:
    by_contract = defaultdict(list)
    for tick in ticks_of(data / MULTI):
        if tick.exchange_time.hour not in (0, 7):  # CFFEX re-sends the old day before its own open
            by_contract[tick.code].append((tick.exchange_ns, tick.volume))
    for code, series in by_contract.items():
        volumes = [volume for _, volume in sorted(series)]
        assert volumes == sorted(volumes), code


@pytest.mark.recorded
def test_night_ticks_keep_their_trading_day_across_midnight(data: Path) -> None:
    ticks = [tick for tick in ticks_of(data / MULTI) if tick.exchange == "SHFE"]
    assert {tick.trading_day for tick in ticks} == {20170414}
    assert {(tick.exchange_time.day, tick.exchange_time.hour) for tick in ticks} >= {(13, 23), (14, 0), (14, 9)}
    arrival = ticks_of(data / "ctp_arrival_night_20231201_289c.csv")
    assert {tick.trading_day for tick in arrival} == {20231204}
    assert {tick.exchange_time.date() for tick in arrival} == {date(2023, 12, 1)}


@pytest.mark.recorded
def test_the_raw_recording_gets_its_exchange_and_loses_the_not_availables(data: Path) -> None:
    ticks = ticks_of(data / "ctp_raw_ru1901_20181012.csv.gz")
    assert {tick.exchange for tick in ticks} == {"SHFE"}
    assert {len(tick.bid_prices) for tick in ticks} <= {0, 1}
    first = ticks[0]
    assert (first.close, first.settlement, first.last, first.pre_open_interest) == (None, None, 12245.0, 343988.0)
    assert (first.bid_prices, first.bid_volumes, first.ask_volumes) == ((12230.0,), (94,), (30,))
    assert first.exchange_time == datetime(2018, 10, 12, 9, 0, 0, 500_000, tzinfo=SHANGHAI)
    assert {tick.trading_day for tick in ticks} == {20181012, 20181015}
    edges = {tick.exchange_time.strftime("%H:%M:%S.%f") for tick in ticks}
    assert {"10:15:00.000000", "11:30:00.000000", "15:00:00.000000"} <= edges


@pytest.mark.recorded
def test_czce_zeros_for_absent_levels_are_cut_off_and_the_settlement_row_stays(data: Path) -> None:
    ticks = ticks_of(data / "ctp_raw_AP010_20200803.csv.gz")
    assert (ticks[0].bid_prices, ticks[0].high, ticks[0].open) == ((), None, 7169.0)
    assert {len(tick.bid_prices) for tick in ticks} == {0, 1}
    assert {tick.exchange_ns % 1_000_000_000 for tick in ticks} == {0}
    assert ticks[-1].settlement == 7104.0
    assert ticks[0].exchange_time == datetime(2020, 7, 31, 19, 29, tzinfo=SHANGHAI)


@pytest.mark.recorded
def test_the_index_future_has_its_own_column_names(data: Path) -> None:
    first = ticks_of(data / "cffex_IF2101_20210104.csv.gz")[0]
    assert (first.exchange, first.code, first.volume, first.turnover) == ("CFFEX", "IF2101", 240, 376560000.0)
    assert first.exchange_time == datetime(2021, 1, 4, 9, 29, 0, 400_000, tzinfo=SHANGHAI)
    assert (first.bid, first.ask, first.settlement) == (5230.0, 5230.8, None)


@pytest.mark.recorded
def test_dbl_max_means_no_value(data: Path) -> None:
    record = json.loads((data / "dict_j1901_20180824.json").read_text())
    tick = RowParser(list(record)).tick([str(value) for value in record.values()])
    assert (tick.close, tick.settlement, tick.bid_prices, tick.ask_volumes) == (None, None, (2509.5,), (88,))
    option = ticks_of(data / "vnpy_recorder_20191101_head4.csv")[0]
    assert (option.exchange, option.code, option.trading_day) == ("SHFE", "cu1912C51000", 20191101)
    assert (option.open, option.bid_prices, option.pre_settlement) == (None, (), 4.0)
    assert option.exchange_time == datetime(2019, 10, 31, 18, 50, 32, 500_000, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("trading", "action", "time", "true"),
    [
        ("20170414", "20170413", "21:00:00", "2017-04-13T21:00:00"),
        ("20170414", "20170414", "21:00:00", "2017-04-13T21:00:00"),  # DCE's way
        ("20170417", "20170417", "21:00:00", "2017-04-14T21:00:00"),  # over the weekend
        ("20170417", "20170415", "00:30:00", "2017-04-15T00:30:00"),
        ("20170417", "20170417", "00:30:00", "2017-04-15T00:30:00"),
        ("20170414", "20170414", "00:30:00", "2017-04-14T00:30:00"),
        ("20170414", "20170414", "15:20:00", "2017-04-14T15:20:00"),
        ("20170414", "", "09:00:00", "2017-04-14T09:00:00"),
        ("20170417", "", "21:00:00", "2017-04-14T21:00:00"),
    ],
)
def test_the_date_of_a_tick(trading: str, action: str, time: str, true: str) -> None:
    assert exchange_ns(trading, action, time, 0) == ns(true)


@given(day=st.dates(date(2000, 1, 1), date(2099, 12, 31)), second=st.integers(0, 86_399), ms=st.integers(0, 999))
def test_the_true_moment_keeps_its_time_of_day_and_is_near_its_trading_day(day: date, second: int, ms: int) -> None:
    text = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    moment = exchange_ns(day.strftime("%Y%m%d"), day.strftime("%Y%m%d"), text, ms)
    there = datetime.fromtimestamp(moment // 1_000_000_000, SHANGHAI)
    assert there.strftime("%H:%M:%S") == text
    assert moment // 1_000_000 % 1000 == ms
    assert 0 <= (day - there.date()).days <= 3
    assert weekday_before(day).weekday() < 5


@pytest.mark.parametrize(("time", "day"), [("20:00:00", "20191101"), ("09:00:00", "20191031")])
def test_a_trading_day_is_told_from_date_and_time(time: str, day: str) -> None:
    assert trading_day_of("20191031", time) == day
    assert trading_day_of("20191101", "21:00:00") == "20191104"
    assert trading_day_of("20191102", "01:00:00") == "20191104"


HEADER = [
    "TradingDay", "InstrumentID", "LastPrice", "Volume", "UpdateTime", "UpdateMillisec", "BidPrice1", "BidVolume1",
    "BidPrice2", "BidVolume2",
]  # fmt: skip


def row(**changes: str) -> list[str]:
    values = dict(zip(HEADER, ["20250310", "rb2510", "3000", "5", "09:00:00", "0", "2999", "1", "0", "0"], strict=True))
    return list((values | changes).values())


def test_a_missing_column_is_a_missing_value() -> None:
    tick = RowParser(HEADER).tick(row())
    assert (tick.exchange, tick.last, tick.turnover, tick.upper_limit) == ("SHFE", 3000.0, None, None)
    assert (tick.bid_prices, tick.ask_prices) == ((2999.0,), ())


def test_a_spread_may_cost_nothing_and_less() -> None:
    tick = RowParser(HEADER).tick(row(InstrumentID="SP a2505&a2509", LastPrice="0", BidPrice1="-12", BidPrice2="0",
                                      BidVolume2="3"))  # fmt: skip
    assert (tick.exchange, tick.last) == ("DCE", 0.0)
    assert (tick.bid_prices, tick.bid_volumes) == ((-12.0, 0.0), (1, 3))


@pytest.mark.parametrize(
    "changes",
    [
        {"TradingDay": "2025031"}, {"UpdateTime": "25:00:00"}, {"LastPrice": "abc"}, {"InstrumentID": "xx2510"},
        {"InstrumentID": ""}, {"UpdateTime": ""}, {"Volume": "many"}, {"TradingDay": "20251399"},
    ],
)  # fmt: skip
def test_a_bad_row_is_a_value_error(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the replay counts them all alike
        RowParser(HEADER).tick(row(**changes))
    with pytest.raises(ValueError, match="columns"):
        RowParser(HEADER).tick(row()[:-1])


@given(st.lists(st.text(max_size=30), min_size=len(HEADER), max_size=len(HEADER)))
def test_no_row_breaks_the_parser(values: list[str]) -> None:
    with contextlib.suppress(ValueError):
        RowParser(HEADER).tick(values)


def test_a_file_that_fits_no_layout_is_refused_with_what_it_has_and_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("when,open,close\n1,2,3\n")
    with pytest.raises(LineError, match=r"(?s)bars\.csv.*when, open, close.*InstrumentID.*trading_date"):
        Recording(path).parser()
    path.write_text("")
    with pytest.raises(LineError, match="none at all"):
        Recording(path).parser()


def test_a_file_that_breaks_off_says_where(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    whole = gzip.compress(
        ("\n".join([",".join(HEADER)] + [",".join(row(Volume=str(n))) for n in range(9000)])).encode()
    )
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LineError, match=r"breaks off after line \d+"):
        list(Recording(path).rows())
    with pytest.raises(LineError, match="cannot be read"):
        Recording(tmp_path / "absent.csv").parser()
