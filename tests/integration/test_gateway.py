"""The whole gateway: a feed in, a real NATS server, a consumer out; in every case the books balance."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway import FeedSettings, Gateway, Instrument, LineState, Settings, Tick, connect
from gateway.client import Client
from gateway.codec import MsgpackOrigin, decode_any
from gateway.errors import BusError, FeedgateError, SettingsError
from gateway.flow.pipeline import Pipeline
from gateway.settings import AccountSettings, BusSettings, MetricsSettings, PublishSettings
from gateway.testing.nats import NatsServer, ServerOptions
from tests import chaos_feed

QUIET = MetricsSettings(enabled=False)
TWO_LINES = {"primary": AccountSettings(), "backup": AccountSettings()}


def sim(bus: BusSettings | None = None, *, publish: dict[str, Any] | None = None, **options: Any) -> Settings:
    feed = FeedSettings(kind="sim", host="child", accounts=TWO_LINES, options={"contracts": 50, "rate": 2000} | options)
    return Settings(
        feeds={"sim": feed}, bus=bus or BusSettings(), metrics=QUIET, publish=PublishSettings(**publish or {})
    )


def memory(**options: Any) -> Settings:
    feed = FeedSettings(kind="sim", options={"contracts": 20, "rate": 500} | options)
    return Settings(feeds={"sim": feed}, bus=BusSettings(kind="memory"), metrics=QUIET)


async def until(true: Callable[[], bool], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.01)


async def take(stream: Any, count: int) -> list[Tick]:
    ticks: list[Tick] = []
    async with asyncio.timeout(30):
        async for tick in stream:
            ticks.append(tick)
            if len(ticks) >= count:
                break
    return ticks


def assert_balanced(gw: Gateway) -> None:
    balance = gw.balance()
    assert balance.received > 0
    assert balance.in_flight == 0, balance


async def test_ticks_of_a_child_line_reach_a_consumer_on_the_bundled_server_without_loss() -> None:
    async with Gateway(sim()) as gw:
        assert gw.url is not None
        async with connect(gw.url) as client:
            stream = client.ticks("*")
            ticks = await take(stream, 3000)
            assert stream.lost == 0
            await stream.aclose()
    assert {tick.line for tick in ticks} <= {"sim:primary", "sim:backup"}
    for instrument in {tick.instrument for tick in ticks}:
        numbers = [tick.seq for tick in ticks if tick.instrument == instrument]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert_balanced(gw)


async def test_two_hot_lines_are_published_once_and_every_copy_is_counted() -> None:
    async with Gateway(sim()) as gw:
        await until(lambda: all(line.ticks > 2000 for line in gw.lines()))
        roles = {line.line: line.role for line in gw.lines()}
        assert roles == {"sim:primary": "active", "sim:backup": "hot"}
    assert_balanced(gw)
    balance = gw.balance()
    # each tick of the line that delivered less is a copy of one of the other, or the other way round
    assert balance.published < balance.received
    assert balance.dropped["arbitrate"]["copy"] >= min(line.ticks for line in gw.lines()) * 0.9
    assert sum(line.published for line in gw.lines()) == balance.published


async def test_when_a_hot_line_is_killed_nothing_is_lost_and_nothing_is_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivered: list[Tick] = []
    origin = MsgpackOrigin(0, "", "")
    deliver = Pipeline.deliver

    def listen(pipeline: Pipeline, line: Any, arrivals: Any) -> None:
        if line.id.account == "backup":
            delivered.extend(decode_any(origin.payload(0, 0, arrival[-1])) for arrival in arrivals)
        deliver(pipeline, line, arrivals)

    monkeypatch.setattr(Pipeline, "deliver", listen)
    async with Gateway(sim()) as gw:
        assert gw.url is not None
        async with connect(gw.url) as client, client.ticks("*", snapshot="optional") as stream:
            await until(lambda: all(line.state is LineState.STREAMING for line in gw.lines()))
            ticks = await take(stream, 500)
            pid = gw.line_pid("sim:primary")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            ticks += await take(stream, 3000)
            assert stream.lost == 0
    published = [msgspec.structs.replace(tick, epoch=0, seq=0, recv_ns=0, line="", account="") for tick in ticks]
    assert len(set(published)) == len(published)
    # whatever the line that lived delivered between the first and the last tick that we took is out
    newest = {tick.instrument: tick.volume for tick in published}
    oldest = {tick.instrument: tick.volume for tick in reversed(published)}
    expected = {
        tick for tick in delivered if oldest.get(tick.instrument, 1e99) < tick.volume < newest.get(tick.instrument, -1)
    }
    assert len(expected) > 1000
    assert expected <= set(published)
    assert_balanced(gw)


async def test_a_restart_of_nats_under_load_loses_nothing_that_fits_the_bound() -> None:
    async with NatsServer() as server:
        settings = sim(BusSettings(urls=[server.url]), rate=5000)
        async with Gateway(settings) as gw, connect(server.url) as client, client.ticks("*") as stream:
            ticks = await take(stream, 2000)
            await server.stop()
            await until(lambda: not gw.bus.connected)
            await server.start()
            await until(lambda: gw.bus.connected)
            ticks += await take(stream, 5000)
            assert len({tick.epoch for tick in ticks}) == 1
        assert_balanced(gw)
        assert "publish" not in gw.balance().dropped
        assert gw.balance().published == gw.balance().received - gw.balance().total_dropped


async def test_while_nats_is_away_the_oldest_ticks_drop_and_a_later_consumer_sees_the_hole() -> None:
    async with NatsServer() as server:
        settings = sim(BusSettings(urls=[server.url]), rate=5000, publish={"held": 500})
        async with Gateway(settings) as gw, connect(server.url) as client, client.ticks("*") as stream:
            await take(stream, 1000)
            await server.stop()
            await until(lambda: gw.balance().dropped.get("publish", {}).get("bus_away", 0) > 500)
            await server.start()
            await until(lambda: gw.bus.connected)
            before = stream.lost
            await take(stream, 3000)
            assert stream.lost > before
        assert_balanced(gw)


async def test_a_late_joiner_gets_the_last_tick_of_everything_first() -> None:
    async with Gateway(sim()) as gw:
        await until(lambda: len(gw.view.top(1000)) == 50)
        assert gw.url is not None
        async with connect(gw.url) as client, client.ticks("SHFE.*") as stream:
            ticks = await take(stream, 30)
        names = {str(contract.instrument) for contract in gw.contracts()}
        assert {str(tick.instrument) for tick in ticks} <= {name for name in names if name.startswith("SHFE.")}


async def test_batches_carry_the_same_ticks_in_fewer_messages() -> None:
    async with Gateway(sim(publish={"form": "batch"})) as gw:
        assert gw.url is not None
        async with connect(gw.url) as client, client.batches("sim") as stream:
            batches = []
            async with asyncio.timeout(30):
                async for batch in stream:
                    batches.append(batch)
                    if len(batches) == 200:
                        break
            assert stream.lost == 0
    assert sum(map(len, batches)) > len(batches)


async def test_json_payloads_are_objects_that_other_languages_can_read() -> None:
    async with Gateway(sim(publish={"codec": "json"})) as gw:
        assert gw.url is not None
        async with connect(gw.url) as client, client.ticks("*") as stream:
            ticks = await take(stream, 100)
    assert all(tick.seq > 0 and tick.line.startswith("sim:") for tick in ticks)


async def test_subscriptions_can_be_changed_at_run_time_and_reach_the_source() -> None:
    settings = sim()
    settings = settings.model_copy(
        update={"feeds": {"sim": settings.feeds["sim"].model_copy(update={"instruments": ["SHFE.*"]})}}
    )
    async with Gateway(settings) as gw:
        await gw.settled()
        other = next(c.instrument for c in gw.contracts() if c.instrument.exchange != "SHFE")
        assert gw.url is not None
        async with connect(gw.url) as client:
            reply = await client.subscribe(other)
            assert reply.accepted == 1
            async with client.ticks(str(other), snapshot="optional") as stream:
                assert (await take(stream, 5))[0].instrument == other
            await client.unsubscribe(other)
            await until(lambda: all(line.wanted == line.confirmed for line in gw.lines()))
            rows = (await client.subscriptions("*")).subscriptions
            assert rows
            assert str(other) not in {row.instrument for row in rows}


async def test_an_embedded_gateway_gives_ticks_without_any_server() -> None:
    async with Gateway(memory()) as gw, gw.ticks("SHFE.*", "DCE.*") as ticks:
        got = await take(ticks, 100)
    assert {tick.exchange for tick in got} <= {"SHFE", "DCE"}
    assert_balanced(gw)


async def test_a_client_works_on_the_memory_bus_too() -> None:
    async with Gateway(memory()) as gw:
        client = Client(gw.bus)
        async with client.ticks("*") as stream:
            assert len(await take(stream, 50)) == 50
        status = await client.status()
        assert status.lines[0].line == "sim:primary"
        assert status.counters["in"] > 0


async def test_a_slow_reader_inside_the_process_loses_the_oldest_and_sees_how_many() -> None:
    async with Gateway(memory(rate=0, contracts=5)) as gw:
        tap = gw.ticks("*")
        await until(lambda: tap.dropped > 0)
        first = await anext(tap)
        assert first.seq > 1
        await tap.aclose()
        assert gw._core._taps == []


async def test_two_gateways_in_one_process_do_not_touch_each_other() -> None:
    async with Gateway(sim()) as one, Gateway(sim(seed=2)) as two:
        assert one.url != two.url
        async with one.ticks("*") as first, two.ticks("*") as second:
            assert len(await take(first, 100)) == len(await take(second, 100)) == 100
    assert_balanced(one)
    assert_balanced(two)


async def test_leaving_the_block_leaves_nothing_behind() -> None:
    before = (set(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")))
    async with Gateway(sim()) as gw:
        pids = [gw.line_pid(line.line) for line in gw.lines()]
        await until(lambda: all(line.ticks for line in gw.lines()))
    gc.collect()
    for pid in pids:
        assert pid is None or not os.path.exists(f"/proc/{pid}")
    assert set(asyncio.all_tasks()) == before[0]
    assert len(os.listdir("/proc/self/fd")) <= before[1]


async def test_a_body_that_raises_still_closes_the_gateway() -> None:
    gw = Gateway(sim())

    async def body() -> None:
        async with gw:
            await until(lambda: all(line.ticks for line in gw.lines()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await body()
    assert_balanced(gw)


async def test_no_server_at_the_given_address_is_an_error_with_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(BusError, match=url) as caught:
            async with Gateway(sim(BusSettings(urls=[url]))):
                pass
    assert caught.value.exit_code == 12


async def test_a_wrong_password_is_an_error_that_does_not_show_it() -> None:
    async with NatsServer(ServerOptions(user="gw", password="right-secret")) as server:
        with pytest.raises(BusError) as caught:
            async with Gateway(sim(BusSettings(urls=[server.url], user="gw", password="wrong-secret"))):
                pass
        assert "wrong-secret" not in str(caught.value)
        async with Gateway(sim(BusSettings(urls=[server.url], user="gw", password="right-secret"))) as gw:
            await until(lambda: gw.balance().published > 0)


@pytest.mark.parametrize(
    ("feed", "words"),
    [
        (FeedSettings(kind="simm"), "simm"),
        (FeedSettings(kind="sim", options={"contract": 5}), "did you mean contracts"),
        (FeedSettings(kind="sim", options={"rate": -1}), "rate"),
        (FeedSettings(kind="sim", instruments=["SHFE.zz*"]), "matches none"),
        (FeedSettings(kind="sim", router="fastest"), "fastest"),
        (FeedSettings(kind="chaos"), "has no catalogue"),
        (FeedSettings(kind="ctp", instruments=["SHFE.rb2510"]), "needs user_id"),
    ],
)
async def test_settings_that_cannot_work_are_refused_with_the_name_and_the_fix(feed: FeedSettings, words: str) -> None:
    settings = Settings(feeds={"x": feed}, bus=BusSettings(kind="memory"), metrics=QUIET)
    with pytest.raises(SettingsError, match=words) as caught:
        async with Gateway(settings, plugins=[chaos_feed]):
            pass
    assert "feeds.x" in str(caught.value)
    assert caught.value.exit_code == 11


async def test_a_metrics_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = memory().model_copy(update={"metrics": MetricsSettings(port=port)})
        with pytest.raises(FeedgateError, match="FEEDGATE_METRICS__PORT"):
            async with Gateway(settings):
                pass


async def test_metrics_tell_lines_coverage_and_drops() -> None:
    settings = sim().model_copy(update={"metrics": MetricsSettings(port=0)})
    async with Gateway(settings) as gw:
        await until(lambda: all(line.ticks > 100 for line in gw.lines()))
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.metrics_port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    assert 'md_line_state{account="primary",feed="sim",state="streaming"} 1.0' in text
    assert 'md_subscription_coverage_ratio{account="primary",feed="sim"' in text
    # which line is second depends on the machine
    assert re.search(r'md_ticks_dropped_total\{line="sim:(primary|backup)",reason="copy",stop="arbitrate"\}', text)


async def test_an_observer_sees_every_change_and_a_raising_one_harms_nobody() -> None:
    seen: list[str] = []

    class Watching:
        from gateway.hookspecs import hookimpl

        @hookimpl
        def gateway_observe(self) -> list[Any]:
            from gateway.hookspecs import Observer

            def bad(*_args: object) -> None:
                raise RuntimeError("observer bug")

            return [
                Observer(name="bad", line_changed=bad),
                Observer(name="good", line_changed=lambda line, state, _why: seen.append(f"{line} {state}")),
            ]

    async with Gateway(memory(), plugins=[Watching()]) as gw:
        await until(lambda: "sim:primary streaming" in seen)
        assert gw.lines()[0].state is LineState.STREAMING


async def test_instruments_given_by_name_need_no_catalogue_and_a_refusal_shows_the_vendors_words() -> None:
    feed = FeedSettings(kind="chaos", host="child", sessions="always", instruments=["CHAOS.200", "REFUSE.x"])
    settings = Settings(feeds={"chaos": feed}, bus=BusSettings(kind="memory"), metrics=QUIET)
    async with Gateway(settings, plugins=[chaos_feed]) as gw:
        await until(lambda: gw.balance().published == 200)
        await gw.settled()
        status = gw.lines()[0]
        assert (status.wanted, status.confirmed, status.failed) == (2, 1, 1)
        client = Client(gw.bus)
        subscriptions = (await client.subscriptions(states=["failed"])).subscriptions
        assert [s.reason for s in subscriptions] == ["合约不存在"]
        assert Instrument.parse(subscriptions[0].instrument) == Instrument("REFUSE", "x")
    assert_balanced(gw)
