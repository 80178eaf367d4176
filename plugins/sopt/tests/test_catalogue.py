"""The contract list: what makes a row an option, and the whole way through a query process on the stand-in."""

from __future__ import annotations

import pytest
from gateway_sopt.family import SOPT
from gateway_sopt.standin import library

from gateway.errors import CatalogueError
from gateway.model import Account, Contract, Instrument
from gateway.thost.catalogue import build_catalogue, contracts_of
from gateway.thost.options import adjustments_of

ACCOUNT = Account(
    name="primary", broker_id="9999", user_id="160219", td_address="tcp://standin:1", app_id="client_1",
    secrets={"password": "secret-word", "auth_code": "secret-code"},
)  # fmt: skip
STANDIN = {"native_module": "standin"}


def row(**changes: str | float) -> dict[str, str | int | float]:
    return {
        "InstrumentID": "10004567", "ExchangeID": "SSE", "InstrumentName": "50ETF购12月2500", "ProductID": "ETF_O",
        "ProductClass": "7", "VolumeMultiple": 10_000, "PriceTick": 0.0001, "ExpireDate": "20261223",
        "UnderlyingInstrID": "510050", "StrikePrice": 2.5, "OptionsType": "1", "InstrumentCode": "510050C2612M02500",
        **changes,
    }  # fmt: skip


def contract(**changes: str | float) -> Contract:
    (made,) = contracts_of(SOPT, [row(**changes)])
    return made


def test_a_row_of_a_stock_option_becomes_a_contract_with_all_its_terms():
    assert contract() == Contract(
        instrument=Instrument("SSE", "10004567"), name="50ETF购12月2500", product="ETF_O", kind="option",
        multiplier=10_000, price_tick=0.0001, expire_date=20261223, underlying="510050", strike=2.5,
        option_type="call", trading_code="510050C2612M02500", adjustments=0,
    )  # fmt: skip


def test_an_adjusted_contract_says_how_often_and_has_its_odd_strike_and_multiplier():
    adjusted = contract(InstrumentCode="510050P2612A02451", StrikePrice=2.451, VolumeMultiple=10_202, OptionsType="2")
    assert (adjusted.adjustments, adjusted.strike, adjusted.multiplier) == (1, 2.451, 10_202)
    assert adjusted.option_type == "put"


@pytest.mark.parametrize(
    ("code", "times"),
    [
        ("510050C1904M02500", 0), ("510050C1904A02500", 1), ("510050C1904B02500", 2), ("510050C1904L02500", 12),
        ("510050C1904N02500", 13), ("IO2612-C-4000", None), ("", None), ("510050X1904M02500", None),
    ],
)  # fmt: skip
def test_the_mark_in_the_trading_code_counts_the_adjustments(code, times):
    assert adjustments_of(code) == times


@pytest.mark.parametrize(("sent", "known"), [("SSE", "SSE"), ("SH", "SSE"), ("SZ", "SZSE"), ("CFFEX", "CFFEX")])
def test_exchanges_are_spelt_in_one_way(sent, known):
    assert contract(ExchangeID=sent).instrument.exchange == known


def test_what_is_no_option_has_no_terms_of_one():
    stock = contract(ProductClass="8", StrikePrice=0.0, OptionsType="", InstrumentCode="")
    assert (stock.kind, stock.strike, stock.option_type, stock.adjustments) == ("other", None, "", None)


def test_a_strike_that_the_counter_does_not_know_is_none():
    assert contract(StrikePrice=1.7976931348623157e308).strike is None


async def test_the_stand_ins_list_comes_through_a_process_of_its_own_with_calls_and_puts_of_three_exchanges():
    contracts = await build_catalogue(SOPT, ACCOUNT, STANDIN).contracts()
    assert contracts == list(contracts_of(SOPT, library().quotes.rows.values()))
    assert {one.instrument.exchange for one in contracts} == {"SSE", "SZSE", "CFFEX"}
    assert {one.option_type for one in contracts} == {"call", "put"}
    assert {one.adjustments for one in contracts} == {0, 1, None}
    assert all(one.underlying and one.strike and one.expire_date and one.multiplier for one in contracts)


async def test_a_refused_login_is_an_error_with_the_vendors_words_and_no_secret():
    refused = Account(
        name="primary", user_id="1", td_address="tcp://refuses.standin:1", secrets={"password": "secret-word"}
    )  # fmt: skip
    with pytest.raises(CatalogueError, match="login refused: 3 CTP:不合法的登录") as caught:
        await build_catalogue(SOPT, refused, STANDIN).contracts()
    assert "secret" not in str(caught.value)


def test_an_account_without_a_trader_front_is_told_what_to_set():
    with pytest.raises(CatalogueError, match="FEEDGATE_FEEDS__SOPT__INSTRUMENTS=SSE"):
        build_catalogue(SOPT, Account(name="primary"), {})
    with pytest.raises(CatalogueError, match="the sopt catalogue logs in"):
        build_catalogue(SOPT, None, {})
