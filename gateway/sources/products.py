"""Which exchange lists a product, told from the contract's code alone.

Futures ticks of CTP fronts often carry no exchange, and recordings keep that hole. Product letters are unique over
the Chinese futures exchanges (case counts), so they fill it. The table: the products of the instrument list 2006-2023
that the project's tests read, plus the products listed since (exchanges' product pages: ``br ao`` SHFE; ``ec`` INE;
``lh lg bz`` DCE; ``PF PK PX SH PR PL`` CZCE; ``IM TL MO HO`` CFFEX; ``si lc ps pt pd`` GFEX).
"""

from __future__ import annotations

import re
from typing import Final

_BY_EXCHANGE: Final = {
    "SHFE": "ag al ao au br bu cu fu hc ni op pb ad rb ru sn sp ss wr zn",
    "INE": "bc ec lu nr sc",
    "DCE": "a b bb bz c cs eb eg fb i j jd jm l lg lh m p pg pp rr v y",
    "CZCE": "AP CF CJ CY ER FG JR LR MA ME OI PF PK PL PM PR PX RI RM RO RS SA SF SH SM SR TA TC UR WH WS WT ZC",
    "CFFEX": "HO IC IF IH IM IO MO T TF TL TS",
    "GFEX": "lc pd ps pt si",
}

EXCHANGE_OF_PRODUCT: Final[dict[str, str]] = {
    product: exchange for exchange, products in _BY_EXCHANGE.items() for product in products.split()
}
"""``rb`` → ``SHFE``."""

_OPTION: Final = re.compile(r"^[A-Za-z]+\d{3,4}(?:-?MS)?-?[CP]-?\d+(?:\.\d+)?$")
_LETTERS: Final = re.compile(r"[A-Za-z]*")
_LEG: Final = re.compile(r"[A-Za-z]+(?=\d)")
_COMBINATION: Final = re.compile(r"[& ]")


def product_of(code: str) -> str:
    """The leading letters: ``rb`` of ``rb2510``; empty when there are none."""
    found = _LETTERS.match(code)
    return found[0] if found else ""


def exchange_of(code: str) -> str | None:
    """The exchange that lists the contract, or None when the letters say nothing.

    A combination (``SP a2505&a2509``) is listed where its first leg is.
    """
    leg = _LEG.search(code)
    return EXCHANGE_OF_PRODUCT.get(leg[0] if leg else product_of(code))


def kind_of(code: str) -> str:
    """``future``, ``option`` or ``combination``, by the spelling of the six futures exchanges."""
    if _COMBINATION.search(code):
        return "combination"
    return "option" if _OPTION.match(code) else "future"
