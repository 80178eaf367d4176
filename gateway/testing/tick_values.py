"""What the numbers of a tick may be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from gateway.model import Tick

_PRICES: Final = (
    "last", "turnover", "open_interest", "open", "high", "low", "close", "settlement", "average", "pre_settlement",
    "pre_close", "pre_open_interest", "upper_limit", "lower_limit",
)  # fmt: skip
_ABSENT: Final = 1e300
"""Vendors write DBL_MAX, 1.8e308, for a price that there is not."""
_LEVELS: Final = 5


def problems_of(tick: Tick) -> Iterator[str]:
    """What is wrong with the values of a tick."""
    for name in _PRICES:
        yield from _price(name, getattr(tick, name))
    for side in ("bid", "ask"):
        prices, volumes = getattr(tick, f"{side}_prices"), getattr(tick, f"{side}_volumes")
        if len(prices) != len(volumes) or len(prices) > _LEVELS:
            yield f"{side} has {len(prices)} prices and {len(volumes)} volumes; 0 to {_LEVELS} of both, as many"
        for price in prices:
            yield from _price(f"{side}_prices", price)
        if any(not isinstance(each, int) or each < 0 for each in volumes):
            yield f"{side}_volumes = {volumes!r}: whole numbers from 0 on"
    if not isinstance(tick.volume, int) or tick.volume < 0:
        yield f"volume = {tick.volume!r}: a whole number from 0 on"
    if not _is_day(tick.trading_day):
        yield f"trading_day = {tick.trading_day!r}: a date as the integer YYYYMMDD"
    if not isinstance(tick.exchange_ns, int) or tick.exchange_ns <= 0:
        yield f"exchange_ns = {tick.exchange_ns!r}: nanoseconds since 1970 (UTC)"


def _price(name: str, value: object) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{name} = {value!r}: a number, or None when there is none"
    elif not math.isfinite(value) or abs(value) >= _ABSENT:
        yield f"{name} = {value!r}: None when the exchange sent none"


def _is_day(number: object) -> bool:
    try:
        datetime.strptime(f"{number:08d}", "%Y%m%d")  # noqa: DTZ007 - only asks whether there is such a day
    except (ValueError, TypeError):
        return False
    return isinstance(number, int)
