"""SOPT, as :mod:`gateway.thost` wants it described."""

from __future__ import annotations

from typing import Final

from gateway.thost.family import KINDS, Family, Library
from gateway.thost.trader import COLUMNS
from gateway_sopt.exchanges import SPELLINGS
from gateway_sopt.layout import DEPTH
from gateway_sopt.parse import Parser

SOPT: Final = Family(
    name="sopt",
    label="SOPT",
    libraries={
        "openctp_ctpopt": Library(
            distribution="openctp-ctpopt",
            market_data="openctp_ctpopt.soptthostmduserapi",
            trader="openctp_ctpopt.soptthosttraderapi",
        ),
        "standin": Library(
            distribution="feedgate-sopt",
            market_data="gateway_sopt.standin:library",
            trader="gateway_sopt.standin:library",
            needs_locale=False,
        ),
    },
    depth=DEPTH,
    parser=Parser,
    columns=(*COLUMNS, "InstrumentCode"),
    product_kinds={**KINDS, "7": "option"},
    exchanges=SPELLINGS,
    example="SSE.10004567",
    exchanges_example='{ IO = "CFFEX" }',
    brokerless=frozenset({"standin"}),
)
"""ProductClass 7 is ETFOption, which only this library has."""
