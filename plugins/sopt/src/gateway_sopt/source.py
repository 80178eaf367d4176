"""One login at one SOPT market-data front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from gateway.model import Instrument
from gateway.thost.family import Family
from gateway.thost.source import ThostSource
from gateway_sopt.family import SOPT
from gateway_sopt.parse import Parser


class SoptSource(ThostSource):
    """The vendor's CThostFtdcMdApi, as a :class:`gateway.ports.ParsingSource`."""

    family: ClassVar[Family] = SOPT
    _parser: Parser

    def references(self) -> Sequence[tuple[Instrument, float]]:
        """``CircuitRefPrice``, as far as it changed (:class:`gateway.ports.ReferencingSource`)."""
        return self._parser.references()
