"""The real openctp_ctpopt library against loopback fronts that are no SOPT front: all that needs no broker."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import FeedSettings, Gateway, Settings
from gateway.errors import CatalogueError
from gateway.hookspecs import Observer, hookimpl
from gateway.lines.incarnation import Incarnation
from gateway.lines.messages import FromLine, StateChanged
from gateway.model import Account, LineState
from gateway.settings import AccountSettings, LineSettings, MetricsSettings
from gateway.thost.catalogue import build_catalogue
from tests.native.conftest import DEADLINE_S, child_environment, require
from tests.native.slamming_front import SlammingFront
from tests.native.test_ctp_lifecycle import refusing_address, run_python
from tests.native.tts_front import Mode, TtsFront

pytestmark = pytest.mark.native

MODULE = "openctp_ctpopt"


@pytest.fixture
def sopt_line(recorded_line):
    def run(address: str, **more: Any):
        return recorded_line(address, module=MODULE, feed="sopt", **more)

    return run


async def test_importing_the_library_aborts_the_process_without_the_locale_and_works_with_the_built_one(locale_dir):
    require(MODULE)
    code = f"import {MODULE}.soptthostmduserapi"
    assert await run_python(code) == -signal.SIGABRT
    assert await run_python(code, LOCPATH=str(locale_dir)) == 0


LOOK_AT_LAYOUT = """
import importlib, json
from gateway_sopt.layout import DEPTH
from gateway_ctp.layout import DEPTH as CTPS
from gateway_sopt.family import SOPT
from plugins.sopt.tests.records import TYPICAL, record
module = SOPT.library({}).load_market_data()
field = module.CThostFtdcDepthMarketDataField()
for name, value in TYPICAL.items():
    setattr(field, name, value)
trader = importlib.import_module(SOPT.library({}).trader)
row = trader.CThostFtdcInstrumentField()
print(json.dumps({
    "exact": DEPTH.verify(module).exact, "ctps": CTPS.verify(module).exact, "copied": DEPTH.copy(field) == record(),
    "read": DEPTH.from_attributes(field) == record(), "columns": [hasattr(row, name) for name in SOPT.columns],
    "etf": trader.THOST_FTDC_PC_ETFOption in SOPT.product_kinds, "call": trader.THOST_FTDC_CP_CallOptions,
}))
"""


async def test_the_measured_struct_is_the_librarys_and_ctps_is_not(locale_dir):
    require(MODULE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOOK_AT_LAYOUT, env=child_environment(LOCPATH=str(locale_dir)),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    found = json.loads(output)
    assert found.pop("columns") == [True] * 12
    assert found == {"exact": True, "ctps": False, "copied": True, "read": True, "etf": True, "call": "1"}


async def test_a_line_without_the_locale_is_refused_with_the_reason_instead_of_aborting(sopt_line):
    async with sopt_line("tcp://127.0.0.1:1", with_locale=False) as line:
        assert "zh_CN.GB18030" in (await line.until_kind("error"))["text"]
        assert await line.close() == 0


async def test_a_front_that_refuses_is_never_told_and_the_line_still_closes_cleanly(sopt_line):
    async with refusing_address() as address, sopt_line(address) as line:
        await line.until_state("connecting")
        line.command("subscribe", "SSE.10004567")
        assert "-1, the network connection is not there" in (await line.until_kind("error"))["text"]
        assert await line.close() == 0
        assert {record["state"] for record in line.records if record["kind"] == "state"} == {"connecting"}


async def test_a_silent_front_is_connected_to_but_never_reported_and_the_line_closes_cleanly(sopt_line):
    async with TtsFront(mode=Mode.SILENT) as front, sopt_line(front.address) as line:
        await line.until_state("connecting")
        await front.until(lambda: front.connections == 1)
        assert await line.close() == 0
        assert {record["state"] for record in line.records if record["kind"] == "state"} == {"connecting"}


async def test_a_line_in_a_storm_says_why_and_closes(sopt_line):
    with SlammingFront() as front:
        async with sopt_line(front.address) as line:
            lost = await line.until_state("lost")
            assert lost["reason"] == "disconnected: 0x1001 reading from the network failed"
            for _ in range(50):
                await line.until_state("lost")
            assert await line.close() == 0
        assert not [record for record in line.records if record.get("state") in ("connected", "logged_in")]


class Changes:
    """Counts what reaches observers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    @hookimpl
    def gateway_observe(self) -> list[Observer]:
        return [Observer(name="changes", line_changed=lambda _line, state, why: self.told.append((state, why)))]


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not true():
            await asyncio.sleep(0.01)


def settings(address: str, locale_dir: Path, **lines: float) -> Settings:
    account = AccountSettings(broker_id="9999", user_id="160219", password="secret-word", md_address=address)
    feed = FeedSettings(
        accounts={"primary": account},
        instruments=["SSE.10004567"],
        sessions="always",
        options={"locale_dir": str(locale_dir)},
    )
    return Settings(
        feeds={"sopt": feed}, lines=LineSettings(**lines), metrics=MetricsSettings(enabled=False)
    )  # fmt: skip


async def test_a_storm_reaches_the_core_as_few_messages_and_every_call_of_it_is_counted(locale_dir, monkeypatch):
    require(MODULE)
    states: list[StateChanged] = []
    take = Incarnation.message

    def message(self: Incarnation, message: FromLine) -> None:
        if isinstance(message, StateChanged):
            states.append(message)
        take(self, message)

    monkeypatch.setattr(Incarnation, "message", message)
    with SlammingFront() as front:
        rules = settings(front.address, locale_dir, storm_per_second=1_000_000, connect_timeout_s=60)
        async with Gateway(rules) as gw:
            await until(lambda: disconnects(gw) >= 400)
            told, counted = len(states), disconnects(gw)
    assert counted == sum(state.calls for state in states[:told] if state.state is LineState.LOST)
    assert counted <= front.connections
    assert told * 4 < counted


async def test_a_storm_ends_the_line_by_default_and_it_is_started_again(locale_dir):
    require(MODULE)
    with SlammingFront() as front:
        rules = settings(front.address, locale_dir, restart_initial_s=0.1)
        changes = Changes()
        async with Gateway(rules, plugins=[changes]) as gw:
            await until(lambda: any("callback storm" in why for _, why in changes.told))
            await until(lambda: gw.lines()[0].restarts >= 1)


def disconnects(gw: Gateway) -> int:
    return gw.view.figures().lines[0].disconnects


async def test_the_contract_list_of_a_front_that_does_not_answer_is_an_error_after_our_own_timer(locale_dir: Path):
    from gateway_sopt.family import SOPT

    require(MODULE)
    async with TtsFront(mode=Mode.SILENT) as front:
        account = Account(
            name="primary", broker_id="9999", user_id="160219", td_address=front.address,
            secrets={"password": "secret-word", "auth_code": "secret-code"},
        )  # fmt: skip
        catalogue = build_catalogue(SOPT, account, {"connect_timeout": 1, "locale_dir": str(locale_dir)})
        with pytest.raises(CatalogueError, match="did not answer") as caught:
            await catalogue.contracts()
        assert front.connections >= 1
        assert "secret" not in str(caught.value)
