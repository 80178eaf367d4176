"""A tick for tests, with only what matters filled in."""

from __future__ import annotations

from typing import Any

from gateway.model import UNPUBLISHED, Instrument, Tick

_A_DAY = 20251121
_TEN_O_CLOCK_NS = 1_763_690_400_000_000_000
"""2025-11-21 10:00 in Shanghai."""


def make_tick(instrument: Instrument | str, *, number: int = 1, last: float | None = 1.5, **fields: Any) -> Tick:
    """The ``number``-th tick of a contract: volume and exchange time rise with it, prices are None unless given."""
    name = Instrument.parse(instrument) if isinstance(instrument, str) else instrument
    values: dict[str, Any] = dict.fromkeys(Tick.__struct_fields__)
    values.update(zip(("epoch", "seq", "recv_ns", "line", "account"), UNPUBLISHED, strict=True))
    values.update(
        exchange=name.exchange,
        code=name.code,
        trading_day=_A_DAY,
        exchange_ns=_TEN_O_CLOCK_NS + number * 500_000_000,
        last=last,
        volume=number,
        bid_prices=(),
        bid_volumes=(),
        ask_prices=(),
        ask_volumes=(),
    )
    return Tick(**values | fields)
