"""The counter of the CTP family's stand-in library: what its plugins are asked by."""

# ruff: noqa: N802 - the vendor fixes the names

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from gateway.model import Account, Instrument, LineId
from gateway.ports import FeedSource
from gateway.testing.catalogue_cards import CataloguePlace
from gateway.testing.counter import AUTH_CODE, PASSWORD, Counter
from gateway.thost.standin import STANDIN
from gateway.thost.standin.api import MdApi
from gateway.thost.standin.library import Standin

_FRONT: Final = "tcp://standin:1"
_BACK_S: Final = 0.02
_ERROR: Final = 3
_NO_DAY: Final = {"TradingDay": "20251399", "ActionDay": "20251399"}


class SteeredApi(MdApi):
    """Sends when it is told to, and remembers who listened."""

    def __init__(self, standin: Standin, flow: str) -> None:
        super().__init__(standin, flow)
        self.heard_by: list[Any] = []
        self.stay_silent()

    def RegisterSpi(self, spi: Any) -> None:
        if spi is not None:
            self.heard_by.append(spi)
        super().RegisterSpi(spi)

    def send_to_subscribers(self, code: str, **fields: Any) -> None:
        """If it is subscribed, judged on the thread that changes that."""
        self._put(self._send_if_subscribed, code, fields)

    def _send_if_subscribed(self, code: str, fields: dict[str, Any]) -> None:
        if code in self._subscribed:
            self.send(code, **fields)

    def call_late(self, code: str) -> None:
        """What the vendor's thread would call, on this thread, also after Release."""
        for spi in self.heard_by:
            for name, value in self._standin.quotes.snapshot(code, self._standin.quotes.step_at(0)).items():
                setattr(self._field, name, value)
            spi.OnRtnDepthMarketData(self._field)
            spi.OnRspSubMarketData(self._standin.specific(code), None, 0, True)
            spi.OnFrontDisconnected(0x1001)
            spi.OnFrontConnected()


class StandinCounter(Counter):
    """A plugin's subclass sets ``kind`` and ``library``. In a child process the stand-in streams by itself."""

    library: Callable[[], Standin]
    """Makes a stand-in; a staticmethod."""
    remote = True

    def __init__(self) -> None:
        self._standins: list[Standin] = []
        self._refusal: tuple[int, str] | None = None
        self._sent = 0
        rows = list(type(self).library().quotes.rows.values())
        self.instruments = tuple(Instrument(str(row["ExchangeID"]), str(row["InstrumentID"])) for row in rows[:2])
        self.unknown = Instrument(self.instruments[0].exchange, "nothing")

    def account(self, name: str = "primary") -> Account:
        return Account(
            name=name,
            user_id="16021988",
            broker_id="9999",
            md_address=_FRONT,
            secrets={"password": PASSWORD, "auth_code": AUTH_CODE},
        )

    def options(self) -> dict[str, Any]:
        return {"native_module": STANDIN}

    def build(self, account: Account, line: LineId, options: Mapping[str, Any]) -> FeedSource:
        standin = type(self).library()
        standin.reconnect_s, standin.refusal = _BACK_S, self._refusal
        standin.CThostFtdcMdApi = SimpleNamespace(CreateFtdcMdApi=partial(_created, standin))
        self._standins.append(standin)
        # the factory of the family's plugins takes the library, so that each source has one of its own
        factory: Callable[..., FeedSource] = self.kind.factory
        return factory(account, line, options, load=lambda: standin)

    async def send(self, instrument: Instrument) -> None:
        self._sent += 1
        for api in self._apis:
            api.send_to_subscribers(instrument.code, Volume=self._sent, UpdateMillisec=self._sent)

    async def drop(self) -> None:
        for api in self._apis:
            api.hang_up()

    async def refuse(self, words: str) -> None:
        self._refusal = (_ERROR, words)

    async def send_bad(self) -> None:
        for api in self._apis:
            api.send_to_subscribers(self.instruments[0].code, **_NO_DAY)

    async def late(self) -> None:
        for api in self._apis:
            await asyncio.to_thread(api.call_late, self.instruments[0].code)

    @property
    def _apis(self) -> list[SteeredApi]:
        return [api for standin in self._standins for api in standin.apis if isinstance(api, SteeredApi)]


def _created(standin: Standin, flow: str) -> SteeredApi:
    api = SteeredApi(standin, flow)
    standin.apis.append(api)
    return api


class StandinList(CataloguePlace):
    """The contract list of the stand-in's trader front. A plugin's subclass sets ``kind``."""

    def account(self) -> Account:
        return Account(
            name="primary",
            user_id="16021988",
            broker_id="9999",
            app_id="feedgate",
            td_address=_FRONT,
            secrets={"password": PASSWORD, "auth_code": AUTH_CODE},
        )

    def options(self) -> dict[str, Any]:
        return {"native_module": STANDIN}
