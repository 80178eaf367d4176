"""The stand-in as a module would be: the names that a source and a contract query use."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final

from gateway.thost.layout import Depth
from gateway.thost.standin import swig
from gateway.thost.standin.api import MdApi, TraderApi
from gateway.thost.standin.market import Quotes
from gateway.thost.trader import Row

_BACK_OFF_S: Final = 1.0


class Standin:
    """One library of its own: two of them share nothing. Takes the place of both modules of the vendor."""

    THOST_TERT_QUICK = 2

    def __init__(
        self,
        depth: Depth,
        rows: Sequence[Row],
        *,
        nights: bool,
        retry_s: float = _BACK_OFF_S,
        reconnect_s: float = _BACK_OFF_S,
    ) -> None:
        """``rows`` is the contract list. Pauses: ``retry_s`` after a front that accepts and closes, else the other."""
        self.quotes = Quotes(rows, depth, nights=nights)
        self.retry_s = retry_s
        self.reconnect_s = reconnect_s
        self.refusal: tuple[int, str] | None = None
        """Set: every login is refused with this number and text."""
        self.apis: list[MdApi] = []
        """Market-data objects that were created, in order: a test drives its line by them."""
        self.CThostFtdcDepthMarketDataField = swig.struct_class("Depth", swig.depth_members(depth))
        self.CThostFtdcReqUserLoginField = swig.struct_class("Login", swig.LOGIN)
        self.CThostFtdcReqAuthenticateField = swig.struct_class("Authenticate", swig.AUTHENTICATE)
        self.CThostFtdcRspUserLoginField = swig.struct_class("LoginAnswer", [("TradingDay", ctypes.c_char * 9)])
        self.CThostFtdcRspInfoField = swig.struct_class("Info", swig.INFO)
        self.CThostFtdcSpecificInstrumentField = swig.struct_class("Specific", [("InstrumentID", swig.TEXT)])
        self.CThostFtdcQryInstrumentField = swig.struct_class("Query", [("InstrumentID", swig.TEXT)])
        self.CThostFtdcMdSpi = type("CThostFtdcMdSpi", (), {})
        self.CThostFtdcTraderSpi = type("CThostFtdcTraderSpi", (), {})
        self.CThostFtdcMdApi = SimpleNamespace(CreateFtdcMdApi=self._create)
        self.CThostFtdcTraderApi = SimpleNamespace(CreateFtdcTraderApi=lambda _flow: TraderApi(self))
        self._instrument = swig.struct_class("Instrument", swig.instrument_members(rows[0])) if rows else None

    def _create(self, flow: str) -> MdApi:
        api = MdApi(self, flow)
        self.apis.append(api)
        return api

    def info(self, number: int = 0, text: str = "") -> Any:
        """A CThostFtdcRspInfoField."""
        made = self.CThostFtdcRspInfoField()
        made.ErrorID, made.ErrorMsg = number, text
        return made

    def specific(self, code: str) -> Any:
        """A CThostFtdcSpecificInstrumentField."""
        made = self.CThostFtdcSpecificInstrumentField()
        made.InstrumentID = code
        return made

    def instrument(self, row: Row) -> Any:
        """A CThostFtdcInstrumentField of a row."""
        assert self._instrument is not None  # noqa: S101 - there are rows
        made = self._instrument()
        for name, value in row.items():
            setattr(made, name, value)
        return made
