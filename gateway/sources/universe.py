"""The synthetic market's contracts: real products, each exchange's own spelling, as many as asked for.

Spelling (as in the exchanges' instrument lists): SHFE, INE, DCE and GFEX write lower case with four digits, CZCE upper
case with three, CFFEX upper case with four; options are ``au2701C928`` (SHFE, INE), ``m2701-C-3000`` (DCE, GFEX),
``SR701C5400`` (CZCE) and ``IO2701-C-4550`` (CFFEX). Multipliers and price ticks are those of the contracts;
prices are in the region of recent years and otherwise made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Final

from gateway.model import Contract, Instrument

EXCHANGES: Final = ("SHFE", "INE", "DCE", "CZCE", "CFFEX", "GFEX")

FUTURES_SHARE: Final = 0.4
"""Of the contracts asked for, as long as there are futures left; the rest are options."""

_FIRST_YEAR: Final = 2027
_MONTHS: Final = 24


@dataclass(frozen=True, slots=True)
class Product:
    """What the generator needs to know of a product."""

    exchange: str
    code: str
    multiplier: int
    tick: float
    price: float
    """Where the futures trade, roughly."""
    option_tick: float | None = None
    """None: no options."""
    option_code: str = ""
    """Where it is not the future's (CFFEX: ``IO`` on the index of ``IF``)."""
    strike_step: float = 0.0

    @property
    def options(self) -> str:
        """The letters of its options."""
        return self.option_code or self.code


PRODUCTS: Final[tuple[Product, ...]] = (
    Product("SHFE", "rb", 10, 1, 3120, 0.5, strike_step=50),
    Product("SHFE", "cu", 5, 10, 86000, 2, strike_step=1000),
    Product("SHFE", "au", 1000, 0.02, 930, 0.02, strike_step=8),
    Product("SHFE", "ag", 15, 1, 11900, 0.5, strike_step=100),
    Product("SHFE", "al", 5, 5, 21500, 1, strike_step=100),
    Product("SHFE", "zn", 5, 5, 22400, 1, strike_step=200),
    Product("SHFE", "ni", 1, 10, 116000, 2, strike_step=2000),
    Product("SHFE", "ru", 10, 5, 15200, 1, strike_step=250),
    Product("SHFE", "hc", 10, 1, 3280),
    Product("SHFE", "fu", 10, 1, 2600),
    Product("SHFE", "bu", 10, 1, 3050),
    Product("SHFE", "sp", 10, 2, 5400),
    Product("SHFE", "ss", 5, 5, 12500),
    Product("SHFE", "sn", 1, 10, 290000, 5, strike_step=2000),
    Product("INE", "sc", 1000, 0.1, 460, 0.05, strike_step=5),
    Product("INE", "nr", 10, 5, 12300),
    Product("INE", "lu", 10, 1, 3150),
    Product("INE", "bc", 5, 10, 76500),
    Product("DCE", "m", 10, 1, 3020, 0.5, strike_step=50),
    Product("DCE", "i", 100, 0.5, 780, 0.1, strike_step=10),
    Product("DCE", "c", 10, 1, 2180, 0.5, strike_step=20),
    Product("DCE", "y", 10, 2, 8200, 0.5, strike_step=100),
    Product("DCE", "p", 10, 2, 8600, 0.5, strike_step=100),
    Product("DCE", "l", 5, 1, 6800, 0.5, strike_step=100),
    Product("DCE", "v", 5, 1, 4600, 0.5, strike_step=100),
    Product("DCE", "pp", 5, 1, 6500, 0.5, strike_step=100),
    Product("DCE", "jm", 60, 0.5, 1150),
    Product("DCE", "eg", 10, 1, 3900, 0.5, strike_step=50),
    Product("DCE", "cs", 10, 1, 2480),
    Product("CZCE", "SR", 10, 1, 5450, 0.5, strike_step=100),
    Product("CZCE", "CF", 5, 5, 13500, 1, strike_step=200),
    Product("CZCE", "TA", 5, 2, 4650, 0.5, strike_step=50),
    Product("CZCE", "MA", 10, 1, 2050, 0.5, strike_step=25),
    Product("CZCE", "RM", 10, 1, 2450, 0.5, strike_step=25),
    Product("CZCE", "SA", 20, 1, 1180, 0.5, strike_step=20),
    Product("CZCE", "FG", 20, 1, 1020),
    Product("CZCE", "AP", 10, 1, 9300),
    Product("CZCE", "OI", 10, 1, 9700),
    Product("CFFEX", "IF", 300, 0.2, 4550, 0.2, option_code="IO", strike_step=50),
    Product("CFFEX", "IM", 200, 0.2, 7200, 0.2, option_code="MO", strike_step=100),
    Product("CFFEX", "IH", 300, 0.2, 3020, 0.2, option_code="HO", strike_step=25),
    Product("CFFEX", "IC", 200, 0.2, 7050),
    Product("CFFEX", "T", 10000, 0.005, 108),
    Product("GFEX", "si", 5, 5, 9100, 5, strike_step=100),
    Product("GFEX", "lc", 1, 20, 92000, 10, strike_step=1000),
)


def universe(count: int, exchanges: Sequence[str] = EXCHANGES) -> list[tuple[Contract, Product]]:
    """``count`` contracts, interleaved over the exchanges so that any prefix has some of each.

    The same arguments always give the same list. Options are added strike by strike, without end, so every count
    can be met as long as one exchange is chosen.
    """
    chosen = [product for product in PRODUCTS if product.exchange in exchanges]
    if not chosen:
        raise ValueError(f"none of {', '.join(exchanges)} is one of {', '.join(EXCHANGES)}")
    futures = list(_interleave([_futures(product) for product in chosen], exchanges, chosen))
    with_options = [product for product in chosen if product.option_tick is not None]
    listed = futures[: max(1, round(count * FUTURES_SHARE))]
    options = _interleave([_options(product) for product in with_options], exchanges, with_options)
    return listed[:count] + list(islice(options, max(0, count - len(listed))))


def _interleave(
    streams: Sequence[Iterator[tuple[Contract, Product]]], exchanges: Sequence[str], products: Sequence[Product]
) -> Iterator[tuple[Contract, Product]]:
    """One of each exchange in turn, and inside an exchange one of each product in turn."""

    def turns(parts: Sequence[Iterator[tuple[Contract, Product]]]) -> Iterator[tuple[Contract, Product]]:
        return (item for item in chain.from_iterable(zip_longest(*parts)) if item is not None)

    by_exchange = [
        turns([s for s, product in zip(streams, products, strict=True) if product.exchange == exchange])
        for exchange in dict.fromkeys(exchanges)
    ]
    return turns(by_exchange)


def _delivery(exchange: str, number: int) -> tuple[str, int]:
    """The digits of the ``number``-th delivery month and the expiry (the 15th; real calendars vary)."""
    year, month = _FIRST_YEAR + number // 12, number % 12 + 1
    digits = f"{year % 100:02d}{month:02d}"
    return (digits[1:] if exchange == "CZCE" else digits), year * 10000 + month * 100 + 15


def _futures(product: Product) -> Iterator[tuple[Contract, Product]]:
    for number in range(_MONTHS):
        digits, expiry = _delivery(product.exchange, number)
        code = product.code + digits
        yield (
            Contract(
                instrument=Instrument(product.exchange, code),
                name=f"{product.code} {digits}",
                product=product.code,
                kind="future",
                multiplier=product.multiplier,
                price_tick=product.tick,
                expire_date=expiry,
            ),
            product,
        )


def _options(product: Product) -> Iterator[tuple[Contract, Product]]:
    """Strikes outwards from the money, all months and both rights of one strike after the other, without end."""
    middle = max(1, round(product.price / product.strike_step))
    step = 0
    while True:
        number = middle + (step + 1) // 2 * (1 if step % 2 else -1)
        step += 1
        if number <= 0:
            continue
        strike = round(number * product.strike_step, 6)
        for month in range(_MONTHS // 2):
            digits, expiry = _delivery(product.exchange, month)
            for right in "CP":
                yield _option(product, digits, right, strike, expiry), product


def _option(product: Product, digits: str, right: str, strike: float, expiry: int) -> Contract:
    letters, mark = product.options, f"{strike:g}" if strike < 1e6 else str(int(strike))  # noqa: PLR2004 - %g limit
    if product.exchange in ("DCE", "GFEX", "CFFEX"):
        code = f"{letters}{digits}-{right}-{mark}"
    else:
        code = f"{letters}{digits}{right}{mark}"
    family = {"CZCE": letters + right, "CFFEX": letters}.get(product.exchange, f"{letters}_o")
    return Contract(
        instrument=Instrument(product.exchange, code),
        name=f"{letters} {digits} {'call' if right == 'C' else 'put'} {mark}",
        product=family,
        kind="option",
        multiplier=product.multiplier,
        price_tick=product.option_tick,
        expire_date=expiry,
    )
