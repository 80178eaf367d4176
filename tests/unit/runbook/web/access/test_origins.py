"""What other people's pages can make a browser send, and what they get of it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from runbook.web.access.origin import whence
from tests.unit.runbook.web.consoles import LOCAL, OPERATOR, TOKENS, VIEWER, asking, console_in

ACTION = "/api/runbook/no-such-action"
THERE = 404
"""It got through to the action, which does not exist."""
FORM = {"content-type": "application/x-www-form-urlencoded"}

FOREIGN = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "https://other.example"},
    {"sec-fetch-site": "cross-site", "origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": "http://127.0.0.1.evil.example"},
    {"origin": "https://127.0.0.1"},
]
OWN = [
    {"sec-fetch-site": "same-origin", "origin": LOCAL},
    {"sec-fetch-site": "none"},
    {"origin": LOCAL},
    {"origin": "http://127.0.0.1:80"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_sites_page_changes_nothing_though_nobody_needs_a_token(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with console_in(tmp_path) as app, asking(app) as client:
        for path in (ACTION, "/logout", "/login"):
            answer = await client.post(path, headers={**headers, **FORM}, content="reason=x&token=y")
            assert answer.status_code == 403, path


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_sites_page_does_not_act_with_somebodys_login(tmp_path: Path, headers: dict[str, str]) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        await client.post("/login", data={"token": OPERATOR}, headers={"sec-fetch-site": "same-origin"})
        answer = await client.post(ACTION, headers={**headers, **FORM}, content="reason=x")
        assert answer.status_code == 403


@pytest.mark.parametrize("headers", OWN)
async def test_our_own_pages_and_scripts_act(tmp_path: Path, headers: dict[str, str]) -> None:
    async with console_in(tmp_path) as app, asking(app) as client:
        assert (await client.post(ACTION, headers=headers, json={})).status_code == THERE


async def test_a_page_that_the_settings_name_acts_with_a_token_of_its_own_and_never_with_a_cookie(
    tmp_path: Path,
) -> None:
    desk = {"origin": "https://desk.example", "sec-fetch-site": "cross-site"}
    async with (
        console_in(tmp_path, tokens=TOKENS, cors_origins=["https://desk.example"]) as app,
        asking(app) as client,
    ):
        preflight = await client.options(
            ACTION,
            headers={
                **desk,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization",
            },
        )
        assert preflight.headers["access-control-allow-origin"] == "https://desk.example"
        assert "access-control-allow-credentials" not in preflight.headers
        answer = await client.post(ACTION, headers={**desk, "Authorization": f"Bearer {OPERATOR}"}, json={})
        assert answer.status_code == THERE
        assert answer.headers["access-control-allow-origin"] == "https://desk.example"
        await client.post("/login", data={"token": OPERATOR}, headers={"sec-fetch-site": "same-origin"})
        assert (await client.post(ACTION, headers=desk, json={})).status_code == 403
        evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        answer = await client.post(ACTION, headers={**evil, "Authorization": f"Bearer {OPERATOR}"}, json={})
        assert answer.status_code == 403


async def test_all_origins_means_all_that_show_a_token(tmp_path: Path) -> None:
    page = {"origin": "https://any.example", "sec-fetch-site": "cross-site"}
    async with console_in(tmp_path, tokens=TOKENS, cors_origins=["*"]) as app, asking(app) as client:
        answer = await client.get("/api/runbook", headers={**page, "Authorization": f"Bearer {VIEWER}"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert (
            await client.post(ACTION, headers={**page, "Authorization": f"Bearer {OPERATOR}"}, json={})
        ).status_code == THERE
        assert (await client.post(ACTION, headers=page, json={})).status_code == 403


async def test_all_origins_do_not_get_at_a_console_without_tokens(tmp_path: Path) -> None:
    page = {"origin": "https://any.example", "sec-fetch-site": "cross-site"}
    async with console_in(tmp_path, cors_origins=["*"]) as app, asking(app) as client:
        assert (await client.post(ACTION, headers=page, json={})).status_code == 403


async def test_without_the_setting_no_page_reads_anything(tmp_path: Path) -> None:
    page = {"origin": "https://any.example", "sec-fetch-site": "cross-site"}
    async with console_in(tmp_path) as app, asking(app) as client:
        answer = await client.get("/healthz", headers=page)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example"])
async def test_a_name_that_was_made_to_point_here_gets_nothing(tmp_path: Path, host: str) -> None:
    async with console_in(tmp_path) as app, asking(app) as client:
        answer = await client.get("/api/status", headers={"host": host})
        assert answer.status_code == 421
        assert "runbook.api.hosts" in answer.json()["detail"]
        assert "<" not in answer.text


async def test_names_of_the_settings_and_the_loopbacks_are_ours(tmp_path: Path) -> None:
    async with console_in(tmp_path, hosts=["Console.Example"]) as app, asking(app) as client:
        for host in ("console.example:9180", "localhost:1", "[::1]:9180", "127.0.0.1"):
            assert (await client.get("/healthz", headers={"host": host})).status_code == 200


def test_fetch_metadata_of_a_browser_wins_over_its_origin() -> None:
    seen = whence(scheme="http", host="a:1", origin="http://a:1", fetch_site="cross-site", allowed=())
    assert seen == "foreign"


async def test_every_answer_has_the_security_headers_and_nobody_keeps_it(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app, VIEWER) as client:
        answers: list[httpx.Response] = [
            await client.get(path) for path in ("/healthz", "/login", "/nothing", "/api/status", "/plugins")
        ]
        answers.append(await client.get("/healthz", headers={"host": "127.0.0.1", "content-length": "99999999"}))
        kept = await client.get("/static/console.css")
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    assert "max-age" in kept.headers["cache-control"]
    assert kept.headers["x-content-type-options"] == "nosniff"


async def test_a_body_that_is_too_long_is_refused_whether_it_says_so_or_not(tmp_path: Path) -> None:
    async with console_in(tmp_path, body_limit=1000) as app, asking(app) as client:
        said = await client.post("/login", content=b"token=" + b"x" * 1000, headers=FORM)
        assert said.status_code == 413

        async def parts() -> object:
            for _ in range(20):
                yield b"token=" + b"x" * 94

        unsaid = await client.post("/login", content=parts(), headers=FORM)  # type: ignore[arg-type]  # any
        assert unsaid.status_code == 413
        text = (await client.get("/metrics")).text
        assert 'md_api_refused_total{reason="body"} 2.0' in text


async def test_a_body_that_never_comes_is_not_waited_for(tmp_path: Path) -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        import asyncio

        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/login",
        "raw_path": b"/login",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", FORM["content-type"].encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    async with console_in(tmp_path, request_s=0.05) as app:
        await app(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_requests_and_errors_are_counted_by_route_and_never_by_what_somebody_typed(tmp_path: Path) -> None:
    async with console_in(tmp_path) as app, asking(app) as client:
        await client.get("/api/runbook/runs/planted-in-the-path")
        await client.get("/planted-in-the-path")
        await client.request("PLANTED", "/healthz")
        text = (await client.get("/metrics")).text
    assert 'route="/api/runbook/runs/{run_id}"' in text or 'route="/api/runbook/runs/{run}"' in text
    assert "planted" not in text.lower()
