"""All products with a session table, and the product of a contract."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.calendar.commodity import COMMODITIES
from gateway.calendar.errors import UnknownProductError
from gateway.calendar.financial import FINANCIALS, SSE_OPTIONS, SZSE_OPTIONS
from gateway.calendar.hours import Product
from gateway.model import Instrument

PRODUCTS: Final[Mapping[str, Product]] = MappingProxyType(
    {product.code: product for product in (*COMMODITIES, *FINANCIALS)}
)
"""By the exchange's spelling: ``rb``, ``SR``, ``IF``. Letters are unique over all exchanges (case counts)."""

_LEG: Final = re.compile(r"[A-Za-z]+(?=\d)")
_LETTERS: Final = re.compile(r"[A-Za-z]+")
_STOCK_OPTION: Final = re.compile(r"[19]\d{7}")
_STOCK_EXCHANGES: Final = {"SSE": SSE_OPTIONS, "SZSE": SZSE_OPTIONS}
_CZCE_FAMILY: Final = re.compile(r"([A-Z]{2})[CP]")


def product_of(instrument: Instrument | str) -> str:
    """The product of a contract, by its spelling alone; it need not have a session table.

    ``rb2510`` → ``rb``, ``m2505-C-3000`` → ``m``, ``SR109C5500`` → ``SR``, ``IO2101-C-5000`` → ``IO``, a combination's
    first leg (``SP a2505&a2509`` → ``a``). Stock options have numbers for codes: eight digits, ``1…`` SSE, ``9…`` SZSE.
    Empty when the code says nothing, as for a stock or a fund.
    """
    exchange, code = (instrument.exchange, instrument.code) if isinstance(instrument, Instrument) else ("", instrument)
    if _STOCK_OPTION.fullmatch(code):
        return _STOCK_EXCHANGES.get(exchange, SSE_OPTIONS if code[0] == "1" else SZSE_OPTIONS)
    found = _LEG.search(code) or _LETTERS.match(code)
    return found[0] if found else ""


def find_product(name: str, products: Mapping[str, Product] = PRODUCTS) -> Product:
    """The product of that name; families of options (``m_o``, ``SRC``) are found by their future.

    Raises UnknownProductError that names the fix: the nearest names, the product when a contract was given, the
    override file for a product that is new.
    """
    family = _CZCE_FAMILY.fullmatch(name)
    for candidate in (name, name.removesuffix("_o"), family[1] if family else name):
        if candidate in products:
            return products[candidate]
    if not product_of(name):
        raise UnknownProductError(
            f"{name!r} names no product: a stock's or a fund's code has no session table, and the override file cannot "
            'give it one; a feed of such codes is set to sessions = "always" (docs/sessions.md)',
            product=name,
        )
    if (product := product_of(name)) != name and product in products:
        raise UnknownProductError(f"{name!r} is a contract, not a product; ask for {product}", product=name)
    same = [code for code in products if code.lower() == name.lower()]
    near = same or difflib.get_close_matches(name, products, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise UnknownProductError(
        f"no session table for product {name!r}: {guess}A product that was listed lately goes into the override "
        f'file as [[products]] codes = ["{name}"], exchange = "…", like = "a product with the same hours" '
        "(docs/sessions.md)",
        product=name,
    )
