"""The whole console on a real gateway: status, actions, live events, what happens when the gateway goes and comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from gateway.testing.nats import NatsServer
from tests.integration.runbook.web.serving import (
    DEADLINE_S,
    Event,
    events,
    gateway_settings,
    running,
    served,
    until,
)
from tests.unit.runbook.web.consoles import OPERATOR, TOKENS, VIEWER

CLIENTS = 200


@pytest.fixture
async def server() -> AsyncIterator[NatsServer]:
    async with NatsServer() as server:
        yield server


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def ready(client: httpx.AsyncClient) -> httpx.Response:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = await client.get("/readyz")
            if answer.status_code == 200:
                return answer
            await asyncio.sleep(0.05)


async def take(source: AsyncIterator[Event], kind: str) -> Event:
    async with asyncio.timeout(DEADLINE_S):
        async for event in source:
            if event.event == kind:
                return event
    raise AssertionError(f"the stream ended without {kind}")


async def test_a_failover_through_the_api_is_seen_live_and_is_in_the_audit(server: NatsServer, tmp_path: Path) -> None:
    settings = gateway_settings(server.url)
    async with (
        running(settings),
        served(tmp_path, settings, tokens=TOKENS) as console,
        httpx.AsyncClient(base_url=console.url, headers=bearer(OPERATOR)) as client,
        aclosing(events(client, "/api/events")) as live,
    ):
        first = await take(live, "status")
        assert first.id
        await ready(client)
        answer = await client.post("/api/runbook/failover", json={"reason": "a test", "profile": "live"})
        assert answer.status_code == 202, answer.text
        run = answer.headers["location"].rpartition("/")[2]
        event = began = await take(live, "run")
        assert (began.data["id"], began.data["action"], began.data["operator"]) == (run, "failover", "wang")
        stages = [event async for event in events(client, f"/api/runbook/runs/{run}/events")]
        assert [int(event.id) for event in stages] == list(range(1, len(stages) + 1))
        assert stages[0].event == "stage"
        assert stages[-1].event == "done"
        assert stages[-1].data["result"]["exit_code"] == 0
        rest = [event async for event in events(client, f"/api/runbook/runs/{run}/events", last_event_id="2")]
        assert [event.id for event in rest] == [event.id for event in stages[2:]]
        while event.data["state"] != "done":
            event = await take(live, "run")
        assert event.data["exit_code"] == 0
        records = list(console.application.runtime.console.runbook.audit.directory.glob("*.jsonl"))
        audit = "".join(path.read_text() for path in records)
        assert run in audit
        assert '"trigger":"api"' in audit
        await until(lambda: console.application.runtime.console.observatory.latest.switches)
        text = (await client.get("/metrics")).text
        assert 'md_runbook_runs_total{action="failover",exit_code="0"} 1.0' in text
        assert "md_console_gateway_reachable 1.0" in text


async def test_who_loses_the_connection_gets_what_was_missed(server: NatsServer, tmp_path: Path) -> None:
    settings = gateway_settings(server.url)
    async with (
        running(settings),
        served(tmp_path, settings, tokens=TOKENS) as console,
        httpx.AsyncClient(base_url=console.url, headers=bearer(VIEWER)) as client,
    ):
        async with aclosing(events(client, "/api/events")) as live:
            await take(live, "status")
            last = int((await take(live, "status")).id)
        fanout = console.application.runtime.live.fanout
        await until(lambda: fanout.last_id >= last + 3)
        async with aclosing(events(client, "/api/events", last_event_id=str(last))) as live:
            numbers = [int((await anext(live)).id) for _ in range(3)]
        assert numbers == [last + 1, last + 2, last + 3]
        async with aclosing(events(client, "/api/events", last_event_id="12")) as live:
            assert int((await anext(live)).id) >= last + 3


async def test_two_hundred_clients_all_see_everything_and_the_gateway_is_asked_once(
    server: NatsServer, tmp_path: Path
) -> None:
    settings = gateway_settings(server.url)
    limits = httpx.Limits(max_connections=CLIENTS + 10)
    async with (
        running(settings),
        served(tmp_path, settings, tokens=TOKENS) as console,
        httpx.AsyncClient(base_url=console.url, headers=bearer(VIEWER), limits=limits) as client,
    ):
        observatory = console.application.runtime.console.observatory
        fanout = console.application.runtime.live.fanout
        streams = console.application.runtime.streams

        async def listen() -> list[Event]:
            async with aclosing(events(client, "/api/events")) as live:
                await take(live, "status")
                return [await take(live, "status") for _ in range(3)]

        looks = observatory.looks
        listening = [asyncio.create_task(listen()) for _ in range(CLIENTS)]
        await until(lambda: len(streams) == CLIENTS)
        published = fanout.last_id
        heard = await asyncio.gather(*listening)
        assert all(int(b.id) - int(a.id) == 1 for each in heard for a, b in pairwise(each))
        everybodys = set.intersection(*({event.id for event in each} for each in heard[-20:]))
        assert everybodys
        assert fanout.last_id - published < 60
        assert observatory.looks - looks < 60
        assert fanout.drops == 0
        await until(lambda: len(streams) == 0 and len(fanout) == 0)


async def test_ticks_come_live_and_at_most_twenty_contracts(server: NatsServer, tmp_path: Path) -> None:
    settings = gateway_settings(server.url)
    async with (
        running(settings) as gateway,
        served(tmp_path, settings) as console,
        httpx.AsyncClient(base_url=console.url) as client,
    ):
        await ready(client)
        async with aclosing(events(client, "/api/ticks/events?pattern=*")) as live:
            said = await take(live, "contracts")
            assert len(said.data["shown"]) == 20
            assert said.data["matching"] == 40
            seen = {(await take(live, "tick")).data["instrument"] for _ in range(30)}
            assert seen <= set(said.data["shown"])
        name = str(gateway.contracts()[0].instrument)
        async with aclosing(events(client, f"/api/ticks/events?pattern={name}")) as live:
            first = await take(live, "tick")
            second = await take(live, "tick")
        assert first.data["instrument"] == second.data["instrument"] == name
        assert second.data["seq"] > first.data["seq"]
        for pattern, status in (("no pattern", 400), ("SHFE.nothing*", 404), ("a.b.c\r\n", 400)):
            answer = await client.get("/api/ticks/events", params={"pattern": pattern})
            assert answer.status_code == status, pattern
        await until(lambda: len(console.application.runtime.streams) == 0)


async def test_a_gateway_that_goes_and_comes_back_is_noticed_both_times(server: NatsServer, tmp_path: Path) -> None:
    settings = gateway_settings(server.url)
    async with (
        served(tmp_path, settings) as console,
        httpx.AsyncClient(base_url=console.url) as client,
    ):
        observatory = console.application.runtime.console.observatory
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        async with running(settings):
            await ready(client)
            first = observatory.latest.status
            assert first is not None
            await until(lambda: observatory.latest.coverage and observatory.latest.figures)
            assert observatory.history.series("published_rate", 0)
            assert {band.state for band in observatory.history.bands("sim:primary", 0)} >= {"streaming"}
        await until(lambda: not observatory.latest.reachable)
        assert observatory.latest.status is first or observatory.latest.status is not None
        assert observatory.latest.problems
        async with running(settings):
            await until(lambda: observatory.latest.reachable)
            again = observatory.latest.status
            assert again is not None
            assert again.epoch > first.epoch


async def test_a_nats_server_that_comes_back_elsewhere_is_found_again(tmp_path: Path) -> None:
    from gateway.client import connect

    where = {}
    async with served(tmp_path, gateway_settings("nats://127.0.0.1:1")) as console:
        runbook = console.application.runtime.console.runbook
        runbook.connect = lambda: connect(where["url"])  # type: ignore[method-assign]  # where the supervisor put it
        observatory = console.application.runtime.console.observatory
        for _ in range(2):
            async with NatsServer() as server:
                where["url"] = server.url
                async with running(gateway_settings(server.url)):
                    await until(lambda: observatory.latest.reachable)
            await until(lambda: not observatory.latest.reachable)


async def test_stopping_ends_the_streams_of_clients_that_would_listen_for_ever(
    server: NatsServer, tmp_path: Path
) -> None:
    settings = gateway_settings(server.url)
    async with running(settings), httpx.AsyncClient() as client:
        async with served(tmp_path, settings) as console:
            client.base_url = httpx.URL(console.url)
            live = events(client, "/api/events")
            await take(live, "status")
        assert [event async for event in live if event.event == "never"] == []
