"""``Runbook(gw).asgi_app()``: alone behind uvicorn, and mounted inside a FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from gateway import Gateway
from runbook import Runbook
from runbook.model import ActionRequest, Exit, Role, Trigger
from runbook.settings import ApiSettings, RunbookSettings
from tests.integration.runbook.web.serving import DEADLINE_S, events, gateway_settings, running, until
from tests.unit.runbook.web.consoles import ADMIN, OPERATOR, TOKENS

BROWSER = {"accept": "text/html", "sec-fetch-site": "same-origin"}


def settings_in(place: Path, **api: Any) -> RunbookSettings:
    return RunbookSettings(state_dir=place / "state", log_dir=place / "logs", api=ApiSettings(**api))


@asynccontextmanager
async def behind_uvicorn(app: Any) -> AsyncIterator[str]:
    """Somebody's own server, with the settings that it has by itself."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none"))
    server.config.load()
    work = asyncio.create_task(server._serve())
    try:
        await until(lambda: server.started or work.done())
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await work


async def ready(client: httpx.AsyncClient, path: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await client.get(path)).status_code != 200:
            await asyncio.sleep(0.05)


def request(action: str, **more: Any) -> ActionRequest:
    return ActionRequest(action=action, operator="ada", trigger=Trigger.API, reason="a test", **more)


async def test_the_console_of_a_programs_own_gateway_under_uvicorn(tmp_path: Path) -> None:
    async with running(gateway_settings()) as gateway, Runbook(gateway, settings_in(tmp_path)) as runbook:
        app = runbook.asgi_app()
        async with behind_uvicorn(app) as url, httpx.AsyncClient(base_url=url) as client:
            await ready(client, "/readyz")
            status = (await client.get("/api/status")).json()
            assert {line["line"] for line in status["lines"]} == {"sim:primary", "sim:backup"}
            answer = await client.post("/api/runbook/failover", json={"reason": "a test"})
            assert answer.status_code == 202, answer.text
            await until(lambda: _active(gateway) == "sim:backup")
            async with aclosing(events(client, "/api/ticks/events?pattern=*")) as live:
                assert (await anext(live)).event == "contracts"
                assert (await anext(live)).event == "tick"


def _active(gateway: Gateway) -> str:
    return next(line.line for line in gateway.lines() if line.role == "active")


async def test_mounted_inside_fastapi_links_cookies_and_redirects_stay_below_the_mount(tmp_path: Path) -> None:
    async with (
        running(gateway_settings()) as gateway,
        Runbook(gateway, settings_in(tmp_path, tokens=TOKENS)) as runbook,
    ):
        outer = FastAPI()

        @outer.get("/own")
        def own() -> str:
            return "of the program"

        outer.mount("/ops", runbook.asgi_app())
        async with behind_uvicorn(outer) as url, httpx.AsyncClient(base_url=url, headers=BROWSER) as client:
            assert (await client.get("/own")).json() == "of the program"
            assert (await client.get("/healthz")).status_code == 404
            await ready(client, "/ops/readyz")
            answer = await client.get("/ops/plugins?x=1")
            assert answer.status_code == 303
            assert answer.headers["location"] == "/ops/login?back=%2Fplugins%3Fx%3D1"
            page = await client.get(answer.headers["location"])
            assert 'action="/ops/login"' in page.text
            assert 'href="/ops/static/console.css"' in page.text
            assert (await client.get("/ops/static/console.css")).status_code == 200
            wrong = await client.post("/ops/login", data={"token": "wrong", "back": "/plugins?x=1"})
            assert wrong.headers["location"] == "/ops/login?problem=refused&back=%2Fplugins%3Fx%3D1"
            answer = await client.post("/ops/login", data={"token": OPERATOR, "back": "/plugins?x=1"})
            assert answer.headers["location"] == "/ops/plugins?x=1"
            assert "Path=/ops;" in answer.headers["set-cookie"] + ";"
            assert (await client.get("/ops/plugins?x=1")).status_code == 200
            async with aclosing(events(client, "/ops/api/events")) as live:
                assert (await anext(live)).event == "status"
            out = await client.post("/ops/logout")
            assert out.headers["location"] == "/ops/login"
            assert (await client.get("/ops/plugins")).status_code == 303


async def test_a_program_alone_starts_and_stops_its_gateway(tmp_path: Path) -> None:
    async with running(gateway_settings()) as gateway, Runbook(gateway, settings_in(tmp_path)) as runbook:
        for action in ("start", "stop", "restart", "rollback"):
            run = await runbook.run(request(action), role=Role.ADMIN)
            assert run.exit_code == Exit.NOT_ALLOWED, action
            assert "part of a program" in (run.result.message if run.result else "")
        assert gateway.lines()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(runbook.asgi_app()), base_url="http://127.0.0.1"
        ) as client:
            answer = await client.post("/api/runbook/stop", json={"reason": "a test"})
            assert answer.status_code == 403
            assert "part of a program" in answer.text


async def test_the_audit_is_the_runbooks_and_a_restarted_line_is_in_it(tmp_path: Path) -> None:
    async with running(gateway_settings()) as gateway, Runbook(gateway, settings_in(tmp_path)) as runbook:
        run = await runbook.run(request("restart-line", parameters={"line": "sim:backup"}))
        assert run.exit_code == Exit.OK, run.result
        text = "".join(path.read_text() for path in (tmp_path / "state" / "audit").glob("*.jsonl"))
        assert run.id in text


async def test_without_tokens_other_machines_get_nothing(tmp_path: Path) -> None:
    async with running(gateway_settings()) as gateway, Runbook(gateway, settings_in(tmp_path)) as runbook:
        transport = httpx.ASGITransport(runbook.asgi_app(), client=("192.0.2.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await client.get("/api/status")).status_code == 401
            assert (await client.get("/healthz")).status_code == 200


async def test_a_gateway_that_does_not_run_is_said_to_be_unreachable(tmp_path: Path) -> None:
    from gateway.errors import BusError

    gateway = Gateway(gateway_settings())
    async with Runbook(gateway, settings_in(tmp_path)) as runbook:
        with pytest.raises(BusError, match="not running yet"):
            async with runbook.connect():
                pass


async def test_two_consoles_in_one_process_do_not_mix(tmp_path: Path) -> None:
    async with (
        running(gateway_settings()) as one,
        running(gateway_settings(accounts=("primary",))) as other,
        Runbook(one, settings_in(tmp_path / "one", tokens=TOKENS)) as first,
        Runbook(other, settings_in(tmp_path / "other")) as second,
    ):
        answers = []
        for runbook, token in ((first, ADMIN), (second, "")):
            transport = httpx.ASGITransport(runbook.asgi_app())
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
                await ready(client, "/readyz")
                answers.append(len((await client.get("/api/status")).json()["lines"]))
        assert answers == [2, 1]
