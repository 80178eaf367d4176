"""The feeder without a compiler or a vendor library: a Python thread that calls the same callback.

It shares the interpreter lock with the code under test and holds a Python thread state anyway, so it shows neither
the cost of a foreign thread nor the full speed. Reports say ``sim`` when it was used. Python has no compare-and-swap
over shared memory, so of a pair of lines the first one stamps every tick and the second one waits for the stamp.
"""

from __future__ import annotations

import ctypes
import threading
import time
from datetime import datetime
from typing import Any

from bench.control import (
    CONSUMED,
    FEEDER_NS,
    FIRST_NS,
    OFFERED,
    PEER,
    PHASE,
    RING,
    RUN,
    STAMPS,
    STOP,
    WARM,
    Control,
)
from bench.load import EXCHANGE, Load, code_of, last_of
from gateway.clock import SystemClock
from gateway.model import SHANGHAI

NO_VALUE = 1.7976931348623157e308

_HEAD = [("TradingDay", 9), ("reserve1", 31), ("ExchangeID", 9), ("reserve2", 31)]
_PRICES = ["LastPrice", "PreSettlementPrice", "PreClosePrice", "PreOpenInterest"]
_PRICES += ["OpenPrice", "HighestPrice", "LowestPrice"]
_REST = ["Turnover", "OpenInterest", "ClosePrice", "SettlementPrice", "UpperLimitPrice", "LowerLimitPrice"]
_REST += ["PreDelta", "CurrDelta"]


class _Struct(ctypes.Structure):
    """The depth struct of CTP 6.7.11 with the SWIG names; characters are read through :class:`Depth`."""

    _fields_ = [
        *((f"{name}_", ctypes.c_char * size) for name, size in _HEAD),
        *((name, ctypes.c_double) for name in _PRICES),
        ("Volume", ctypes.c_int),
        *((name, ctypes.c_double) for name in _REST),
        ("UpdateTime_", ctypes.c_char * 9),
        ("UpdateMillisec", ctypes.c_int),
        *(
            (f"{side}{name}{level}", ctypes.c_double if name == "Price" else ctypes.c_int)
            for level in range(1, 6)
            for side in ("Bid", "Ask")
            for name in ("Price", "Volume")
        ),
        ("AveragePrice", ctypes.c_double),
        ("ActionDay_", ctypes.c_char * 9),
        ("InstrumentID_", ctypes.c_char * 81),
        ("ExchangeInstID_", ctypes.c_char * 81),
        ("BandingUpperPrice", ctypes.c_double),
        ("BandingLowerPrice", ctypes.c_double),
    ]


class Depth:
    """Looks like a SWIG field: attributes with text, and ``this`` is the address."""

    def __init__(self) -> None:
        self.struct = _Struct()
        self.this = ctypes.addressof(self.struct)

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self.struct, name)
        except AttributeError:
            return getattr(self.struct, f"{name}_").decode("gb18030")


class CThostFtdcMdSpi:
    """Stands where the SWIG director stands."""


class Feeder:
    """Offers the load to ``spi.OnRtnDepthMarketData`` from a thread of its own."""

    def __init__(self, spi: Any, load: Load) -> None:
        self._deliver = spi.OnRtnDepthMarketData
        self._load = load
        self._control = Control(load.control)
        self._stopping = threading.Event()
        self._offered = 0
        self._second = 0
        self._volumes = [0] * load.instruments
        self._codes = [code_of(index).encode() for index in range(load.instruments)]
        self._wall_ns = SystemClock().wall_ns
        self._field = Depth()
        depth = self._field.struct
        depth.ExchangeID_ = EXCHANGE.encode()
        depth.PreSettlementPrice, depth.PreClosePrice = 3111, 3112
        depth.OpenPrice, depth.HighestPrice, depth.LowestPrice = 3100, 3130, 3090
        depth.OpenInterest, depth.UpperLimitPrice, depth.LowerLimitPrice = 1.5e6, 3400, 2800
        depth.ClosePrice = depth.SettlementPrice = depth.PreDelta = depth.CurrDelta = NO_VALUE
        depth.AveragePrice = 31102.5
        self._thread = threading.Thread(target=self._run, name="bench-sim")
        self._thread.start()

    def stop(self) -> None:
        """Blocks until the thread has ended. Idempotent."""
        self._stopping.set()
        self._thread.join()
        self._control.close()

    def _ended(self) -> bool:
        return self._stopping.is_set() or self._control.words[PHASE] == STOP

    def _wait_for(self, phase: int) -> bool:
        while self._control.words[PHASE] < phase and not self._ended():
            time.sleep(0.0005)
        return not self._ended()

    def _run(self) -> None:
        load = self._load
        if not self._wait_for(WARM):
            return
        for _ in range(load.warm):
            if not self._offer_when_room(min(512, load.window)):
                return
        if not self._wait_for(RUN):
            return
        start = self._start()
        for number in range(load.total):
            if not load.rate:
                if not self._offer_when_room(load.window):
                    return
                continue
            intended = start + number * 1_000_000_000 // load.rate
            while (ahead := intended - self._wall_ns()) > 0:
                self._pace(ahead / 1e9)
            if self._ended():
                return
            self._offer(intended)

    def _start(self) -> int:
        """When the measurement begins; the first line says it."""
        words = self._control.words
        if not self._load.place:
            words[FIRST_NS] = self._wall_ns()
        while not words[FIRST_NS] and not self._ended():
            self._pace(0.00005)
        return words[FIRST_NS]

    def _pace(self, seconds: float) -> None:
        before = time.thread_time_ns()
        time.sleep(seconds)
        self._control.words[FEEDER_NS + PEER * self._load.place] += time.thread_time_ns() - before

    def _offer_when_room(self, window: int) -> bool:
        words = self._control.words
        while self._offered - words[CONSUMED] >= window or self._is_ahead(window):
            if self._ended():
                return False
            self._pace(0.00005)
        if self._ended():
            return False
        self._offer(self._stamp())
        return True

    def _is_ahead(self, window: int) -> bool:
        """Whether a pair's other feeder must come first: the second one follows, the first one waits when far ahead."""
        if self._load.lines == 1:
            return False
        words = self._control.words
        if self._load.place:
            return bool(words[OFFERED] <= self._offered)
        return bool(self._offered - words[OFFERED + PEER] >= window)

    def _stamp(self) -> int:
        if self._load.lines == 1:
            return self._wall_ns()
        slot = STAMPS + self._offered % RING
        words = self._control.words
        if not self._load.place:
            words[slot] = self._wall_ns()
        return words[slot]

    def _offer(self, intended: int) -> None:
        which = self._offered % len(self._volumes)
        self._volumes[which] += 1
        depth = self._field.struct
        second, ns = divmod(intended, 1_000_000_000)
        if second != self._second:
            self._second = second
            moment = datetime.fromtimestamp(second, SHANGHAI)
            depth.UpdateTime_ = moment.strftime("%H:%M:%S").encode()
            depth.TradingDay_ = depth.ActionDay_ = moment.strftime("%Y%m%d").encode()
        depth.UpdateMillisec = ns // 1_000_000
        depth.InstrumentID_ = self._codes[which]
        depth.Volume = self._volumes[which]
        depth.Turnover, depth.PreOpenInterest = float(second), float(ns)
        last = last_of(self._offered)
        depth.LastPrice = depth.AskPrice1 = last
        depth.BidPrice1 = last - 1
        depth.BidVolume1, depth.AskVolume1 = 12, 7
        self._offered += 1
        self._control.words[OFFERED + PEER * self._load.place] = self._offered
        self._deliver(self._field)


assert ctypes.sizeof(_Struct) == 584, "the depth struct of CTP 6.7.11 has 584 bytes"  # noqa: S101 - at import
