"""A pure-Python stand-in for the vendor's SWIG modules: the names, the struct in real memory, no threads."""

# ruff: noqa: N802 - the vendor fixes the names

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

from gateway_ctp.layout import FIELDS

from plugins.ctp.tests.records import _COUNTS, _TEXTS

_SIZES = {"InstrumentID": 81, "ExchangeInstID": 81, "reserve1": 31, "reserve2": 31}


class _Address:
    def __init__(self, memory: ctypes.Structure) -> None:
        self._memory = memory

    def __int__(self) -> int:
        return ctypes.addressof(self._memory)


def _swig_struct(name: str, members: list[tuple[str, Any]]) -> type:
    memory = type(f"{name}Memory", (ctypes.Structure,), {"_fields_": members})

    def init(self: Any) -> None:
        self._memory = memory()
        self.this = _Address(self._memory)

    def member(key: str) -> property:
        def get(self: Any) -> Any:
            value = getattr(self._memory, key)
            return value.decode("gb18030") if isinstance(value, bytes) else value

        def put(self: Any, value: Any) -> None:
            setattr(self._memory, key, value.encode("gb18030") if isinstance(value, str) else value)

        return property(get, put)

    return type(name, (), {"__init__": init, **{key: member(key) for key, _ in members}})


def depth_members() -> list[tuple[str, Any]]:
    def kind(name: str) -> Any:
        if name in _TEXTS:
            return ctypes.c_char * _SIZES.get(name, 9)
        return ctypes.c_int if name in _COUNTS else ctypes.c_double

    return [(name, kind(name)) for name in FIELDS]


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
