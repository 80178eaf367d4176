from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CatalogueError, SettingsError
from gateway.model import Contract, Instrument
from gateway.sources.catalogue_file import OPTIONS, FileCatalogue, gateway_catalogues, read_contracts

OWN = "exchange,code,name,product,kind,multiplier,price_tick,expire_date\n"


def read(tmp_path: Path, content: str | bytes, encoding: str = "auto") -> list[Contract]:
    path = tmp_path / "list.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_contracts(path, encoding)


def test_our_own_layout_is_read_in_full(tmp_path: Path) -> None:
    (contract,) = read(tmp_path, OWN + "SHFE,rb2510,螺纹钢2510,rb,future,10,1.0,20251015\n")
    assert contract == Contract(
        instrument=Instrument("SHFE", "rb2510"), name="螺纹钢2510", product="rb", kind="future", multiplier=10,
        price_tick=1.0, expire_date=20251015,
    )  # fmt: skip


def test_what_is_missing_is_told_from_the_code(tmp_path: Path) -> None:
    future, option = read(tmp_path, "exchange,code\nSHFE,rb2510\nDCE,m2505-C-3000\n")
    assert (future.product, future.kind, future.multiplier) == ("rb", "future", None)
    assert (option.product, option.kind) == ("m", "option")


def test_gb18030_and_gzip_are_recognised(tmp_path: Path) -> None:
    content = (OWN + "SHFE,rb2510,螺纹钢,rb,,,,\n").encode("gb18030")
    assert read(tmp_path, gzip.compress(content))[0].name == "螺纹钢"
    assert read(tmp_path, content, "gb18030")[0].name == "螺纹钢"
    with pytest.raises(CatalogueError, match="utf-8"):
        read(tmp_path, content, "utf-8")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert read(tmp_path, ("\ufeff" + OWN + "SHFE,rb2510,,,,,,\n"))[0].instrument.code == "rb2510"


def test_json_lists_and_json_by_exchange_are_read(tmp_path: Path) -> None:
    (listed,) = read(tmp_path, json.dumps([{"exchange": "INE", "code": "sc2512", "multiplier": 1000}]))
    assert (listed.instrument, listed.multiplier) == (Instrument("INE", "sc2512"), 1000)
    (nested,) = read(tmp_path, json.dumps({"INE": {"sc2512": {"name": "原油", "product": "sc"}}}))
    assert (nested.instrument, nested.name) == (Instrument("INE", "sc2512"), "原油")


@pytest.mark.recorded
def test_the_recorded_instrument_list_is_read(data: Path) -> None:
    contracts = read_contracts(data / "instruments_fut_opt_2006_2023.csv.gz")
    assert len(contracts) == 18_901
    assert Counter(contract.kind for contract in contracts) == {"option": 12_856 + 690, "future": 5355}
    by_code = {contract.instrument.code: contract for contract in contracts}
    assert by_code["m0809"] == Contract(
        instrument=Instrument("DCE", "m0809"), name="豆粕0809", product="m", kind="future", multiplier=10,
        price_tick=1.0, expire_date=20080912,
    )  # fmt: skip
    assert (by_code["au2106P472"].product, by_code["au2106P472"].price_tick) == ("au_o", 0.02)


@pytest.mark.recorded
def test_the_recorded_gb18030_contracts_are_read(data: Path) -> None:
    contracts = read_contracts(data / "contracts.json.gz")
    assert len(contracts) == 21 + 198 + 220 + 56 + 190
    assert contracts[0].name == "中证2204"


@pytest.mark.recorded
def test_the_recorded_stock_options_are_read(data: Path) -> None:
    contracts = read_contracts(data / "sse_50etf_option_list_201903.csv")
    assert len(contracts) == 174
    assert contracts[0] == Contract(
        instrument=Instrument("SSE", "10001771"), name="50ETF购4月2.50", product="510050", kind="option",
        multiplier=10_000, expire_date=20190424, underlying="510050", strike=2.5, option_type="call", adjustments=0,
    )  # fmt: skip
    adjusted = [contract for contract in contracts if contract.adjustments]
    assert {(contract.adjustments, contract.multiplier) for contract in adjusted} == {(1, 10_202)}
    assert {contract.multiplier for contract in contracts if not contract.adjustments} == {10_000}
    assert len(adjusted) == 24
    assert Counter(contract.option_type for contract in contracts) == {"call": 87, "put": 87}


OPTION = "exchange,code,kind,underlying,strike,option_type,trading_code,adjustments\n"


def test_an_options_terms_are_read_from_our_own_columns(tmp_path: Path) -> None:
    rows = [
        "SSE,10004567,option,510050,2.5,call,510050C2612M02500,",
        "SSE,10004568,option,510050,2.451,put,510050P2612A02451,",
        "SZSE,90001234,option,159919,4,call,,2",
        "DCE,m2605-C-3000,option,m2605,3000,call,,",
    ]
    read_back = read(tmp_path, OPTION + "\n".join(rows) + "\n")
    assert [(one.underlying, one.strike, one.option_type, one.adjustments) for one in read_back] == [
        ("510050", 2.5, "call", 0), ("510050", 2.451, "put", 1), ("159919", 4.0, "call", 2),
        ("m2605", 3000.0, "call", None),
    ]  # fmt: skip
    assert read_back[0].trading_code == "510050C2612M02500"


def test_a_shanghai_list_tells_adjusted_contracts_by_the_letter_behind_the_strike(tmp_path: Path) -> None:
    head = "us_code,option_code,option_name,strike_price,call_put,last_tradedate,multiplier\n"
    plain = "510050.SH,10001771.SH,50ETF购4月2.50,2.5,认购,2019-04-24,10000.0\n"
    adjusted = "510050.SH,10001521.SH,50ETF沽6月2205A,2.205,认沽,2019-06-26,10202.0\n"
    first, second = read(tmp_path, head + plain + adjusted)
    assert (first.option_type, first.strike, first.adjustments) == ("call", 2.5, 0)
    assert (second.option_type, second.strike, second.adjustments) == ("put", 2.205, 1)
    assert (second.underlying, second.multiplier) == ("510050", 10_202)


def test_a_ctp_list_with_option_columns_fills_them_for_options_only(tmp_path: Path) -> None:
    head = "INSTRUMENTID,EXCHANGEID,PRODUCTCLASS,UNDERLYINGINSTRID,STRIKEPRICE,OPTIONSTYPE\n"
    future, option = read(tmp_path, f"{head}m2605,DCE,1,m,0,\nm2605-P-3000,DCE,2,m2605,3000,2\n")
    assert (future.underlying, future.strike, future.option_type) == ("", None, "")
    assert (option.underlying, option.strike, option.option_type) == ("m2605", 3000.0, "put")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("SSE,1,option,510050,0,call,,", "strike '0' is not a price"),
        ("SSE,1,option,510050,2.5,C,,", "option_type 'C' is not one of call, put"),
        ("SSE,1,option,510050,2.5,call,,-1", "adjustments '-1' is not a whole number"),
        ("SSE,1,option,510050,2.5,call,,A", "adjustments 'A' is not a whole number"),
    ],
)
def test_an_option_with_a_bad_term_is_an_error_that_names_the_column(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        read(tmp_path, f"{OPTION}{row}\n")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("SHFE,,x,,,,,", "code is empty"),
        (",rb2511,x,,,,,", "exchange is empty"),
        ("SHFE,rb2511,x,,swap,,,", "swap"),
        ("SHFE,rb2511,x,,,ten,,", "multiplier 'ten'"),
        ("SHFE,rb2511,x,,,2.5,,", "multiplier '2.5'"),
        ("SHFE,rb2511,x,,,,-1,", "price_tick '-1'"),
        ("SHFE,rb2511,x,,,,nan,", "price_tick 'nan'"),
        ("SHFE,rb2511,x,,,,,soon", "expire_date 'soon'"),
        ("SHFE,rb2511", "2 columns"),
        ("SHFE,rb2510,x,,,,,", "SHFE.rb2510 is there twice"),
    ],
)
def test_a_bad_row_is_an_error_with_file_and_line(tmp_path: Path, bad: str, words: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        read(tmp_path, f"{OWN}SHFE,rb2510,,,,,,\n{bad}\n")
    assert "list.csv line 3" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "its columns are none"),
        ("symbol,venue\nrb,SHFE\n", "symbol, venue"),
        (OWN, "lists no contract"),
        ("{", "is not JSON"),
        ('{"SHFE": 5}', "SHFE"),
        ('[{"code": "rb2510"}]', "entry 1"),
        ("[5]", "entry 1"),
        ('{"SHFE": {"rb2510": 5}}', "SHFE.rb2510"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
    ],
)
def test_a_file_that_is_no_contract_list_is_refused_with_a_reason(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        read(tmp_path, content)
    assert "list.csv" in str(caught.value)
    assert words in str(caught.value)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "list.csv"
    for start in (b"", OWN.encode(), b"[", b'{"SHFE": '):
        path.write_bytes(start + content)
        try:
            read_contracts(path)
        except CatalogueError as error:
            assert "list.csv" in str(error)  # noqa: PT017 - most bytes are refused, a few are lists


async def test_the_kind_is_registered_and_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(OWN + "SHFE,rb2510,,,,,,\n")
    (kind,) = gateway_catalogues()
    assert (kind.name, kind.options) == ("file", OPTIONS)
    catalogue = kind.build(None, {"path": str(path)})
    assert isinstance(catalogue, FileCatalogue)
    assert [contract.instrument.code for contract in await catalogue.contracts()] == ["rb2510"]
    path.unlink()
    with pytest.raises(CatalogueError, match=r"list\.csv"):
        await catalogue.contracts()


@pytest.mark.parametrize("options", [{}, {"path": 5}, {"path": "x", "encoding": "latin-1"}, {"path": "x", "file": 1}])
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    (kind,) = gateway_catalogues()
    with pytest.raises(SettingsError):
        kind.build(None, options)
