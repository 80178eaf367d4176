"""CTP's callbacks, for those who drive them from native code or without a library (benchmarks)."""

from __future__ import annotations

from typing import Any, Final

from gateway.ports import TickSink
from gateway.thost import spi
from gateway_ctp.layout import DEPTH

Callbacks: Final = spi.copying(DEPTH)
"""The callbacks of a line, without the vendor's base class."""


def make_spi(sink: TickSink, module: Any) -> Any:
    """A director object without a front or a login (:func:`gateway.thost.spi.make_spi`)."""
    return spi.make_spi(sink, module, DEPTH)
