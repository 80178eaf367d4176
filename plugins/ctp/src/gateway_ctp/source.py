"""One login at one CTP market-data front."""

from __future__ import annotations

from typing import ClassVar

from gateway.thost.family import Family
from gateway.thost.source import ThostSource
from gateway_ctp.family import CTP


class CtpSource(ThostSource):
    """The vendor's CThostFtdcMdApi, as a :class:`gateway.ports.ParsingSource`."""

    family: ClassVar[Family] = CTP
