"""SoptSource on the stand-in of its library; the real one is in tests/native."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from gateway_sopt.source import SoptSource
from gateway_sopt.standin import library

from gateway.errors import LineError
from gateway.model import Account, Instrument, LineId
from gateway.ports import ParsingSource
from gateway.thost import source as source_module
from gateway.thost.standin.front import WRONG_PASSWORD
from gateway.thost.standin.library import Standin
from plugins.sopt.tests.told_sink import ToldSink

LINE = LineId("sopt", "primary")
FIRST, SECOND = Instrument("SSE", "10000001"), Instrument("SZSE", "90000001")


def account(front: str = "tcp://standin:1", password: str = "secret-word") -> Account:
    return Account(
        name="primary", broker_id="9999", user_id="160219", md_address=front, secrets={"password": password}
    )  # fmt: skip


class Rig:
    def __init__(self, one: Account | None = None) -> None:
        self.library: Standin = library()
        self.library.reconnect_s = 0.01
        self.sink = ToldSink()
        self.source = SoptSource(one or account(), LINE, {"native_module": "standin"}, load=lambda: self.library)

        self.left: list[threading.Thread] = []
        """Threads of the library that outlived the closing of the source."""

    @property
    def api(self):
        return self.library.apis[0]


def standin_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "standin"]


@asynccontextmanager
async def running(one: Account | None = None) -> AsyncIterator[Rig]:
    rig = Rig(one)
    await rig.source.start(rig.sink)
    try:
        yield rig
    finally:
        await rig.source.aclose()
        rig.left = standin_threads()
        for api in rig.library.apis:  # what could not be released safely is left to its process, here to us
            api.Release()


@pytest.fixture(autouse=True)
def short_quiet(monkeypatch):
    monkeypatch.setattr(source_module, "QUIET_S", 0.02)
    monkeypatch.setattr(source_module, "QUIET_TIMEOUT_S", 0.2)


async def test_a_line_logs_in_subscribes_and_gets_ticks_that_parse():
    async with running() as rig:
        assert isinstance(rig.source, ParsingSource)
        await rig.sink.told("logged_in")
        await rig.source.subscribe([FIRST, SECOND])
        await rig.sink.told("confirmed", 2)
        await rig.sink.until(lambda: len(rig.sink.raws) >= 4)
        rejects: list[str] = []
        ticks = rig.source.parse([(0, record) for record in rig.sink.raws], rejects.append)
        assert rejects == []
        assert {tick.instrument for tick in ticks} == {FIRST, SECOND}
        assert rig.sink.threads - {threading.current_thread().name} == {"standin"}
    assert rig.left == []


async def test_the_exchange_is_the_one_that_was_asked_for_when_the_counter_names_none():
    async with running() as rig:
        await rig.sink.told("logged_in")
        await rig.source.subscribe([FIRST])
        rig.api.send("10000001", ExchangeID="", LastPrice=0.1234)
        await rig.sink.until(lambda: rig.sink.raws)
        ticks = rig.source.parse([(0, rig.sink.raws[-1])], pytest.fail)
        assert ticks[0].instrument == FIRST


async def test_a_contract_that_the_counter_does_not_list_is_refused_in_its_words_and_the_others_are_not():
    async with running() as rig:
        await rig.sink.told("logged_in")
        await rig.source.subscribe([Instrument("SSE", "19999999"), FIRST])
        assert await rig.sink.told("refused") == ("SSE.19999999", "16 CTP:找不到合约")
        assert await rig.sink.told("confirmed") == ["SSE.10000001"]


async def test_unsubscribed_contracts_send_no_more_ticks():
    async with running() as rig:
        await rig.sink.told("logged_in")
        await rig.source.subscribe([FIRST, SECOND])
        await rig.sink.until(lambda: len(rig.sink.raws) >= 2)
        await rig.source.unsubscribe([FIRST])
        assert await rig.sink.told("unsubscribed") == ["SSE.10000001"]
        before = len(rig.sink.raws)
        await rig.sink.until(lambda: len(rig.sink.raws) >= before + 2)
        ticks = rig.source.parse([(0, record) for record in rig.sink.raws[before:]], pytest.fail)
        assert {tick.instrument for tick in ticks} == {SECOND}


@pytest.mark.parametrize(
    "one", [account("tcp://refuses.standin:1"), account(password=WRONG_PASSWORD)], ids=["front", "password"]
)
async def test_a_refused_login_is_told_with_the_vendors_words_and_without_the_password(one):
    async with running(one) as rig:
        assert await rig.sink.told("refused") == "login refused: 3 CTP:不合法的登录"
        assert one.secrets["password"] not in str(rig.sink.events)
        with pytest.raises(LineError, match="-1, the network connection is not there"):
            await rig.source.subscribe([FIRST])


async def test_a_lost_session_is_told_and_the_library_comes_back_by_itself():
    async with running() as rig:
        await rig.sink.told("logged_in")
        rig.api.hang_up(0x2001)
        assert await rig.sink.told("lost") == "disconnected: 0x2001 no heartbeat came from the front"
        await rig.sink.told("logged_in", 2)
        await rig.source.subscribe([FIRST])
        await rig.sink.told("confirmed")


async def test_a_front_that_accepts_and_closes_never_says_connected():
    async with running(account("tcp://closes.standin:1")) as rig:
        await rig.sink.told("lost", 30)
        assert rig.sink.of("connected") == []
    after = len(rig.sink.events)
    assert set(rig.sink.of("lost")) == {"disconnected: 0x1001 reading from the network failed"}
    assert len(rig.sink.events) == after


async def test_closing_in_a_storm_returns_and_leaves_the_library_unheard_because_releasing_it_could_crash(caplog):
    async with running(account("tcp://closes.standin:1")) as rig:
        await rig.sink.told("lost")
        await rig.source.aclose()
        told = len(rig.sink.events)
        assert "the vendor library is left running, unheard" in caplog.text
    assert len(rig.left) == 1
    assert len(rig.sink.events) == told


async def test_a_silent_front_is_never_told_and_the_line_closes():
    async with running(account("tcp://silent.standin:1")) as rig:
        with pytest.raises(LineError, match="network connection is not there"):
            await rig.source.subscribe([FIRST])
    assert [kind for kind, _ in rig.sink.events] == ["connecting"]


async def test_two_lines_see_the_same_market_and_share_nothing_else():
    async with running() as one, running() as other:
        for rig in (one, other):
            await rig.sink.told("logged_in")
            await rig.source.subscribe([FIRST])
        await one.sink.until(lambda: set(one.sink.raws) & set(other.sink.raws))
        one.api.hang_up()
        await one.sink.told("lost")
        assert other.sink.of("lost") == []
        assert one.library is not other.library


def test_a_bad_front_or_module_is_refused_when_the_source_is_made():
    with pytest.raises(LineError, match="tcp://HOST:PORT"):
        SoptSource(account("127.0.0.1:1"), LINE, {})
    with pytest.raises(LineError, match="openctp_ctpopt, standin"):
        SoptSource(account(), LINE, {"native_module": "openctp_ctp"})
