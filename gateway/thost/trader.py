"""The instrument query of the trader API: authenticate, log in, ask, all with our own timers.

Runs in a short-lived process of its own (:mod:`gateway.thost.query_child`): the library may crash it, and writes to
its standard output.
"""

# ruff: noqa: ARG002, N802 - the vendor fixes the names and the parameters of the callbacks

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.clock import Clock
from gateway.errors import CatalogueError
from gateway.model import Account
from gateway.thost.credentials import AUTHENTICATION, LOGIN, fill
from gateway.thost.fronts import parse_fronts
from gateway.thost.words import SENT, disconnect_text, failed, words

_NOT_READY: Final = 90
"""``CTP:查询未就绪``: asked too early after the login; asking again helps."""
_RETRY_S: Final = 1.1
"""The counter takes one query a second."""

Row = dict[str, str | int | float]

COLUMNS: Final = (
    "InstrumentID",
    "ExchangeID",
    "InstrumentName",
    "ProductID",
    "ProductClass",
    "VolumeMultiple",
    "PriceTick",
    "ExpireDate",
    "UnderlyingInstrID",
    "StrikePrice",
    "OptionsType",
)
"""What every counter of the family says about a contract. A library may name more (:class:`~.family.Library`)."""


class _Event(NamedTuple):
    name: str
    error: tuple[int, str] | None = None


class TraderCallbacks:
    """CThostFtdcTraderSpi's methods as far as they are needed; they hand over to a queue and return."""

    def __init__(self, events: queue.SimpleQueue[_Event], rows: list[Row], columns: Sequence[str]) -> None:
        super().__init__()
        self._events = events
        self._rows = rows
        self._columns = columns

    def OnFrontConnected(self) -> None:
        """The TCP connection stands."""
        self._events.put(_Event("connected"))

    def OnFrontDisconnected(self, reason: int) -> None:
        """The connection is gone."""
        self._events.put(_Event("disconnected", (reason, disconnect_text(reason))))

    def OnRspAuthenticate(self, field: Any, info: Any, request: int, last: bool) -> None:
        """The terminal's authentication."""
        self._answer("authenticate", info)

    def OnRspUserLogin(self, field: Any, info: Any, request: int, last: bool) -> None:
        """The login."""
        self._answer("login", info)

    def OnRspError(self, info: Any, request: int, last: bool) -> None:
        """A request failed as a whole."""
        if failed(info):
            self._answer("error", info)

    def OnRspQryInstrument(self, field: Any, info: Any, request: int, last: bool) -> None:
        """One contract, or the end of the list."""
        if failed(info):
            self._answer("instruments", info)
            return
        if field is not None:
            self._rows.append({name: getattr(field, name) for name in self._columns})
        if last:
            self._events.put(_Event("instruments"))

    def _answer(self, name: str, info: Any) -> None:
        self._events.put(_Event(name, (info.ErrorID, words(info)) if failed(info) else None))


class TraderQuery:
    """One query. Blocking; used once."""

    def __init__(
        self,
        module: Any,
        account: Account,
        timers: Mapping[str, float],
        clock: Clock,
        columns: Sequence[str] = COLUMNS,
    ) -> None:
        """``timers``: ``connect``, ``login`` and ``query`` in seconds. ``columns``: fields of a row, all of them."""
        self._module = module
        self._columns = columns
        self._account = account
        self._fronts = parse_fronts(account.td_address)
        self._timers = timers
        self._clock = clock
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._request = 0

    def run(self, flow_dir: str) -> list[Row]:
        """All contracts as the vendor's rows. Raises CatalogueError: with the vendor's words, or what does not fit."""
        module, account, rows = self._module, self._account, list[Row]()
        login = fill(module.CThostFtdcReqUserLoginField(), account, LOGIN, CatalogueError)
        auth = None
        if account.app_id:
            auth = fill(module.CThostFtdcReqAuthenticateField(), account, AUTHENTICATION, CatalogueError)
        spi = type("InstrumentSpi", (TraderCallbacks, module.CThostFtdcTraderSpi), {})(
            self._events, rows, self._columns
        )
        api = module.CThostFtdcTraderApi.CreateFtdcTraderApi(f"{flow_dir}/")
        api.RegisterSpi(spi)
        try:
            api.SubscribePrivateTopic(module.THOST_TERT_QUICK)
            api.SubscribePublicTopic(module.THOST_TERT_QUICK)
            for front in self._fronts:
                api.RegisterFront(front)
            api.Init()
            self._await("connected", self._timers["connect"])
            if auth is not None:
                self._ask("authenticate", api.ReqAuthenticate, auth, self._timers["login"])
            self._ask("login", api.ReqUserLogin, login, self._timers["login"])
            rows.clear()
            self._ask("instruments", api.ReqQryInstrument, module.CThostFtdcQryInstrumentField(), self._timers["query"])
        finally:
            api.RegisterSpi(None)
            api.Release()
        return rows

    def _ask(self, what: str, request: Callable[[Any, int], int], field: Any, seconds: float) -> None:
        """Send and wait; asked again while the counter says that it is too early."""
        deadline = self._clock.monotonic() + seconds
        while True:
            self._request += 1
            code = request(field, self._request)
            if code == 0:
                early = self._await(what, deadline - self._clock.monotonic())
                if not early:
                    return
            elif code not in (-2, -3) or self._clock.monotonic() + _RETRY_S > deadline:
                raise CatalogueError(f"{what} not sent: {code} {SENT.get(code, 'unknown code')}; try again later")
            self._pause()

    def _await(self, what: str, seconds: float) -> bool:
        """Whether ``what`` came, but too early."""
        deadline = self._clock.monotonic() + seconds
        while True:
            try:
                event = self._events.get(timeout=max(deadline - self._clock.monotonic(), 0.001))
            except queue.Empty:
                raise CatalogueError(
                    f"the trader front did not answer ({what}) within {seconds:.0f} s: "
                    f"check {', '.join(self._fronts)} and the service hours of the counter",
                ) from None
            if event.error is not None:
                number, text = event.error
                if what == "instruments" and number == _NOT_READY:
                    return True
                self._refuse(event.name, text)
            if event.name == what:
                return False

    def _refuse(self, name: str, text: str) -> None:
        if name == "disconnected":
            raise CatalogueError(f"the trader front closed the connection ({text}): check its address and hours")
        fix = {
            "authenticate": "check the app id and the auth code of the account",
            "login": "check the user, the password and the broker of the account",
        }.get(name, "try again later")
        raise CatalogueError(f"{name} refused: {text}; {fix}", vendor_text=text)

    def _pause(self) -> None:
        try:
            event = self._events.get(timeout=_RETRY_S)
        except queue.Empty:
            return
        if event.error is not None:
            self._refuse(event.name, event.error[1])
