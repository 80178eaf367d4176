from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codec import MsgpackCodec, encode_market
from gateway.model import SHANGHAI, Instrument, Tick
from gateway.sources.market import Grid, Listed, Market
from gateway.sources.products import EXCHANGE_OF_PRODUCT, exchange_of, kind_of
from gateway.sources.timetable import ANCHOR_NS, AlwaysOpen, WeekdaySessions
from gateway.sources.universe import EXCHANGES, universe


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000_000


def build(*, seed: int = 7, contracts: int = 300, rate: float = 1000.0, quiet: float = 0.2) -> Market:
    return Market(seed=seed, contracts=contracts, exchanges=EXCHANGES, quiet=quiet, grid=Grid.of(rate))


@pytest.fixture(scope="module")
def market() -> Market:
    return build()


NOON = ns("2026-03-10T12:00:00")
OPEN = AlwaysOpen()


def at(market: Market, items: list[Listed], moment: int, rate: float = 1000.0) -> list[Tick]:
    return market.snapshots(items, Grid.of(rate).step_at(moment), OPEN.period(moment))


def test_each_exchange_spells_its_contracts_its_own_way() -> None:
    codes = {contract.instrument for contract, _ in universe(2000)}
    for text in (
        "SHFE.rb2701", "INE.sc2701", "DCE.m2701", "CZCE.SR701", "CFFEX.IF2701", "GFEX.si2701", "SHFE.rb2701C3100",
        "DCE.m2701-C-3000", "CZCE.SR701C5400", "CFFEX.IO2701-C-4550", "GFEX.si2701-C-9100", "INE.sc2701P460",
    ):  # fmt: skip
        assert Instrument.parse(text) in codes


def test_every_contract_is_listed_once_with_the_exchange_and_kind_that_its_letters_say() -> None:
    contracts = [contract for contract, _ in universe(20_000)]
    assert len({contract.instrument for contract in contracts}) == 20_000
    for contract in contracts:
        assert exchange_of(contract.instrument.code) == contract.instrument.exchange
        assert kind_of(contract.instrument.code) == contract.kind


@pytest.mark.parametrize("count", [1, 2, 7, 100, 999, 100_000])
def test_the_universe_has_as_many_contracts_as_asked_for(count: int) -> None:
    assert len(universe(count)) == count
    assert len(universe(count, ["GFEX"])) == count


def test_product_letters_belong_to_one_exchange() -> None:
    assert exchange_of("rb2510") == "SHFE"
    assert exchange_of("SR109C5500") == "CZCE"
    assert exchange_of("12345") is None
    assert len(EXCHANGE_OF_PRODUCT) > 80


def test_two_markets_of_one_seed_agree_from_whatever_slice_they_start(market: Market) -> None:
    other = build()
    items, twins = list(market.listed.values())[:256], list(other.listed.values())[:256]
    step, period = Grid.of(1000).step_at(NOON), OPEN.period(NOON)
    whole = market.snapshots(items, step, period)
    pieces = [tick for cut in range(0, 256, 7) for tick in other.snapshots(twins[cut : cut + 7], step + cut, period)]
    assert whole == pieces


def test_another_seed_is_another_market(market: Market) -> None:
    other = build(seed=8)
    key = Instrument("SHFE", "rb2701")
    assert at(market, [market.listed[key]], NOON) != at(other, [other.listed[key]], NOON)


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(ns("2026-03-10T00:00:00"), ns("2026-03-10T23:00:00")),
    gaps=st.lists(st.integers(1, 100_000), min_size=1, max_size=20),
    rate=st.sampled_from([1.0, 1000.0, 20_000.0, 0.0]),
)
def test_a_contracts_day_is_consistent(start: int, gaps: list[int], rate: float) -> None:
    market, grid = MARKETS.get(rate) or build(rate=rate, contracts=60), Grid.of(rate)
    MARKETS[rate] = market
    items = list(market.listed.values())
    steps = [grid.first_at(start)]
    for gap in gaps:
        steps.append(steps[-1] + gap)
    before: dict[Instrument, Tick] = {}
    for step in steps:
        period = OPEN.period(grid.time_of(step))
        if period.trading_day != 20260310:
            break
        for tick, item in zip(market.snapshots(items, step, period, advance=0), items, strict=True):
            contract_is_real(tick, item.contract.price_tick or 0)
            previous = before.get(tick.instrument)
            if previous is not None:
                assert tick.exchange_ns >= previous.exchange_ns
                assert tick.volume >= previous.volume
                assert (tick.turnover or 0) >= (previous.turnover or 0)
                assert (tick.high or 0) >= (previous.high or 0)
                assert (tick.low or 0) <= (previous.low or 0)
                assert encode_market(tick) != encode_market(previous)
            before[tick.instrument] = tick


MARKETS: dict[float, Market] = {}


def contract_is_real(tick: Tick, price_tick: float) -> None:
    assert tick.last is not None
    assert tick.high is not None
    assert tick.low is not None
    assert tick.open is not None
    depth = 5 if tick.exchange in ("SHFE", "INE") else 1
    assert len(tick.bid_prices) == len(tick.ask_prices) == len(tick.bid_volumes) == len(tick.ask_volumes) == depth
    assert min(*tick.bid_volumes, *tick.ask_volumes, 1) > 0
    book = [*reversed(tick.bid_prices), *tick.ask_prices]
    assert book == sorted(set(book))
    assert tick.bid_prices[0] <= tick.last <= tick.ask_prices[0]
    assert tick.low <= min(tick.last, tick.open)
    assert tick.high >= max(tick.last, tick.open)
    assert tick.upper_limit is not None
    assert tick.lower_limit is not None
    prices = [*book, tick.last, tick.high, tick.low, tick.open, tick.pre_settlement, tick.pre_close]
    assert tick.lower_limit <= min(prices)
    assert max(prices) <= tick.upper_limit
    for price in [*prices, tick.upper_limit, tick.lower_limit]:
        assert isinstance(price, float)
        assert math.isclose(price / price_tick, round(price / price_tick), abs_tol=1e-6)
    assert tick.volume > 0
    assert (tick.turnover or 0) > 0
    if tick.exchange == "CZCE":
        assert tick.exchange_ns % 1_000_000_000 == 0
    assert tick.exchange_ns % 1_000_000 == 0


def test_a_czce_contract_has_several_snapshots_with_one_time_stamp(market: Market) -> None:
    item = market.listed[Instrument("CZCE", "SR701")]
    ticks = at(market, [item] * 200, NOON)
    stamps = defaultdict(set)
    for tick in ticks:
        stamps[tick.exchange_ns].add(encode_market(tick))
    assert len(stamps) == 1
    assert len(next(iter(stamps.values()))) == 200


def test_other_exchanges_send_milliseconds(market: Market) -> None:
    ticks = at(market, [market.listed[Instrument("SHFE", "rb2701")]] * 50, NOON)
    assert len({tick.exchange_ns for tick in ticks}) == 50


def test_before_the_auction_is_matched_nothing_is_traded_and_then_the_open_is(market: Market) -> None:
    item, period = market.listed[Instrument("SHFE", "rb2701")], OPEN.period(NOON)
    early, matched = market.auction(item, period), market.auction(item, period, matched=True)
    first = market.snapshots([item], Grid.of(1000).first_at(period.opens_ns), period)[0]
    assert (early.volume, early.open, early.bid_prices) == (0, None, ())
    assert matched.last == matched.open == first.open
    assert 0 < matched.volume <= first.volume
    assert early.exchange_ns < matched.exchange_ns < first.exchange_ns


def test_quiet_options_exist_and_never_trade(market: Market) -> None:
    quiet = [item for item in market.listed.values() if item.quiet]
    assert 10 < len(quiet) < 90
    assert {item.contract.kind for item in quiet} == {"option"}
    assert {market.auction(item, OPEN.period(NOON), matched=True).volume for item in quiet} == {0}
    assert not [item for item in build(quiet=0).listed.values() if item.quiet]


def test_ticks_survive_the_wire(market: Market) -> None:
    codec = MsgpackCodec()
    origin = codec.origin(1, "", "")
    for tick in at(market, list(market.listed.values()), NOON):
        back = codec.decode(origin.payload(0, 0, encode_market(tick)))
        assert encode_market(back) == encode_market(tick)
        assert back.bid_prices == tick.bid_prices


@given(step=st.integers(0, 10**12), rate=st.sampled_from([0.001, 0.7, 3.0, 5000.0, 33_333.3, 1e6, 0.0]))
def test_the_grid_maps_both_ways(step: int, rate: float) -> None:
    grid = Grid.of(rate)
    time = grid.time_of(step)
    assert grid.step_at(time) == step
    assert grid.step_at(time - 1) == step - 1
    assert grid.first_at(time) == step
    assert grid.time_of(0) == ANCHOR_NS


def test_an_always_open_market_changes_its_trading_day_at_midnight_in_shanghai() -> None:
    period = OPEN.period(ns("2026-03-10T23:59:59"))
    assert period.trading_day == 20260310
    assert OPEN.period(period.closes_ns).trading_day == 20260311
    assert AlwaysOpen(20200101).period(NOON).trading_day == 20200101


@pytest.mark.parametrize(
    ("moment", "opens", "day"),
    [
        ("2026-03-10T09:00:00", "2026-03-10T09:00:00", 20260310),
        ("2026-03-10T10:14:59", "2026-03-10T09:00:00", 20260310),
        ("2026-03-10T10:15:00", "2026-03-10T10:30:00", 20260310),
        ("2026-03-10T12:00:00", "2026-03-10T13:30:00", 20260310),
        ("2026-03-10T15:00:00", "2026-03-10T21:00:00", 20260311),
        ("2026-03-10T22:59:59", "2026-03-10T21:00:00", 20260311),
        ("2026-03-10T23:00:00", "2026-03-11T09:00:00", 20260311),
        ("2026-03-13T21:30:00", "2026-03-13T21:00:00", 20260316),  # Friday night is Monday's
        ("2026-03-14T12:00:00", "2026-03-16T09:00:00", 20260316),
        ("2026-03-15T21:30:00", "2026-03-16T09:00:00", 20260316),  # no Sunday night
    ],
)
def test_sessions_have_breaks_nights_and_weekends(moment: str, opens: str, day: int) -> None:
    period = WeekdaySessions().period(ns(moment))
    assert (period.opens_ns, period.trading_day) == (ns(opens), day)
    assert period.auction_ns < period.opens_ns


def test_open_time_adds_up_over_the_sessions_of_a_trading_day() -> None:
    hours = WeekdaySessions()
    assert hours.period(ns("2026-03-10T14:00:00")).traded_before_ns == (2 * 3600 + 4500 + 3600) * 1_000_000_000
