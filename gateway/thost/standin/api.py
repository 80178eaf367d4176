"""The stand-in's API objects. Like the vendor's: one thread each, all callbacks on it."""

# ruff: noqa: N802 - the vendor fixes the names

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from gateway.clock import SystemClock
from gateway.thost import dates
from gateway.thost.standin.front import REFUSED, UNKNOWN, WRONG_PASSWORD, Front, Manner, read_front

if TYPE_CHECKING:
    from gateway.thost.standin.library import Standin

_CONNECT_S: Final = 0.005
_READ_FAILED: Final = 0x1001
_NOT_CONNECTED: Final = -1
_NEVER: Final = 3600.0

_Work = tuple[Callable[..., object], tuple[Any, ...]]


class Api:
    """What both API objects do: fronts, a thread, a session. Methods may be called from any thread."""

    def __init__(self, standin: Standin) -> None:
        self._standin = standin
        self._spi: Any = None
        self._fronts: list[Front] = []
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._released = False
        self._front: Front | None = None
        self._connected = False
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._due_number = 0
        self._silent = False

    # -- the vendor's names

    def RegisterSpi(self, spi: Any) -> None:
        """None: no callback any more."""
        self._spi = spi

    def RegisterFront(self, address: str) -> None:
        """The first one that answers is used."""
        self._fronts.append(read_front(address))

    def Init(self) -> None:
        """Begin to connect. Returns at once."""
        live = [front for front in self._fronts if front.manner is not Manner.SILENT]
        self._front = live[0] if live else None
        self._thread = threading.Thread(target=self._run, name="standin", daemon=True)
        self._thread.start()
        if self._front is not None:
            self._later(_CONNECT_S, self._connect)

    def Release(self) -> None:
        """Ends the thread; not to be called on it."""
        self._released = True
        self._work.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def GetTradingDay(self) -> str:
        """As after a login."""
        return self._standin.quotes.trading_day(SystemClock().wall_ns())

    # -- for tests and drills

    def hang_up(self, reason: int = _READ_FAILED) -> None:
        """The front ends the session; the library connects again, as the vendor's does."""
        self._put(self._disconnect, reason, self._standin.reconnect_s)

    def storm(self, calls: int, reason: int = _READ_FAILED) -> None:
        """So many disconnects one after another, without a pause."""
        for _ in range(calls):
            self._put(self._tell, "OnFrontDisconnected", reason)

    def stay_silent(self, silent: bool = True) -> None:
        """Keep the session, send nothing."""
        self._silent = silent

    # -- on the thread

    def _run(self) -> None:
        while not self._released:
            now = SystemClock.monotonic()
            while self._due and self._due[0][0] <= now:
                self._due.pop(0)[2]()
            wait = min(self._due[0][0] - now, _NEVER) if self._due else _NEVER
            try:
                work = self._work.get(timeout=max(wait, 0.0))
            except queue.Empty:
                continue
            if work is not None:
                call, arguments = work
                call(*arguments)

    def _put(self, call: Callable[..., object], *arguments: Any) -> None:
        self._work.put((call, arguments))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def note() -> None:
            self._due_number += 1
            self._due.append((SystemClock.monotonic() + seconds, self._due_number, call))
            self._due.sort(key=lambda due: due[:2])

        self._put(note)

    def _tell(self, callback: str, *arguments: Any) -> None:
        spi = self._spi
        if spi is not None and not self._released:
            getattr(spi, callback)(*arguments)

    def _connect(self) -> None:
        front = self._front
        if front is None or self._connected:
            return
        if front.manner is Manner.CLOSES:
            self._tell("OnFrontDisconnected", _READ_FAILED)
            self._later(self._standin.retry_s, self._connect)
            return
        self._connected = True
        self._tell("OnFrontConnected")
        if front.manner is Manner.DROPS:
            self._later(float(front.port), lambda: self._disconnect(_READ_FAILED, self._standin.reconnect_s))

    def _disconnect(self, reason: int, again_s: float) -> None:
        self._connected = False
        self._session_ended()
        self._tell("OnFrontDisconnected", reason)
        self._later(again_s, self._connect)

    def _session_ended(self) -> None:
        """For subclasses."""

    def _info(self, number: int = 0, text: str = "") -> Any:
        return self._standin.info(number, text)

    def _login_error(self, user: str, password: str) -> tuple[int, str] | None:
        if self._front is not None and self._front.manner is Manner.REFUSES:
            return REFUSED
        return None if user and password and password != WRONG_PASSWORD else REFUSED

    def _log_in(self, field: Any, request: int) -> int:
        if not self._connected:
            return _NOT_CONNECTED
        error = self._standin.refusal or self._login_error(str(field.UserID), str(field.Password))
        self._put(self._answer_login, error, request)
        return 0

    def _answer_login(self, error: tuple[int, str] | None, request: int) -> None:
        answer = self._standin.CThostFtdcRspUserLoginField()
        answer.TradingDay = "" if error else self.GetTradingDay()
        self._tell("OnRspUserLogin", answer, self._info(*(error or (0, ""))), request, True)


class MdApi(Api):
    """CThostFtdcMdApi."""

    def __init__(self, standin: Standin, flow: str) -> None:
        super().__init__(standin)
        self.flow = flow
        self._subscribed: set[str] = set()
        self._logged_in = False
        self._step: int | None = None
        self._field = standin.CThostFtdcDepthMarketDataField()

    def ReqUserLogin(self, field: Any, request: int) -> int:
        """The answer comes on the thread."""
        return self._log_in(field, request)

    def SubscribeMarketData(self, codes: Sequence[bytes], count: int) -> int:
        """One answer a contract, on the thread."""
        return self._order(self._subscribe, codes, count)

    def UnSubscribeMarketData(self, codes: Sequence[bytes], count: int) -> int:
        """One answer a contract, on the thread."""
        return self._order(self._unsubscribe, codes, count)

    def send(self, code: str, **fields: Any) -> None:
        """One tick of a contract, for tests: a typical snapshot with some fields changed."""
        self._put(self._send, code, self._standin.quotes.step_at(SystemClock().wall_ns()), fields)

    def _order(self, call: Callable[[str], None], codes: Sequence[bytes], count: int) -> int:
        if not self._logged_in:
            return _NOT_CONNECTED
        for code in codes[:count]:
            self._put(call, code.decode("gb18030"))
        return 0

    def _answer_login(self, error: tuple[int, str] | None, request: int) -> None:
        self._logged_in = error is None
        super()._answer_login(error, request)
        if self._logged_in:
            self._step = None
            self._tick()

    def _session_ended(self) -> None:
        self._logged_in = False
        self._subscribed.clear()

    def _subscribe(self, code: str) -> None:
        known = code in self._standin.quotes.rows
        if known:
            self._subscribed.add(code)
        self._tell("OnRspSubMarketData", self._standin.specific(code), self._info(*(() if known else UNKNOWN)), 0, True)

    def _unsubscribe(self, code: str) -> None:
        self._subscribed.discard(code)
        self._tell("OnRspUnSubMarketData", self._standin.specific(code), self._info(), 0, True)

    def _tick(self) -> None:
        """One round of the market, and the appointment for the next: at the same moments in every process."""
        if not self._logged_in:
            return
        quotes, wall_ns = self._standin.quotes, SystemClock().wall_ns()
        step = quotes.step_at(wall_ns)
        if step != self._step and not self._silent:
            for code in sorted(self._subscribed):
                self._send(code, step, {})
        self._step = step
        self._later((quotes.time_of(step + 1) - wall_ns) / dates.SECOND_NS, self._tick)

    def _send(self, code: str, step: int, changes: dict[str, Any]) -> None:
        for name, value in (self._standin.quotes.snapshot(code, step) | changes).items():
            setattr(self._field, name, value)
        self._tell("OnRtnDepthMarketData", self._field)


class TraderApi(Api):
    """CThostFtdcTraderApi, as far as the contract list needs it."""

    def SubscribePrivateTopic(self, kind: int) -> None:
        """Taken, and nothing more."""

    def SubscribePublicTopic(self, kind: int) -> None:
        """Taken, and nothing more."""

    def ReqAuthenticate(self, field: Any, request: int) -> int:
        """Every terminal is welcome."""
        self._put(self._tell, "OnRspAuthenticate", field, self._info(), request, True)
        return 0

    def ReqUserLogin(self, field: Any, request: int) -> int:
        """The answer comes on the thread."""
        return self._log_in(field, request)

    def ReqQryInstrument(self, field: Any, request: int) -> int:  # noqa: ARG002 - the vendor's parameters
        """One callback a contract."""
        self._put(self._list, request)
        return 0

    def _list(self, request: int) -> None:
        rows = list(self._standin.quotes.rows.values())
        for number, row in enumerate(rows, start=1):
            self._tell("OnRspQryInstrument", self._standin.instrument(row), None, request, number == len(rows))
