"""SOPT's struct and records. What is the same for the whole family is tested with CTP's records."""

from __future__ import annotations

import ctypes
from datetime import datetime

import pytest
from gateway_sopt.layout import DEPTH, FIELDS
from gateway_sopt.parse import RECORD, Parser
from gateway_sopt.standin import library
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec import CODECS, MsgpackOrigin, encode_market
from gateway.model import SHANGHAI, Instrument, Tick
from gateway.thost.standin.swig import depth_members, struct_class
from plugins.sopt.tests.records import DBL_MAX, TYPICAL, record


def moment_ns(text: str) -> int:
    """``2026-11-23 10:00:01.370`` in Shanghai."""
    when = datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)
    return int(when.timestamp()) * 1_000_000_000 + when.microsecond * 1000


def parse_one(data: bytes, recv_ns: int = 0, parser: Parser | None = None) -> Tick:
    rejects: list[str] = []
    ticks = (parser or Parser()).parse([(recv_ns, data)], rejects.append)
    assert rejects == []
    return ticks[0]


def test_both_views_of_the_struct_have_the_measured_size_and_the_numbers_lie_where_ctps_do():
    assert RECORD.size == DEPTH.size == 440
    kinds = depth_members(DEPTH)
    memory = type("Memory", (ctypes.Structure,), {"_fields_": kinds})
    offsets = {name: getattr(memory, name).offset for name in FIELDS}
    assert {name: offsets[name] for name in ("TradingDay", "InstrumentID", "ExchangeID", "ExchangeInstID")} == {
        "TradingDay": 0, "InstrumentID": 9, "ExchangeID": 40, "ExchangeInstID": 49,
    }  # fmt: skip
    assert (offsets["LastPrice"], offsets["Volume"], offsets["UpdateTime"], offsets["BidPrice1"]) == (80, 136, 208, 224)
    assert (offsets["ActionDay"], offsets["CircuitRefPrice"], offsets["SendingTime"], offsets["BigVolume"]) == (
        392, 408, 416, 432,
    )  # fmt: skip


def test_a_typical_tick_comes_out_field_by_field():
    assert parse_one(record()) == Tick(
        0, 0, 0, "", "", "SSE", "10004567", 20261123, moment_ns("2026-11-23 10:00:01.370"),
        0.0812, 123_456, 9.9e7, 52_000.0, 0.08, 0.083, 0.079, None, None, 0.0808, 0.0799, 0.0801, 51_000.0,
        0.33, 0.0001,
        tuple(0.0812 - n / 10_000 for n in range(1, 6)), (1, 2, 3, 4, 5),
        tuple(0.0812 + n / 10_000 for n in range(1, 6)), (11, 12, 13, 14, 15),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "code", "exchange"),
    [
        ("SSE", "10004567", "SSE"), ("SH", "10004567", "SSE"), ("XSHG", "10004567", "SSE"),
        ("SZSE", "90001234", "SZSE"), ("SZ", "90001234", "SZSE"), ("XSHE", "90001234", "SZSE"),
        ("CFFEX", "IO2612-C-4000", "CFFEX"), ("CFE", "IO2612-C-4000", "CFFEX"),
        ("", "10004567", "SSE"), ("", "90001234", "SZSE"),
    ],
)  # fmt: skip
def test_the_exchange_is_spelt_in_one_way_and_known_from_the_number_when_it_is_not_sent(sent, code, exchange):
    tick = parse_one(record(ExchangeID=sent, InstrumentID=code))
    assert tick.instrument == Instrument(exchange, code)


def test_an_option_without_an_exchange_and_without_a_stock_options_number_is_known_only_when_it_was_asked_for():
    data = record(ExchangeID="", InstrumentID="IO2612-C-4000")
    rejects: list[str] = []
    assert Parser().parse([(0, data)], rejects.append) == []
    assert rejects == ["unknown_exchange"]
    parser = Parser()
    parser.learn([Instrument("CFFEX", "IO2612-C-4000")])
    assert parse_one(data, parser=parser).exchange == "CFFEX"


@pytest.mark.parametrize("time", ["09:15:00", "09:25:03", "13:00:00", "14:57:00", "15:00:01", "18:30:00", "23:59:59"])
@pytest.mark.parametrize(("trading", "action"), [("20261123", "20261123"), ("20261123", ""), ("", "20261123")])
def test_there_is_no_night_so_a_time_is_taken_as_it_is_sent(time, trading, action):
    tick = parse_one(record(UpdateTime=time, TradingDay=trading, ActionDay=action, UpdateMillisec=5))
    assert tick.trading_day == 20261123
    assert tick.exchange_ns == moment_ns(f"2026-11-23 {time}.005")


def test_a_snapshot_of_the_day_before_keeps_its_day():
    tick = parse_one(record(TradingDay="20261123", ActionDay="20261120", UpdateTime="15:00:00", UpdateMillisec=0))
    assert tick.exchange_ns == moment_ns("2026-11-20 15:00:00")
    assert tick.trading_day == 20261123


def test_the_sequence_in_an_auction_has_no_last_price_and_a_book_of_one_level():
    empty = {f"{side}{what}{n}": 0 for side in ("Bid", "Ask") for what in ("Price", "Volume") for n in range(2, 6)}
    tick = parse_one(
        record(
            UpdateTime="09:20:00", Volume=0, Turnover=0, LastPrice=0, OpenPrice=0, HighestPrice=0, LowestPrice=0,
            AveragePrice=0, **empty,
        )
    )  # fmt: skip
    assert (tick.last, tick.open, tick.high, tick.low, tick.average) == (None,) * 5
    assert (len(tick.bid_prices), len(tick.ask_prices)) == (1, 1)
    assert tick.pre_settlement == 0.0799


@given(st.binary(min_size=440, max_size=440))
def test_whatever_440_bytes_hold_is_a_tick_that_can_be_sent_or_a_counted_reject(data):
    rejects: list[str] = []
    ticks = Parser().parse([(0, data)], rejects.append)
    assert len(ticks) + len(rejects) == 1
    for tick in ticks:
        payload = MsgpackOrigin(1, "sopt:primary", "16***9").payload(1, 1, encode_market(tick))
        assert CODECS["msgpack"].decode(payload).code == tick.code


@given(st.binary(max_size=600).filter(lambda data: len(data) != 440))
def test_bytes_of_another_size_are_a_reject(data):
    rejects: list[str] = []
    assert Parser().parse([(0, data)], rejects.append) == []
    assert rejects == ["size"]


def field_of(members):
    field = struct_class("Depth", members)()
    for name, value in TYPICAL.items():
        setattr(field, name, value)
    return field


class Module:
    def __init__(self, members) -> None:
        self.CThostFtdcDepthMarketDataField = struct_class("Depth", members)


def test_the_known_struct_is_verified_and_copied():
    found = DEPTH.verify(library())
    assert found.exact
    assert DEPTH.reader(found)(field_of(depth_members(DEPTH))) == record()


def test_ctps_struct_is_not_taken_for_sopts():
    ctps = [member for member in depth_members(DEPTH) if member[0] != "InstrumentID"]
    ctps.append(("InstrumentID", ctypes.c_char * 81))
    found = DEPTH.verify(Module(ctps))
    assert not found.exact
    assert DEPTH.reader(found)(field_of(ctps)) == record()


def test_a_library_without_the_three_own_fields_is_still_read_as_it_lies():
    rest = ("CircuitRefPrice", "SendingTime", "BigVolume")
    members = [member for member in depth_members(DEPTH) if member[0] not in rest]
    assert DEPTH.verify(Module([*members, ("Spare", ctypes.c_double * 8)])).exact


def test_reference_prices_are_told_once_when_they_change_and_not_with_the_ticks():
    parser = Parser()
    other = record(InstrumentID="90001234", ExchangeID="SZ", CircuitRefPrice=0.2)
    assert len(parser.parse([(0, record()), (0, record(Volume=123_457)), (0, other)], pytest.fail)) == 3
    assert parser.references() == [(Instrument("SSE", "10004567"), 0.08), (Instrument("SZSE", "90001234"), 0.2)]
    parser.parse([(0, record(Volume=123_458))], pytest.fail)
    assert parser.references() == []
    parser.parse([(0, record(CircuitRefPrice=0.12)), (0, other)], pytest.fail)
    assert parser.references() == [(Instrument("SSE", "10004567"), 0.12)]
    parser.parse([(0, record(CircuitRefPrice=0.12, TradingDay="20261124", ActionDay="20261124"))], pytest.fail)
    assert parser.references() == [(Instrument("SSE", "10004567"), 0.12)]


@pytest.mark.parametrize("absent", [0.0, DBL_MAX, -1.0, float("nan")])
def test_a_reference_price_that_was_not_sent_is_not_told(absent):
    parser = Parser()
    assert len(parser.parse([(0, record(CircuitRefPrice=absent))], pytest.fail)) == 1
    assert parser.references() == []


def test_a_record_that_is_no_tick_has_no_reference_price():
    parser = Parser()
    rejects: list[str] = []
    parser.parse([(0, b"short"), (0, record(InstrumentID=""))], rejects.append)
    assert rejects == ["size", "bad_instrument"]
    assert parser.references() == []


def test_a_value_that_was_not_sent_is_none():
    tick = parse_one(record(LastPrice=DBL_MAX, UpperLimitPrice=DBL_MAX, LowerLimitPrice=DBL_MAX))
    assert (tick.last, tick.upper_limit, tick.lower_limit) == (None, None, None)
