"""CTP, as :mod:`gateway.thost` wants it described."""

from __future__ import annotations

from typing import Final

from gateway.thost.family import KINDS, Family, Library
from gateway_ctp.layout import DEPTH
from gateway_ctp.parse import Parser

CTP: Final = Family(
    name="ctp",
    label="CTP",
    libraries={
        "openctp_ctp": Library(
            distribution="openctp-ctp",
            market_data="openctp_ctp.thostmduserapi",
            trader="openctp_ctp.thosttraderapi",
        ),
        # the same API, another counter with its own wire protocol
        "openctp_tts": Library(
            distribution="openctp-tts",
            market_data="openctp_tts.thostmduserapi",
            trader="openctp_tts.thosttraderapi",
        ),
        "standin": Library(
            distribution="feedgate-ctp",
            market_data="gateway_ctp.standin:library",
            trader="gateway_ctp.standin:library",
            needs_locale=False,
        ),
    },
    depth=DEPTH,
    parser=Parser,
    product_kinds=KINDS,
    exchanges={},
    example="SHFE.rb2601",
    exchanges_example='{ rb = "SHFE", IF = "CFFEX" }',
    brokerless=frozenset({"openctp_tts", "standin"}),
)
