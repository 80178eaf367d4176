from __future__ import annotations

import math
from collections import Counter
from datetime import datetime

import pytest
from gateway_ctp.layout import DEPTH, FIELDS, TEXTS
from gateway_ctp.parse import Parser
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec import CODECS, MsgpackOrigin, encode_market
from gateway.model import SHANGHAI, Instrument, Tick
from plugins.ctp.tests.records import DBL_MAX, TYPICAL, pack, record


def moment_ns(text: str) -> int:
    """``2025-11-21 21:00:00.500`` in Shanghai."""
    when = datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)
    return int(when.timestamp()) * 1_000_000_000 + when.microsecond * 1000


def parse_one(data: bytes, recv_ns: int = 0, parser: Parser | None = None) -> Tick:
    rejects: list[str] = []
    ticks = (parser or Parser({"rb": "SHFE"})).parse([(recv_ns, data)], rejects.append)
    assert rejects == []
    return ticks[0]


def reject_word(data: bytes, parser: Parser | None = None) -> str:
    rejects: list[str] = []
    assert (parser or Parser({"rb": "SHFE"})).parse([(0, data)], rejects.append) == []
    (word,) = rejects
    return word


def test_a_typical_day_tick_comes_out_field_by_field():
    assert parse_one(record()) == Tick(
        0, 0, 0, "", "", "SHFE", "rb2601", 20251121, moment_ns("2025-11-21 10:00:01.500"),
        3123.0, 123456, 3.85e9, 1.5e6, 3100.0, 3130.0, 3090.0, None, None, 31185.3, 3110.0, 3112.0, 1.49e6,
        3400.0, 2800.0, (3122.0,), (12,), (3123.0,), (34,),
    )  # fmt: skip


@pytest.mark.parametrize("absent", [DBL_MAX, -DBL_MAX, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    ("vendor", "ours"),
    [
        ("LastPrice", "last"), ("PreSettlementPrice", "pre_settlement"), ("PreClosePrice", "pre_close"),
        ("PreOpenInterest", "pre_open_interest"), ("OpenPrice", "open"), ("HighestPrice", "high"),
        ("LowestPrice", "low"), ("Turnover", "turnover"), ("OpenInterest", "open_interest"),
        ("ClosePrice", "close"), ("SettlementPrice", "settlement"), ("UpperLimitPrice", "upper_limit"),
        ("LowerLimitPrice", "lower_limit"), ("AveragePrice", "average"),
    ],
)  # fmt: skip
def test_a_value_that_was_not_sent_is_none_and_the_others_stay(vendor, ours, absent):
    changed = parse_one(record(**{"ClosePrice": 1.0, "SettlementPrice": 2.0, vendor: absent}))
    plain = parse_one(record(ClosePrice=1.0, SettlementPrice=2.0))
    for name in Tick.__struct_fields__:
        assert getattr(changed, name) == (None if name == ours else getattr(plain, name)), name


def test_zero_prices_before_the_first_trade_mean_nothing_was_sent():
    tick = parse_one(record(Volume=0, LastPrice=0, OpenPrice=0, HighestPrice=0, LowestPrice=0, AveragePrice=0))
    assert (tick.last, tick.open, tick.high, tick.low, tick.average) == (None,) * 5
    assert tick.pre_close == 3112.0


@pytest.mark.parametrize(
    ("vendor", "ours"),
    [
        ("PreSettlementPrice", "pre_settlement"),
        ("PreClosePrice", "pre_close"),
        ("AveragePrice", "average"),
        ("ClosePrice", "close"),
        ("SettlementPrice", "settlement"),
    ],
)
def test_a_zero_where_nothing_can_be_zero_is_none_also_after_trades(vendor, ours):
    assert getattr(parse_one(record(**{vendor: 0.0})), ours) is None


def test_limits_are_absent_only_when_both_are_zero():
    index = parse_one(record(UpperLimitPrice=0, LowerLimitPrice=0))
    assert (index.upper_limit, index.lower_limit) == (None, None)
    option = parse_one(record(UpperLimitPrice=12.5, LowerLimitPrice=0))
    assert (option.upper_limit, option.lower_limit) == (12.5, 0.0)


def test_zero_and_negative_prices_of_a_spread_that_traded_are_prices():
    tick = parse_one(record(LastPrice=0.0, LowestPrice=-5.0, BidPrice1=-2.0, AskPrice1=0.0, AskVolume1=3))
    assert (tick.last, tick.low) == (0.0, -5.0)
    assert (tick.bid_prices, tick.ask_prices, tick.ask_volumes) == ((-2.0,), (0.0,), (3,))


@pytest.mark.parametrize("absent", [DBL_MAX, 0.0])
@pytest.mark.parametrize("levels", range(6))
def test_levels_that_were_not_sent_are_cut_off(levels, absent):
    fields: dict[str, object] = {}
    for n in range(1, 6):
        sent = n <= levels
        fields |= {f"BidPrice{n}": 100.0 - n if sent else absent, f"BidVolume{n}": n if sent else 0}
        fields |= {f"AskPrice{n}": 100.0 + n if sent else absent, f"AskVolume{n}": 10 * n if sent else 0}
    tick = parse_one(record(**fields))
    assert tick.bid_prices == tuple(100.0 - n for n in range(1, levels + 1))
    assert tick.bid_volumes == tuple(range(1, levels + 1))
    assert tick.ask_prices == tuple(100.0 + n for n in range(1, levels + 1))
    assert tick.ask_volumes == tuple(10 * n for n in range(1, levels + 1))


def test_a_hole_between_levels_stays_in_its_place():
    tick = parse_one(record(BidPrice1=DBL_MAX, BidVolume1=0, BidPrice2=99.0, BidVolume2=4))
    assert (tick.bid_prices, tick.bid_volumes) == ((None, 99.0), (0, 4))


NIGHTS = [
    # the calendar moment, then what each convention sends for it: TradingDay, ActionDay
    ("2025-11-20 21:00:00", "20251121", "20251120"),
    ("2025-11-21 00:30:00", "20251121", "20251121"),
    ("2025-11-21 21:00:00", "20251124", "20251121"),
    ("2025-11-22 00:30:00", "20251124", "20251122"),
    ("2025-11-22 02:29:59", "20251124", "20251122"),
    ("2025-11-21 20:59:00", "20251124", "20251121"),
]


@pytest.mark.parametrize(("when", "trading", "action"), NIGHTS)
def test_a_night_tick_has_its_calendar_moment_and_the_next_trading_day(when, trading, action):
    data = record(TradingDay=trading, ActionDay=action, UpdateTime=when[11:], UpdateMillisec=0)
    tick = parse_one(data)
    assert (tick.exchange_ns, tick.trading_day) == (moment_ns(when), int(trading))


@pytest.mark.parametrize(("when", "trading", "action"), NIGHTS)
@pytest.mark.parametrize("received", [False, True])
def test_the_trading_day_as_action_day_at_night_is_seen_through(when, trading, action, received):
    data = record(TradingDay=trading, ActionDay=trading, UpdateTime=when[11:], UpdateMillisec=0)
    tick = parse_one(data, moment_ns(when) + 200_000_000 if received else 0)
    assert (tick.exchange_ns, tick.trading_day) == (moment_ns(when), int(trading))


@pytest.mark.parametrize(("when", "trading", "action"), NIGHTS)
def test_czce_with_the_calendar_day_as_trading_day_gets_the_next_trading_day(when, trading, action):
    data = record(InstrumentID="CF601", TradingDay=action, ActionDay=action, UpdateTime=when[11:], UpdateMillisec=0)
    tick = parse_one(data, moment_ns(when) + 200_000_000, Parser({"CF": "CZCE"}))
    assert (tick.exchange_ns, tick.trading_day) == (moment_ns(when), int(trading))


def test_an_action_day_that_rolled_a_second_early_or_late_is_set_right_by_the_time_of_arrival():
    early = record(TradingDay="20251124", ActionDay="20251122", UpdateTime="23:59:59", UpdateMillisec=0)
    late = record(TradingDay="20251124", ActionDay="20251121", UpdateTime="00:00:00", UpdateMillisec=0)
    assert parse_one(early, moment_ns("2025-11-21 23:59:59")).exchange_ns == moment_ns("2025-11-21 23:59:59")
    assert parse_one(late, moment_ns("2025-11-22 00:00:00")).exchange_ns == moment_ns("2025-11-22 00:00:00")


def test_days_are_read_anew_for_each_tick_of_a_contract():
    parser = Parser({"rb": "SHFE"})
    first = record(UpdateTime="14:59:59")
    second = record(TradingDay="20251124", ActionDay="20251121", UpdateTime="21:00:00", UpdateMillisec=0)
    assert parse_one(first, parser=parser).trading_day == 20251121
    tick = parse_one(second, parser=parser)
    assert (tick.trading_day, tick.exchange_ns) == (20251124, moment_ns("2025-11-21 21:00:00"))


def test_without_an_action_day_the_trading_day_tells_the_moment_and_the_other_way_round():
    assert parse_one(record(ActionDay="")).exchange_ns == moment_ns("2025-11-21 10:00:01.500")
    night = parse_one(record(TradingDay="", UpdateTime="21:00:00"))
    assert (night.exchange_ns, night.trading_day) == (moment_ns("2025-11-21 21:00:00.500"), 20251124)


def test_a_pre_open_snapshot_on_the_eve_of_a_holiday_keeps_its_day():
    data = record(TradingDay="20251009", ActionDay="20250930", UpdateTime="19:29:00", UpdateMillisec=0)
    tick = parse_one(data)
    assert (tick.exchange_ns, tick.trading_day) == (moment_ns("2025-09-30 19:29:00"), 20251009)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"UpdateTime": ""}, "no_time"),
        ({"UpdateTime": "24:00:00"}, "bad_time"),
        ({"UpdateTime": "10:00"}, "bad_time"),
        ({"UpdateMillisec": 1000}, "bad_time"),
        ({"UpdateMillisec": -1}, "bad_time"),
        ({"TradingDay": "", "ActionDay": ""}, "bad_day"),
        ({"TradingDay": "20251332", "ActionDay": "19800100"}, "bad_day"),
        ({"InstrumentID": ""}, "bad_instrument"),
        ({"InstrumentID": b"\xff\xff\xff"}, "bad_instrument"),
        ({"InstrumentID": "rb\x07"}, "bad_instrument"),
        ({"InstrumentID": "zz9999"}, "unknown_exchange"),
        ({"Volume": -1}, "bad_volume"),
        ({"AskVolume4": -1}, "bad_volume"),
    ],
)
def test_a_record_that_cannot_be_a_tick_is_rejected_with_its_word(changes, word):
    assert reject_word(record(**changes)) == word


@pytest.mark.parametrize("size", [0, 1, DEPTH.size - 1, DEPTH.size + 1])
def test_a_record_of_another_size_is_rejected(size):
    assert reject_word(bytes(size)) == "size"


def test_a_bad_record_does_not_cost_its_neighbours():
    rejects: list[str] = []
    batch = [(1, record(Volume=1)), (2, b"junk"), (3, record(UpdateTime="")), (4, record(Volume=2))]
    ticks = Parser({"rb": "SHFE"}).parse(batch, rejects.append)
    assert [tick.volume for tick in ticks] == [1, 2]
    assert rejects == ["size", "no_time"]


def test_the_exchange_comes_from_the_vendor_then_from_what_was_asked_then_from_the_map():
    parser = Parser({"rb": "SHFE", "sc2601": "INE"})
    assert parse_one(record(InstrumentID="sc2601"), parser=parser).exchange == "INE"
    parser.learn([Instrument("SIM", "rb2601")])
    assert parse_one(record(), parser=parser).exchange == "SIM"
    assert parse_one(record(ExchangeID="SHFE"), parser=parser).exchange == "SHFE"
    assert parse_one(record(ExchangeID=b"\x01\x02"), parser=parser).exchange == "SIM"


def test_learning_an_instrument_later_changes_what_comes_out():
    parser = Parser({"rb": "SHFE"})
    assert parse_one(record(), parser=parser).exchange == "SHFE"
    parser.learn([Instrument("OTHER", "rb2601")])
    assert parse_one(record(), parser=parser).exchange == "OTHER"


def test_what_follows_the_terminating_zero_is_no_part_of_a_text():
    assert parse_one(record(InstrumentID=b"rb2601\0garbage\xff", ExchangeID=b"SHFE\0x")).code == "rb2601"


def test_spread_and_option_codes_keep_their_spelling():
    parser = Parser({"SP a2605&a2609": "DCE", "m2605-C-3000": "DCE"})
    assert parse_one(record(InstrumentID="SP a2605&a2609"), parser=parser).code == "SP a2605&a2609"
    assert parse_one(record(InstrumentID="m2605-C-3000"), parser=parser).code == "m2605-C-3000"


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.binary(max_size=2 * DEPTH.size)), max_size=4))
def test_random_bytes_are_counted_and_never_raise(batch):
    rejects: Counter[str] = Counter()
    ticks = Parser({"rb": "SHFE"}).parse(batch, lambda word: rejects.update([word]))
    assert len(ticks) + rejects.total() == len(batch)


_FLOATS = st.one_of(st.floats(), st.sampled_from([0.0, DBL_MAX, -DBL_MAX, 3123.0]))
_INTS = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(0, 999))


def _value(name: str) -> st.SearchStrategy[object]:
    if name in TEXTS:
        return st.one_of(st.just(str(TYPICAL.get(name, ""))), st.binary(max_size=9))
    return _INTS if name in DEPTH.integers else _FLOATS


@given(st.fixed_dictionaries({name: _value(name) for name in FIELDS}), st.integers(0, 2**62))
def test_whatever_the_fields_hold_a_tick_is_finite_consistent_and_survives_the_wire(fields, recv_ns):
    rejects: list[str] = []
    ticks = Parser({"rb": "SHFE"}).parse([(recv_ns, pack(fields))], rejects.append)
    assert len(ticks) + len(rejects) == 1
    for tick in ticks:
        numbers = [v for v in tick.__struct_fields__ if isinstance(getattr(tick, v), float)]
        assert all(abs(getattr(tick, name)) < 1e300 for name in numbers)
        for prices, volumes in ((tick.bid_prices, tick.bid_volumes), (tick.ask_prices, tick.ask_volumes)):
            assert len(prices) == len(volumes) <= 5
            assert all(price is None or abs(price) < 1e300 for price in prices)
            assert not prices or prices[-1] is not None
            assert min(volumes, default=0) >= 0
        assert tick.volume >= 0
        assert 19900101 <= tick.trading_day <= 21000131
        wire = MsgpackOrigin(1, "", "").payload(1, 0, encode_market(tick))
        back = CODECS["msgpack"].decode(wire)
        assert back.exchange_ns == tick.exchange_ns
        assert encode_market(back) == encode_market(tick)


@given(st.binary(min_size=1, max_size=40), st.integers(0, DEPTH.size - 1))
def test_a_record_with_some_bytes_overwritten_never_raises(junk, at):
    data = bytearray(record())
    data[at : at + len(junk)] = junk
    rejects: list[str] = []
    ticks = Parser({"rb": "SHFE"}).parse([(0, bytes(data[: DEPTH.size]))], rejects.append)
    assert len(ticks) + len(rejects) == 1
