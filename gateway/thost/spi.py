"""The callbacks. They run on the vendor's thread: copy, tell the sink, return. They never block, raise or log."""

# ruff: noqa: ARG002, N802 - the vendor fixes the names and the parameters of the callbacks

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from gateway.model import Instrument, LineState
from gateway.ports import TickSink
from gateway.thost.dates import parse_day
from gateway.thost.layout import Depth
from gateway.thost.words import SENT, disconnect_text, failed, words


class Silence:
    """A sink for the time after closing: drops everything, and counts it so that one can wait for the end of it."""

    def __init__(self) -> None:
        self.dropped = 0

    def _drop(self, *_: object) -> None:
        self.dropped += 1

    tick = raw = state = confirmed = refused = unsubscribed = reject = _drop


class Callbacks:
    """CThostFtdcMdSpi's methods but the tick's, without the vendor's base class (see :func:`build`)."""

    def __init__(
        self,
        sink: TickSink,
        *,
        login: Callable[[], int] | None = None,
        instrument_of: Callable[[str], Instrument | None] | None = None,
    ) -> None:
        """``login`` sends the login request. ``instrument_of`` knows the instrument of a bare code."""
        super().__init__()
        self._sink: TickSink | Silence = sink
        self._raw: Callable[[bytes], None] = sink.raw
        self._login = login
        self._instrument_of = instrument_of
        self._logging_in = False
        self._thread = threading.local()

    def mute(self, silence: Silence) -> None:
        """From now on callbacks reach nobody. One that is just running may still deliver."""
        self._sink = silence
        self._raw = silence.raw
        self._login = None

    def _pin(self) -> None:
        """Keep this native thread's Python state, which would else be made anew for each callback (10 µs).

        The Ensure is never matched by a Release: the state goes with the process. The mark is thread-local, and a
        thread whose state was thrown away has lost its mark, too, so exactly one Ensure outlives a callback.
        """
        self._thread.pinned = True
        ctypes.pythonapi.PyGILState_Ensure()

    # The vendor fixes the names from here on.

    def OnFrontConnected(self) -> None:
        """The TCP connection stands: log in, each time anew."""
        self._pin_once()
        self._sink.state(LineState.CONNECTED)
        login = self._login
        if login is None:
            return
        self._logging_in = True
        code = login()
        if code:
            self._logging_in = False
            self._sink.state(LineState.LOST, f"login not sent: {code} {SENT.get(code, 'unknown code')}")

    def OnFrontDisconnected(self, reason: int) -> None:
        """The connection is gone; the vendor connects again by itself."""
        self._pin_once()
        self._logging_in = False
        self._sink.state(LineState.LOST, disconnect_text(reason))

    def OnHeartBeatWarning(self, seconds: int) -> None:
        """The vendor's documentation: not called any more."""

    def OnRspUserLogin(self, login: Any, info: Any, request: int, last: bool) -> None:
        """The login's answer."""
        self._pin_once()
        self._logging_in = False
        if failed(info):
            self._sink.state(LineState.REFUSED, f"login refused: {words(info)}")
            return
        day = str(login.TradingDay) if login is not None else ""
        if parse_day(day.replace("-", "").encode("ascii", "replace")) is None:
            self._sink.state(LineState.LOST, f"login answered with trading day {day!r}: the front is not ready")
            return
        self._sink.state(LineState.LOGGED_IN, f"trading day {day}")

    def OnRspUserLogout(self, logout: Any, info: Any, request: int, last: bool) -> None:
        """We never ask for it, so the front did it."""
        self._pin_once()
        self._sink.state(LineState.LOST, "logged out by the front")

    def OnRspError(self, info: Any, request: int, last: bool) -> None:
        """A request failed as a whole; while a login is open it is the login."""
        self._pin_once()
        if self._logging_in and failed(info):
            self._logging_in = False
            self._sink.state(LineState.REFUSED, f"login refused: {words(info)}")

    def OnRspSubMarketData(self, field: Any, info: Any, request: int, last: bool) -> None:
        """One contract's subscription was accepted or refused; the vendor names a bare code."""
        self._pin_once()
        instrument = self._find(field)
        if instrument is None:
            return
        if failed(info):
            self._sink.refused(instrument, words(info))
        else:
            self._sink.confirmed((instrument,))

    def OnRspUnSubMarketData(self, field: Any, info: Any, request: int, last: bool) -> None:
        """One contract is off."""
        self._pin_once()
        instrument = self._find(field)
        if instrument is not None and not failed(info):
            self._sink.unsubscribed((instrument,))

    def _find(self, field: Any) -> Instrument | None:
        if field is None or self._instrument_of is None:
            return None
        return self._instrument_of(str(field.InstrumentID))

    def _pin_once(self) -> None:
        if not hasattr(self._thread, "pinned"):
            self._pin()


def copying(depth: Depth) -> type[Callbacks]:
    """Callbacks for a library whose struct is the known one."""

    class Copying(Callbacks):
        def OnRtnDepthMarketData(self, field: Any, _at_address: Any = depth.at_address) -> None:
            """A tick: copy the struct, hand it over."""
            try:
                self._thread.pinned  # noqa: B018 - whether it is there is the question
            except AttributeError:
                self._pin()
            try:
                self._raw(_at_address(int(field.this)).raw)
            except Exception:  # noqa: BLE001 - an exception would be printed by the vendor's wrapper and lost
                self._sink.reject("callback")

    return Copying


def reading(depth: Depth) -> type[Callbacks]:
    """Callbacks for a library whose struct is another one."""

    class Reading(Callbacks):
        def OnRtnDepthMarketData(self, field: Any, *_: Any) -> None:
            """A tick, read attribute by attribute."""
            self._pin_once()
            try:
                self._raw(depth.from_attributes(field))
            except Exception:  # noqa: BLE001 - an exception would be printed by the vendor's wrapper and lost
                self._sink.reject("callback")

    return Reading


def build(sink: TickSink, module: Any, callbacks: type[Callbacks], **wiring: Any) -> Any:
    """An object that ``RegisterSpi`` takes: the callbacks on top of the module's SWIG director class."""
    return type("MarketDataSpi", (callbacks, module.CThostFtdcMdSpi), {})(sink, **wiring)


def make_spi(sink: TickSink, module: Any, depth: Depth) -> Any:
    """A director object without a front or a login, for driving the callbacks from native code.

    ``int(spi.this)`` is the address of the C++ ``CThostFtdcMdSpi``. The caller keeps the object alive while it is
    used. ``sink.raw`` gets records of the depth's size.
    """
    found = depth.verify(module)
    return build(sink, module, copying(depth) if found.exact else reading(depth))
