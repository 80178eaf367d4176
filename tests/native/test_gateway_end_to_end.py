"""The main job on the real path: native library in a child → core → real NATS → consumer, against a loopback front."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import FeedSettings, Gateway, LineState, Settings, connect
from gateway.settings import AccountSettings, LineSettings, MetricsSettings, WatchSettings
from tests.native.conftest import require
from tests.native.tts_front import Mode, TtsFront

pytestmark = pytest.mark.native

CODES = ("SHFE.rb2601", "DCE.m2601", "CZCE.TA601")
LINE = "ctp:primary"
FAST = {"connect_timeout_s": 2.0, "login_timeout_s": 2.0, "restart_initial_s": 0.1, "restart_max_s": 0.3}


@pytest.fixture
def settings(locale_dir: Path) -> Callable[..., Settings]:
    require("openctp_tts")

    def make(*addresses: str, lines: dict[str, float] | None = None, password: str = "secret-word") -> Settings:
        names = ("primary", "backup")
        accounts = {
            name: AccountSettings(broker_id="9999", user_id="160219", password=password, md_address=address)
            for name, address in zip(names, addresses, strict=False)
        }
        feed = FeedSettings(
            accounts=accounts,
            instruments=list(CODES),
            sessions="always",  # or a line lost while the market is closed would be excused for a while
            options={"native_module": "openctp_tts", "locale_dir": str(locale_dir)},
        )
        return Settings(
            feeds={"ctp": feed},
            lines=LineSettings(**FAST | (lines or {})),
            watch=WatchSettings(line_silent_s=60.0, bound_s=60.0),  # these fronts tick when they are told to
            metrics=MetricsSettings(enabled=False),
        )

    return make


async def until(true: Callable[[], Any], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.01)


def state(gw: Gateway, line: str = LINE) -> LineState:
    return next(one.state for one in gw.lines() if one.line == line)


def reason(gw: Gateway) -> str:
    return gw.lines()[0].reason


def assert_balanced(gw: Gateway) -> None:
    assert gw.balance().in_flight == 0, gw.balance()


async def test_ticks_reach_a_consumer_field_by_field_with_their_provenance(settings: Callable[..., Settings]) -> None:
    async with TtsFront() as front, Gateway(settings(front.address)) as gw:
        await gw.settled()
        assert gw.url is not None
        async with connect(gw.url) as client, client.ticks("*", snapshot=False) as stream:
            assert front.send_depth("rb2601", last=3123.0, volume=7, bids=[(3122.0, 5)], asks=[(3124.0, 6)]) == 1
            tick = await asyncio.wait_for(anext(stream), 20)
    assert (str(tick.instrument), tick.last, tick.volume, tick.bid, tick.ask) == (
        "SHFE.rb2601",
        3123.0,
        7,
        3122.0,
        3124.0,
    )
    assert (tick.seq, tick.line, tick.account) == (1, LINE, "16***9")
    assert_balanced(gw)


async def test_a_refused_login_is_told_in_the_vendors_words_and_never_with_the_password(
    settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    async with TtsFront(refuse_login=(3, "CTP:不合法的登录")) as front, Gateway(settings(front.address)) as gw:
        await until(lambda: "不合法的登录" in reason(gw))
        assert not state(gw).is_up
        assert "secret-word" not in caplog.text + repr(gw.lines()) + repr(gw.settings)


async def test_a_contract_that_the_counter_does_not_know_fails_with_its_reason(
    settings: Callable[..., Settings],
) -> None:
    async with (
        TtsFront(refuse_codes={"TA601": (16, "CTP:找不到合约")}) as front,
        Gateway(settings(front.address)) as gw,
    ):
        await gw.settled()
        status = gw.lines()[0]
        assert (status.wanted, status.confirmed, status.failed) == (3, 2, 1)
        assert gw.url is not None
        async with connect(gw.url) as client:
            (failed,) = (await client.subscriptions(states=["failed"])).subscriptions
        assert (failed.instrument, "找不到合约" in failed.reason) == ("CZCE.TA601", True)


async def test_after_the_front_closed_the_line_comes_back_and_everything_is_subscribed_again(
    settings: Callable[..., Settings],
) -> None:
    async with TtsFront() as front, Gateway(settings(front.address)) as gw, gw.ticks("*") as ticks:
        await gw.settled()
        front.send_depth("m2601", volume=1)
        assert (await asyncio.wait_for(anext(ticks), 20)).seq == 1
        asked = len(front.subscribed)
        await front.drop_clients()
        await front.until(lambda: len(front.subscribed) >= asked + 3)
        await gw.settled()
        assert sorted(front.subscribed[asked:]) == ["TA601", "m2601", "rb2601"]
        assert gw.view.sample().lines[0].disconnects == 1
        front.send_depth("m2601", volume=2)
        assert (await asyncio.wait_for(anext(ticks), 20)).seq == 2


async def test_unsubscribing_reaches_the_counter(settings: Callable[..., Settings]) -> None:
    async with TtsFront() as front, Gateway(settings(front.address)) as gw:
        await gw.settled()
        await gw.unsubscribe(["DCE.m2601"])
        await front.until(lambda: front.unsubscribed == ["m2601"])
        assert gw.lines()[0].wanted == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_line_process_that_dies_is_replaced_and_subscribed_again(
    settings: Callable[..., Settings], how: signal.Signals
) -> None:
    async with TtsFront() as front, Gateway(settings(front.address)) as gw, gw.ticks("*") as ticks:
        await gw.settled()
        pid = gw.line_pid(LINE)
        assert pid is not None
        os.kill(pid, how)
        await until(lambda: how.name in reason(gw))
        await until(lambda: state(gw).is_up)
        await gw.settled()
        front.send_depth("rb2601", volume=1)
        assert (await asyncio.wait_for(anext(ticks), 20)).volume == 1
        assert gw.line_pid(LINE) != pid
    assert_balanced(gw)


async def test_a_line_process_that_hangs_is_noticed_and_replaced(settings: Callable[..., Settings]) -> None:
    timers = {"hung_after_s": 0.8, "kill_after_s": 1.5}
    async with TtsFront() as front, Gateway(settings(front.address, lines=timers)) as gw:
        await gw.settled()
        pid = gw.line_pid(LINE)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: "hung" in reason(gw))
        await until(lambda: state(gw).is_up)
        assert gw.line_pid(LINE) != pid


async def test_a_front_that_refuses_is_given_up_by_our_own_timer_and_found_again(
    settings: Callable[..., Settings],
) -> None:
    async with TtsFront() as front:
        await front.refuse()
        async with Gateway(settings(front.address)) as gw:
            # the vendor library never calls back about a refused front
            await until(lambda: "no connection in time" in reason(gw))
            await front.listen()
            await until(lambda: state(gw).is_up)


async def test_a_silent_front_is_given_up_by_our_own_timer(settings: Callable[..., Settings]) -> None:
    async with TtsFront(mode=Mode.SILENT) as front, Gateway(settings(front.address)) as gw:
        await until(lambda: "in time" in reason(gw))
        front.mode = Mode.SERVE
        await until(lambda: state(gw).is_up)


async def test_when_the_publishing_front_dies_the_other_line_publishes(settings: Callable[..., Settings]) -> None:
    async with TtsFront() as first, TtsFront() as second, Gateway(settings(first.address, second.address)) as gw:
        await gw.settled()
        async with gw.ticks("*") as ticks:
            await until(lambda: all(line.state.is_up for line in gw.lines()))
            first.send_depth("rb2601", volume=1)
            assert (await asyncio.wait_for(anext(ticks), 20)).line == "ctp:primary"
            await first.refuse()
            await until(lambda: gw.lines()[0].state is LineState.LOST)
            second.send_depth("rb2601", volume=2)
            tick = await asyncio.wait_for(anext(ticks), 20)
            assert (tick.line, tick.seq, tick.volume) == ("ctp:backup", 2, 2)
            async with asyncio.timeout(30):
                volume = 2
                while [line.role for line in gw.lines()] != ["hot", "active"]:
                    volume += 1
                    second.send_depth("rb2601", volume=volume)  # the switch is confirmed by a tick of the new line
                    assert (await anext(ticks)).volume == volume
    assert_balanced(gw)


async def test_a_flood_of_native_ticks_is_delivered_in_order_or_counted(settings: Callable[..., Settings]) -> None:
    async with TtsFront() as front, Gateway(settings(front.address)) as gw, gw.ticks("SHFE.rb2601") as ticks:
        await gw.settled()
        count = 20_000
        for volume in range(1, count + 1):
            front.send_depth("rb2601", volume=volume)
            if volume % 500 == 0:
                await front.drain()
        volumes = [(await asyncio.wait_for(anext(ticks), 20)).volume for _ in range(count)]
        assert volumes == list(range(1, count + 1))
    assert_balanced(gw)
    assert gw.balance().received == count
