"""A library that only remembers its calls: the names, the struct in real memory, no threads, no market."""

# ruff: noqa: N802 - the vendor fixes the names

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

from gateway_ctp.layout import DEPTH

from gateway.thost.standin.swig import depth_members as members_of
from gateway.thost.standin.swig import struct_class as _swig_struct


def depth_members() -> list[tuple[str, Any]]:
    return members_of(DEPTH)


class Api:
    """Remembers the calls; answers with ``codes[method]``, else 0."""

    def __init__(self, flow: str, codes: dict[str, int]) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = [("Create", (flow,))]
        self.codes = codes
        self.spi: Any = None

    def RegisterSpi(self, spi: Any) -> None:
        self.spi = spi
        self.calls.append(("RegisterSpi", (spi,)))

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append((name, arguments))
            return self.codes.get(name, 0)

        return call

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class MarketDataModule:
    """Stands in for ``thostmduserapi``."""

    def __init__(self, members: list[tuple[str, Any]] | None = None) -> None:
        text = ctypes.c_char * 81
        self.CThostFtdcDepthMarketDataField = _swig_struct("Depth", members or depth_members())
        login = [("BrokerID", ctypes.c_char * 11), ("UserID", ctypes.c_char * 16), ("Password", ctypes.c_char * 41)]
        self.CThostFtdcReqUserLoginField = _swig_struct("Login", login)
        self.CThostFtdcRspUserLoginField = _swig_struct("LoginAnswer", [("TradingDay", ctypes.c_char * 9)])
        self.CThostFtdcRspInfoField = _swig_struct("Info", [("ErrorID", ctypes.c_int), ("ErrorMsg", text)])
        self.CThostFtdcSpecificInstrumentField = _swig_struct("Specific", [("InstrumentID", text)])
        self.CThostFtdcMdSpi = type("Spi", (), {})
        self.apis: list[Api] = []
        self.codes: dict[str, int] = {}
        self.CThostFtdcMdApi = SimpleNamespace(CreateFtdcMdApi=self._create)

    def _create(self, flow: str) -> Api:
        self.apis.append(Api(flow, self.codes))
        return self.apis[-1]

    def info(self, number: int, text: str = "") -> Any:
        made = self.CThostFtdcRspInfoField()
        made.ErrorID, made.ErrorMsg = number, text
        return made

    def specific(self, code: str) -> Any:
        made = self.CThostFtdcSpecificInstrumentField()
        made.InstrumentID = code
        return made

    def login_answer(self, day: str) -> Any:
        made = self.CThostFtdcRspUserLoginField()
        made.TradingDay = day
        return made
