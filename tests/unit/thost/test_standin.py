"""The stand-in's market and fronts: what demonstrations and tests rely on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

import gateway_ctp.standin
import gateway_sopt.standin
import pytest
from gateway_ctp.family import CTP
from gateway_sopt.family import SOPT

from gateway.calendar import product_of
from gateway.calendar.products import PRODUCTS
from gateway.model import SHANGHAI, Instrument
from gateway.thost import parse
from gateway.thost.family import Family
from gateway.thost.standin.front import Manner, read_front
from gateway.thost.standin.library import Standin

LIBRARIES = pytest.mark.parametrize(
    ("library", "family"),
    [(gateway_ctp.standin.library, CTP), (gateway_sopt.standin.library, SOPT)],
    ids=["ctp", "sopt"],
)
MOMENTS = [
    "2026-11-20T14:59:59", "2026-11-20T21:30:00", "2026-11-21T01:10:00", "2026-11-21T12:00:00", "2026-11-22T23:59:59",
    "2026-11-23T00:00:00", "2026-11-23T10:00:00", "2026-11-23T20:59:59", "2026-11-24T09:30:00",
]  # fmt: skip


def wall_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000_000


def parser_of(family: Family, standin: Standin) -> parse.Parser:
    parser = family.parser()
    parser.learn(Instrument(str(row["ExchangeID"]), code) for code, row in standin.quotes.rows.items())
    return parser


@LIBRARIES
def test_every_contract_at_every_hour_is_a_tick_whose_time_and_book_make_sense(
    library: Callable[[], Standin], family: Family
) -> None:
    standin = library()
    parser, field = parser_of(family, standin), standin.CThostFtdcDepthMarketDataField()
    volumes: dict[tuple[str, int], int] = {}
    for moment in sorted(MOMENTS):
        at = wall_ns(moment)
        step = standin.quotes.step_at(at)
        for code in standin.quotes.rows:
            for name, value in standin.quotes.snapshot(code, step).items():
                setattr(field, name, value)
            (tick,) = parser.parse([(at, family.depth.copy(field))], pytest.fail)
            assert tick.code == code
            assert abs(tick.exchange_ns - at) < 1_000_000_000
            assert tick.bid is not None
            assert tick.ask is not None
            assert tick.last is not None
            assert 0 < tick.bid < tick.last < tick.ask
            assert tick.low is not None
            assert tick.high is not None
            assert tick.low <= tick.last <= tick.high
            assert len(tick.bid_prices) == len(tick.ask_prices) == 5
            key = (code, tick.trading_day)
            assert tick.volume >= volumes.get(key, 0), (moment, key)
            volumes[key] = tick.volume


@LIBRARIES
def test_the_contracts_have_products_that_the_calendar_knows(library: Callable[[], Standin], family: Family) -> None:
    for code, row in library().quotes.rows.items():
        exchange = str(row["ExchangeID"])
        product = product_of(Instrument(exchange, code))
        assert PRODUCTS[product].exchange == exchange


@LIBRARIES
def test_two_stand_ins_show_the_same_market_and_successive_snapshots_differ(
    library: Callable[[], Standin], family: Family
) -> None:
    one, other = library().quotes, library().quotes
    code = next(iter(one.rows))
    snapshots = [one.snapshot(code, step) for step in range(3_600_000_000, 3_600_000_040)]
    assert snapshots == [other.snapshot(code, step) for step in range(3_600_000_000, 3_600_000_040)]
    books = [tuple(value for name, value in shot.items() if "Volume" in name) for shot in snapshots]
    assert all(before != after for before, after in pairwise(books))


@pytest.mark.parametrize(
    ("address", "manner", "port"),
    [
        ("tcp://standin:1", Manner.ANSWERS, 1), ("tcp://refuses.standin:2", Manner.REFUSES, 2),
        ("tcp://silent.standin:1", Manner.SILENT, 1), ("tcp://closes.standin:1", Manner.CLOSES, 1),
        ("tcp://drops.standin:30", Manner.DROPS, 30), ("tcp://180.168.146.187:10211", Manner.ANSWERS, 10211),
    ],
)  # fmt: skip
def test_the_fronts_host_says_how_it_behaves(address: str, manner: Manner, port: int) -> None:
    front = read_front(address)
    assert (front.manner, front.port) == (manner, port)
