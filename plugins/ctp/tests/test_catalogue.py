# ruff: noqa: N802 - the vendor fixes the names
from __future__ import annotations

import ctypes
from types import SimpleNamespace

import msgspec
import pytest
from gateway_ctp.family import CTP

from gateway.clock import SystemClock
from gateway.errors import CatalogueError
from gateway.model import Account, Contract, Instrument
from gateway.thost import catalogue, locales, query_child, trader
from gateway.thost.catalogue import build_catalogue, contracts_of
from gateway.thost.query import Job
from gateway.thost.standin.swig import AUTHENTICATE, LOGIN
from gateway.thost.trader import COLUMNS, TraderQuery
from plugins.ctp.tests.vendor_standin import Api, _swig_struct

ACCOUNT = Account(
    name="primary", broker_id="9999", user_id="160219", td_address="tcp://127.0.0.1:1", app_id="client_1",
    secrets={"password": "secret-word", "auth_code": "secret-code"},
)  # fmt: skip
ROWS = [
    dict(zip(COLUMNS, row, strict=True))
    for row in [
        ("rb2601", "SHFE", "螺纹钢2601", "rb", "1", 10, 1.0, "20260115", "", 0.0, ""),
        ("m2605-C-3000", "DCE", "豆粕期权", "m_o", "2", 10, 0.5, "20260413", "m2605", 3000.0, "1"),
        ("SP a2605&a2609", "DCE", "跨期", "a&a", "3", 10, 1.0, "", "", 0.0, ""),
        ("odd", "SHFE", "", "x", "9", 0, 1.7976931348623157e308, "bad", "", 0.0, ""),
        ("", "SHFE", "no code", "", "1", 1, 1.0, "", "", 0.0, ""),
    ]
]
TIMERS = {"connect": 0.2, "login": 0.2, "query": 0.2}


class TraderModule:
    """Stands in for ``thosttraderapi``: answers each request at once, as told."""

    THOST_TERT_QUICK = 2

    def __init__(self, **answers: object) -> None:
        self.answers: dict[str, object] = answers
        text = ctypes.c_char * 81
        self.CThostFtdcReqAuthenticateField = _swig_struct("Authenticate", AUTHENTICATE)
        self.CThostFtdcReqUserLoginField = _swig_struct("Login", LOGIN)
        self.CThostFtdcQryInstrumentField = _swig_struct("Query", [("InstrumentID", text)])
        self.CThostFtdcTraderSpi = type("Spi", (), {})
        self.api = TraderApi(self)
        self.CThostFtdcTraderApi = SimpleNamespace(CreateFtdcTraderApi=lambda flow: self.api)

    def take(self, name: str) -> object:
        answer = self.answers.get(name)
        return answer.pop(0) if isinstance(answer, list) else answer


def info(number: int, text: str) -> SimpleNamespace:
    return SimpleNamespace(ErrorID=number, ErrorMsg=text)


class TraderApi(Api):
    def __init__(self, module: TraderModule) -> None:
        super().__init__("flow", {})
        self.module = module

    def Init(self) -> None:
        if self.module.take("connect") != "silent":
            self.spi.OnFrontConnected()

    def ReqAuthenticate(self, field, request):
        self.calls.append(("ReqAuthenticate", (field.AppID, field.AuthCode)))
        self.spi.OnRspAuthenticate(None, self.module.take("authenticate"), request, True)
        return 0

    def ReqUserLogin(self, field, request):
        self.calls.append(("ReqUserLogin", (field.BrokerID, field.UserID, field.Password)))
        if (reason := self.module.take("disconnect")) is not None:
            self.spi.OnFrontDisconnected(reason)
        else:
            self.spi.OnRspUserLogin(None, self.module.take("login"), request, True)
        return 0

    def ReqQryInstrument(self, field, request):
        self.calls.append(("ReqQryInstrument", ()))
        code = self.module.take("code")
        if code:
            return code
        error = self.module.take("query")
        if error is not None:
            self.spi.OnRspQryInstrument(None, error, request, True)
            return 0
        for number, row in enumerate(ROWS, start=1):
            self.spi.OnRspQryInstrument(SimpleNamespace(**row), None, request, number == len(ROWS))
        return 0


def query(module: TraderModule, account: Account = ACCOUNT) -> list[trader.Row]:
    return TraderQuery(module, account, TIMERS, SystemClock()).run("flow")


def test_the_query_authenticates_logs_in_asks_and_lets_go_in_this_order():
    module = TraderModule()
    assert query(module) == ROWS
    assert module.api.names()[-6:] == [
        "RegisterFront", "ReqAuthenticate", "ReqUserLogin", "ReqQryInstrument", "RegisterSpi", "Release",
    ]  # fmt: skip
    calls = dict(module.api.calls)
    assert calls["ReqAuthenticate"] == ("client_1", "secret-code")
    assert calls["ReqUserLogin"] == ("9999", "160219", "secret-word")


def test_an_account_without_an_app_id_is_not_authenticated():
    module = TraderModule()
    account = Account(name="a", user_id="1", td_address="tcp://127.0.0.1:1", secrets={"password": "x"})
    assert query(module, account) == ROWS
    assert "ReqAuthenticate" not in module.api.names()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"connect": "silent"}, r"did not answer \(connected\)"),
        ({"authenticate": info(63, "CTP:客户端认证失败")}, "63 CTP:客户端认证失败; check the app id"),
        ({"login": info(3, "CTP:不合法的登录")}, "login refused: 3 CTP:不合法的登录; check the user"),
        ({"disconnect": 0x1001}, "closed the connection .*0x1001 reading"),
        ({"query": info(8, "CTP:无此权限")}, "instruments refused: 8 CTP:无此权限"),
        ({"code": -1}, "instruments not sent: -1"),
    ],
)
def test_each_failure_is_a_catalogue_error_with_the_vendors_words_and_no_secret(answers, words):
    module = TraderModule(**answers)
    with pytest.raises(CatalogueError, match=words) as caught:
        query(module)
    assert "secret" not in str(caught.value)
    assert module.api.names()[-2:] == ["RegisterSpi", "Release"]


def test_an_auth_code_that_does_not_fit_is_refused_before_the_library_is_asked_and_not_repeated():
    account = msgspec.structs.replace(ACCOUNT, secrets={"password": "x", "auth_code": "secret-code-of-17"})
    module = TraderModule()
    with pytest.raises(CatalogueError, match=r"the auth_code of account primary .*AuthCode \(17 bytes\)") as caught:
        query(module, account)
    assert "secret" not in str(caught.value)
    assert "RegisterSpi" not in module.api.names()


@pytest.mark.parametrize("early", [{"code": [-3]}, {"query": [info(90, "CTP:查询未就绪")]}])
def test_a_query_that_comes_too_early_is_asked_again(monkeypatch, early):
    monkeypatch.setattr(trader, "_RETRY_S", 0.01)
    module = TraderModule(**{key: [*value, None] for key, value in early.items()})
    assert query(module) == ROWS
    assert module.api.names().count("ReqQryInstrument") == 2


def test_rows_become_contracts_and_rows_without_a_code_are_left_out():
    assert list(contracts_of(CTP, ROWS)) == [
        Contract(
            instrument=Instrument("SHFE", "rb2601"), name="螺纹钢2601", product="rb", kind="future",
            multiplier=10, price_tick=1.0, expire_date=20260115,
        ),
        Contract(
            instrument=Instrument("DCE", "m2605-C-3000"), name="豆粕期权", product="m_o", kind="option",
            multiplier=10, price_tick=0.5, expire_date=20260413, underlying="m2605", strike=3000.0, option_type="call",
        ),
        Contract(
            instrument=Instrument("DCE", "SP a2605&a2609"), name="跨期", product="a&a", kind="combination",
            multiplier=10, price_tick=1.0,
        ),
        Contract(instrument=Instrument("SHFE", "odd"), product="x", kind="other"),
    ]  # fmt: skip


def test_a_catalogue_without_an_account_or_with_a_bad_one_is_refused_when_it_is_made():
    with pytest.raises(CatalogueError, match="name an account"):
        build_catalogue(CTP, None, {})
    with pytest.raises(CatalogueError, match="no trader front"):
        build_catalogue(CTP, Account(name="primary", secrets={"password": "secret-word"}), {})
    with pytest.raises(CatalogueError, match="could not convert"):
        build_catalogue(CTP, ACCOUNT, {"query_timeout": "soon"})


@pytest.fixture
def no_locale_needed(monkeypatch):
    monkeypatch.setattr("gateway.thost.locales.environment", lambda _: {})


async def test_the_child_reports_what_it_cannot_do_over_its_own_pipe(no_locale_needed):
    if locales.is_loadable():
        pytest.skip("this process finds the locale, so the child could go on")
    with pytest.raises(CatalogueError, match=r"zh_CN\.GB18030"):
        await build_catalogue(CTP, ACCOUNT, {}).contracts()


async def test_a_child_that_dies_is_told_with_its_signal_and_without_the_account(monkeypatch, tmp_path, caplog):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho last words >&2\nkill -SEGV $$\n")
    script.chmod(0o755)
    monkeypatch.setattr("gateway.thost.locales.environment", lambda _: {})
    monkeypatch.setattr(catalogue.sys, "executable", str(script))
    with pytest.raises(CatalogueError, match="SIGSEGV") as caught:
        await build_catalogue(CTP, ACCOUNT, {}).contracts()
    assert "last words" in caplog.text
    assert "secret" not in str(caught.value) + caplog.text


async def test_a_child_that_hangs_is_killed_after_the_sum_of_the_timers(monkeypatch, tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    monkeypatch.setattr("gateway.thost.locales.environment", lambda _: {})
    monkeypatch.setattr(catalogue.sys, "executable", str(script))
    monkeypatch.setattr(catalogue, "_SPARE_S", 0.1)
    options = {"connect_timeout": 0, "login_timeout": 0, "query_timeout": 0}
    with pytest.raises(CatalogueError, match="did not end within"):
        await build_catalogue(CTP, ACCOUNT, options).contracts()


def test_the_child_answers_with_rows_or_with_an_error(monkeypatch):
    job = Job(ACCOUNT, "openctp_ctp.thosttraderapi", TIMERS, COLUMNS)
    monkeypatch.setattr(query_child, "load", lambda *_, **__: TraderModule())
    assert query_child.answer(job).rows == ROWS
    monkeypatch.setattr(query_child, "load", lambda *_, **__: TraderModule(login=info(3, "no")))
    assert "login refused: 3 no" in query_child.answer(job).error
