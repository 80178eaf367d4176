"""CtpSource on a stand-in for the vendor library; the real one is in tests/native."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Self

import msgspec
import pytest
from gateway_ctp.source import CtpSource

from gateway.errors import LineError
from gateway.model import Account, Instrument, LineId
from gateway.ports import ParsingSource
from gateway.thost import source as source_module
from plugins.ctp.tests.recording_sink import RecordingSink
from plugins.ctp.tests.records import record
from plugins.ctp.tests.vendor_standin import MarketDataModule, depth_members

ACCOUNT = Account(
    name="primary", broker_id="9999", user_id="160219", md_address="tcp://127.0.0.1:1,tcp://127.0.0.1:2",
    secrets={"password": "secret-word"},
)  # fmt: skip
RB, IF = Instrument("SHFE", "rb2601"), Instrument("CFFEX", "IF2512")


class Rig:
    def __init__(self, options: dict[str, object] | None = None, members=None, account: Account = ACCOUNT) -> None:
        self.module = MarketDataModule(members)
        self.sink = RecordingSink()
        self.source = CtpSource(account, LineId("ctp", "primary"), options or {}, load=lambda: self.module)

    @property
    def api(self):
        return self.module.apis[0]

    async def __aenter__(self) -> Self:
        await self.source.start(self.sink)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.aclose()


@pytest.fixture(autouse=True)
def short_quiet(monkeypatch):
    monkeypatch.setattr(source_module, "QUIET_S", 0.01)
    monkeypatch.setattr(source_module, "QUIET_TIMEOUT_S", 0.05)


async def test_starting_registers_the_spi_and_the_fronts_before_init_in_a_flow_directory_that_exists():
    async with Rig() as rig:
        assert isinstance(rig.source, ParsingSource)
        assert rig.api.names() == ["Create", "RegisterSpi", "RegisterFront", "RegisterFront", "Init"]
        flow = rig.api.calls[0][1][0]
        assert flow.endswith("/")
        assert Path(flow).is_dir()
    assert not Path(flow).exists()


async def test_a_named_flow_directory_is_one_per_line_and_stays(tmp_path):
    async with Rig({"flow_dir": str(tmp_path)}) as rig:
        assert rig.api.calls[0][1] == (f"{tmp_path}/ctp-primary/",)
    assert (tmp_path / "ctp-primary").is_dir()


async def test_a_flow_directory_that_cannot_be_made_is_named_with_the_fix(tmp_path):
    (tmp_path / "file").touch()
    rig = Rig({"flow_dir": str(tmp_path / "file")})
    with pytest.raises(LineError, match="set the option flow_dir"):
        await rig.source.start(rig.sink)
    await rig.source.aclose()


async def test_each_connection_is_answered_with_a_login():
    async with Rig() as rig:
        spi = rig.api.spi
        spi.OnFrontConnected()
        spi.OnFrontDisconnected(0x2001)
        spi.OnFrontConnected()
        logins = [arguments[0] for name, arguments in rig.api.calls if name == "ReqUserLogin"]
        assert [(f.BrokerID, f.UserID, f.Password) for f in logins] == [("9999", "160219", "secret-word")] * 2
        assert rig.sink.events[1:] == [
            ("connected", ""),
            ("lost", "disconnected: 0x2001 no heartbeat came from the front"),
            ("connected", ""),
        ]
        assert "secret-word" not in str(rig.sink.events)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"broker_id": "99991234567"}, r"the broker_id of account primary does not fit .*BrokerID \(11 bytes\)"),
        ({"user_id": "期货公司客户一号"}, r"the user_id of account primary does not fit .*UserID \(16 bytes\)"),
        ({"secrets": {"password": "secret-word" * 4}}, r"the password of account primary .*Password \(44 bytes\)"),
    ],
)
async def test_an_account_that_does_not_fit_is_refused_at_the_start_and_not_on_the_vendors_thread(change, words):
    rig = Rig(account=msgspec.structs.replace(ACCOUNT, **change))
    with pytest.raises(LineError, match=words) as caught:
        await rig.source.start(rig.sink)
    assert "secret" not in str(caught.value)
    assert rig.module.apis == []
    await rig.source.aclose()


async def test_a_login_that_the_library_does_not_send_is_a_lost_line():
    async with Rig() as rig:
        rig.module.codes["ReqUserLogin"] = -3
        rig.api.spi.OnFrontConnected()
        assert rig.sink.events[-1] == ("lost", "login not sent: -3 too many requests this second")


async def test_a_login_is_good_only_with_a_trading_day():
    async with Rig() as rig:
        spi = rig.api.spi
        spi.OnRspUserLogin(rig.module.login_answer("20251121"), None, 1, True)
        spi.OnRspUserLogin(rig.module.login_answer("20251121"), rig.module.info(0), 1, True)
        spi.OnRspUserLogin(rig.module.login_answer("19800100"), None, 1, True)
        spi.OnRspUserLogin(None, rig.module.info(3, "CTP:不合法的登录"), 1, True)
        assert rig.sink.events[1:] == [
            ("logged_in", "trading day 20251121"),
            ("logged_in", "trading day 20251121"),
            ("lost", "login answered with trading day '19800100': the front is not ready"),
            ("refused", "login refused: 3 CTP:不合法的登录"),
        ]


async def test_a_general_error_while_logging_in_is_a_refused_login_and_later_ones_change_nothing():
    async with Rig() as rig:
        spi = rig.api.spi
        spi.OnFrontConnected()
        spi.OnRspError(rig.module.info(7, "CTP:还没有初始化"), 1, True)
        spi.OnRspError(rig.module.info(7, "CTP:还没有初始化"), 1, True)
        assert [event for event in rig.sink.events if event[0] == "refused"] == [
            ("refused", "login refused: 7 CTP:还没有初始化")
        ]


async def test_answers_to_bare_codes_come_back_as_the_instruments_that_were_asked_for():
    async with Rig() as rig:
        await rig.source.subscribe([RB, IF])
        assert rig.api.calls[-1] == ("SubscribeMarketData", ([b"rb2601", b"IF2512"], 2))
        spi, module = rig.api.spi, rig.module
        spi.OnRspSubMarketData(module.specific("rb2601"), None, 0, True)
        spi.OnRspSubMarketData(module.specific("IF2512"), module.info(16, "CTP:找不到合约"), 0, True)
        spi.OnRspSubMarketData(module.specific("never asked"), None, 0, True)
        spi.OnRspSubMarketData(None, None, 0, True)
        await rig.source.unsubscribe([RB])
        assert rig.api.calls[-1] == ("UnSubscribeMarketData", ([b"rb2601"], 1))
        spi.OnRspUnSubMarketData(module.specific("rb2601"), None, 0, True)
        assert rig.sink.events[1:] == [
            ("confirmed", ["SHFE.rb2601"]),
            ("refused", ("CFFEX.IF2512", "16 CTP:找不到合约")),
            ("unsubscribed", ["SHFE.rb2601"]),
        ]


@pytest.mark.parametrize(("code", "words"), [(-1, "network"), (-2, "waiting"), (-3, "this second")])
@pytest.mark.parametrize("verb", ["subscribe", "unsubscribe"])
async def test_a_request_that_the_library_does_not_take_is_an_error_that_names_the_code(verb, code, words):
    async with Rig() as rig:
        rig.module.codes |= {"SubscribeMarketData": code, "UnSubscribeMarketData": code}
        with pytest.raises(LineError, match=f"{code}, .*{words}") as caught:
            await getattr(rig.source, verb)([RB])
        assert caught.value.fields["vendor_code"] == code


async def test_a_tick_takes_its_exchange_from_what_was_subscribed():
    async with Rig() as rig:
        await rig.source.subscribe([RB])
        (tick,) = rig.source.parse([(0, record())], pytest.fail)
        assert tick.instrument == RB


async def test_closing_turns_the_data_off_unregisters_the_spi_and_releases_once():
    rig = Rig()
    async with rig:
        await rig.source.subscribe([RB])
        spi, api = rig.api.spi, rig.api
        await rig.source.aclose()
        await rig.source.aclose()
    names = api.names()
    assert names[-3:] == ["UnSubscribeMarketData", "RegisterSpi", "Release"]
    assert api.calls[-2] == ("RegisterSpi", (None,))
    assert names.count("Release") == 1
    assert "Join" not in names
    before = list(rig.sink.events)
    spi.OnRtnDepthMarketData(rig.module.CThostFtdcDepthMarketDataField())
    spi.OnFrontConnected()
    spi.OnFrontDisconnected(0x1001)
    assert rig.sink.events == before
    assert api.names() == names


async def test_a_library_whose_front_does_not_stop_is_silenced_but_not_released(monkeypatch, caplog):
    rig = Rig()
    async with rig:
        await rig.source.subscribe([RB])
        spi, field = rig.api.spi, rig.module.CThostFtdcDepthMarketDataField()
        monkeypatch.setattr(source_module.time, "sleep", lambda _: spi.OnRtnDepthMarketData(field))
    assert rig.api.calls[-1] == ("RegisterSpi", (None,))
    assert "keeps sending" in caplog.text
    assert rig.sink.events[1:] == []


async def test_closing_before_or_during_the_start_leaves_nothing_open():
    rig = Rig()
    await rig.source.aclose()
    await rig.source.start(rig.sink)
    assert rig.module.apis == []
    with pytest.raises(LineError, match="not running"):
        await rig.source.subscribe([RB])


async def test_a_source_starts_once():
    async with Rig() as rig:
        with pytest.raises(LineError, match="started before"):
            await rig.source.start(rig.sink)


async def test_another_struct_is_told_in_the_log_and_in_the_lines_reason(caplog):
    async with Rig(members=[("Extra", ctypes.c_double), *depth_members()]) as rig:
        assert rig.sink.events[1][0] == "connecting"
        assert "slow attribute reads" in rig.sink.events[1][1]
        assert "slow attribute reads" in caplog.text


def test_a_bad_front_or_module_is_refused_when_the_source_is_made():
    line = LineId("ctp", "primary")
    with pytest.raises(LineError, match="tcp://HOST:PORT"):
        CtpSource(Account(name="primary", md_address="127.0.0.1:1"), line, {})
    with pytest.raises(LineError, match="openctp_ctp, openctp_tts, standin"):
        CtpSource(ACCOUNT, line, {"native_module": "os"})
