"""The whole native way of a line, through the real openctp_tts library against a loopback front."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from gateway.model import SHANGHAI
from tests.native.tts_front import TtsFront

pytestmark = pytest.mark.native


async def test_a_line_logs_in_with_the_accounts_user_and_password(recorded_line):
    async with TtsFront(trading_day="2025-11-21") as front, recorded_line(front.address) as line:
        assert (await line.until_state("connecting"))["reason"] == front.address
        await line.until_state("connected")
        assert "2025" in (await line.until_state("logged_in"))["reason"]
        assert front.logins == [("160219", "secret-word")]
        assert await line.close() == 0


async def test_a_refused_login_is_reported_with_the_vendors_reason_and_without_the_password(recorded_line):
    async with TtsFront(refuse_login=(3, "CTP:不合法的登录")) as front, recorded_line(front.address) as line:
        lost = await line.until_state("refused")
        assert lost["reason"] == "login refused: 3 CTP:不合法的登录"
        assert await line.close() == 0
        assert "secret-word" not in str(line.records)


async def test_a_tick_arrives_field_by_field(recorded_line):
    async with TtsFront() as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.rb2601")
        assert (await line.until_kind("confirmed"))["instruments"] == ["SHFE.rb2601"]
        sent = front.send_depth(
            "rb2601", trading_day="2025-11-24", action_day="2025-11-21", update_time="21:03:04",
            last=3123.0, pre_settlement=3110.0, pre_close=3112.0, pre_open_interest=1_490_000,
            open=3100.0, high=3130.0, low=3090.0, volume=123_456, turnover=3.85e9, open_interest=1_500_000,
            settlement=3111.5, upper_limit=3400.0, lower_limit=2800.0,
            bids=[(3122.0, 12), (3121.0, 33), (3120.0, 44), (3119.0, 55), (3118.0, 66)],
            asks=[(3123.0, 1), (3124.0, 2), (3125.0, 3), (3126.0, 4), (3127.0, 5)],
        )  # fmt: skip
        assert sent == 1
        tick = (await line.until_kind("tick"))["tick"]
        moment = datetime(2025, 11, 21, 21, 3, 4, tzinfo=SHANGHAI)
        del tick["average"], tick["close"]  # this protocol does not carry them; the library fills in what it likes
        assert tick == {
            "epoch": 0, "seq": 0, "recv_ns": 0, "line": "", "account": "",
            "exchange": "SHFE", "code": "rb2601", "trading_day": 20251124,
            "exchange_ns": int(moment.timestamp()) * 1_000_000_000,
            "last": 3123.0, "volume": 123_456, "turnover": 3.85e9, "open_interest": 1_500_000.0,
            "open": 3100.0, "high": 3130.0, "low": 3090.0, "settlement": 3111.5,
            "pre_settlement": 3110.0, "pre_close": 3112.0, "pre_open_interest": 1_490_000.0,
            "upper_limit": 3400.0, "lower_limit": 2800.0,
            "bid_prices": [3122.0, 3121.0, 3120.0, 3119.0, 3118.0], "bid_volumes": [12, 33, 44, 55, 66],
            "ask_prices": [3123.0, 3124.0, 3125.0, 3126.0, 3127.0], "ask_volumes": [1, 2, 3, 4, 5],
        }  # fmt: skip
        assert await line.close() == 0


async def test_the_exchange_that_the_vendor_sends_is_used(recorded_line):
    async with TtsFront() as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.sc2601")
        await line.until_kind("confirmed")
        front.send_depth("sc2601", exchange="INE", last=450.1, volume=7, bids=[(450.0, 1)])
        tick = (await line.until_kind("tick"))["tick"]
        assert (tick["exchange"], tick["code"]) == ("INE", "sc2601")
        assert (tick["bid_prices"], tick["ask_prices"]) == ([450.0], [])
        assert await line.close() == 0


async def test_a_refused_contract_is_reported_with_the_vendors_reason_and_the_others_run(recorded_line):
    refusals = {"xx9999": (16, "CTP:找不到合约")}
    async with TtsFront(refuse_codes=refusals) as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.xx9999", "SHFE.rb2601")
        refused = await line.until_kind("refused")
        assert (refused["instrument"], refused["reason"]) == ("SHFE.xx9999", "16 CTP:找不到合约")
        assert (await line.until_kind("confirmed"))["instruments"] == ["SHFE.rb2601"]
        assert await line.close() == 0


async def test_after_a_server_close_the_line_logs_in_again_and_can_resubscribe(recorded_line):
    async with TtsFront() as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.rb2601")
        await line.until_kind("confirmed")
        await front.drop_clients()
        assert (await line.until_state("lost"))["reason"].startswith("disconnected: 0x")
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.rb2601")
        await line.until_kind("confirmed")
        assert front.send_depth("rb2601", last=3123.0, volume=1) == 1
        assert (await line.until_kind("tick"))["tick"]["code"] == "rb2601"
        assert front.connections == 2
        assert front.subscribed == ["rb2601", "rb2601"]
        assert await line.close() == 0


async def test_a_front_that_is_away_at_the_start_is_found_when_it_comes(recorded_line):
    async with TtsFront() as front:
        await front.refuse()
        async with recorded_line(front.address) as line:
            await line.until_state("connecting")
            await front.listen()
            await line.until_state("logged_in")
            assert await line.close() == 0


async def test_unsubscribe_reaches_the_vendor_and_the_ticks_stop(recorded_line):
    async with TtsFront() as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.rb2601", "SHFE.rb2605")
        await line.until(lambda r: r["kind"] == "confirmed" and r["instruments"] == ["SHFE.rb2605"])
        line.command("unsubscribe", "SHFE.rb2601")
        assert (await line.until_kind("unsubscribed"))["instruments"] == ["SHFE.rb2601"]
        assert front.unsubscribed == ["rb2601"]
        assert front.send_depth("rb2601", last=1.0, volume=1) == 0
        assert await line.close() == 0


async def test_a_thousand_ticks_in_a_row_all_arrive_in_order(recorded_line):
    async with TtsFront() as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.rb2601")
        await line.until_kind("confirmed")
        for volume in range(1, 1001):
            front.send_depth("rb2601", last=3123.0, volume=volume)
        volumes = [(await line.until_kind("tick"))["tick"]["volume"] for _ in range(1000)]
        assert volumes == list(range(1, 1001))
        assert await line.close() == 0


@pytest.mark.parametrize("obedient", [True, False], ids=["the front stops on request", "the front never stops"])
async def test_closing_while_ticks_pour_in_ends_cleanly(recorded_line, obedient):
    async with TtsFront() as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.rb2601")
        await line.until_kind("confirmed")
        stop = asyncio.Event()

        async def pour() -> None:
            while not stop.is_set():
                front.send_depth("rb2601", only_subscribed=obedient, last=3123.0, volume=1)
                await front.drain()
                await asyncio.sleep(0)

        task = asyncio.create_task(pour())
        await line.until_kind("tick")
        code = await line.close()
        stop.set()
        await task
        assert code == 0
        assert line.records[-1] == {"kind": "closed"}
        assert front.unsubscribed == ["rb2601"]


async def test_what_the_front_sends_unasked_is_rejected_or_ignored_and_the_line_goes_on(recorded_line):
    async with TtsFront() as front, recorded_line(front.address) as line:
        await line.until_state("logged_in")
        line.command("subscribe", "SHFE.rb2601")
        await line.until_kind("confirmed")
        front.send_depth("zz0000", only_subscribed=False, last=1.0, volume=1)
        front.send_depth("rb2601", update_time="", last=1.0, volume=1)
        front.send_depth("rb2601", last=2.0, volume=1)
        assert (await line.until_kind("tick"))["tick"]["last"] == 2.0
        assert [r["reason"] for r in line.records if r["kind"] == "reject"] == ["unknown_exchange", "no_time"]
        assert await line.close() == 0
