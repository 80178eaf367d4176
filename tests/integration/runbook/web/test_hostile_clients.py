"""Slow, silent and lying clients, on raw sockets; and a server that goes on answering everybody else."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from runbook.web.fanout import QUEUE
from runbook.web.serving import Serving
from tests.integration.runbook.web.serving import DEADLINE_S, served, until
from tests.unit.runbook.web.consoles import OPERATOR, TOKENS, VIEWER

PATIENCE_S = 0.4
PLANTED = "planted-token-9f1c"


@asynccontextmanager
async def connected(console: Serving):
    parts = urlsplit(console.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def said(console: Serving, request: bytes) -> bytes:
    """Everything that the server answers until it closes the connection."""
    async with connected(console) as (reader, writer), asyncio.timeout(DEADLINE_S):
        writer.write(request)
        try:
            return await reader.read()
        except ConnectionError:
            return b""


def stalled(console: Serving, what: str) -> float:
    return console.application.runtime.meters.stalled.labels(what)._value.get()


@pytest.mark.parametrize("begin", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: a"])
async def test_a_request_that_never_ends_is_cut_off_and_counted(tmp_path: Path, begin: bytes) -> None:
    async with served(tmp_path, request_s=PATIENCE_S) as console:
        assert await said(console, begin) == b""
        assert stalled(console, "request") == 1
        async with httpx.AsyncClient(base_url=console.url) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_a_head_that_comes_byte_by_byte_has_no_more_time_than_others(tmp_path: Path) -> None:
    async with served(tmp_path, request_s=PATIENCE_S) as console, connected(console) as (reader, writer):
        sent = 0
        async with asyncio.timeout(DEADLINE_S):
            while not reader.at_eof():
                writer.write(b"GET / HTTP/1.1\r\n"[sent : sent + 1] or b"x")
                sent += 1
                try:
                    async with asyncio.timeout(PATIENCE_S / 8):
                        assert await reader.read(1) == b""
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        assert stalled(console, "request") == 1
        assert sent > 2


async def test_a_body_that_does_not_come_is_answered_with_408(tmp_path: Path) -> None:
    head = (
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 100\r\n\r\ntoken=x"
    )
    async with served(tmp_path, request_s=PATIENCE_S) as console:
        answer = await said(console, head)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


async def test_a_client_that_stops_reading_a_stream_is_cut_off_and_costs_little(tmp_path: Path) -> None:
    request = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with served(tmp_path, request_s=PATIENCE_S) as console:
        live = console.application.runtime.live
        parts = urlsplit(console.url)
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, (parts.hostname, parts.port))
            await loop.sock_sendall(deaf, request)
            await until(lambda: len(live.fanout))
            while len(live.fanout):
                for _ in range(QUEUE // 2):
                    live.fanout.publish("run", b'"' + b"x" * 20_000 + b'"')
                await asyncio.sleep(0.01)
            await until(lambda: len(console.application.runtime.streams) == 0)
        text = console.application.runtime.meters.text().decode()
        assert 'md_api_stream_drops_total{kind="events"} 1.0' in text
        assert stalled(console, "answer") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_harms_nobody(tmp_path: Path, request_bytes: bytes) -> None:
    async with served(tmp_path, request_s=PATIENCE_S) as console:
        answer = await said(console, request_bytes)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
        async with httpx.AsyncClient(base_url=console.url) as client:
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("path", ["/login?back=%0d%0aX-Planted:%201", "/preferences?lang=zh&back=/%0d%0aX-Planted:1"])
async def test_a_line_end_in_an_address_makes_no_header(tmp_path: Path, path: str) -> None:
    async with served(tmp_path) as console:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        answer = await said(console, head)
        assert b"\r\nX-Planted" not in answer.partition(b"\r\n\r\n")[0]


async def test_a_web_socket_is_turned_away(tmp_path: Path) -> None:
    async with served(tmp_path) as console:
        answer = await said(
            console,
            b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        assert b" 101 " not in answer[:20]


async def test_one_connection_may_ask_again_and_again(tmp_path: Path) -> None:
    async with served(tmp_path, request_s=PATIENCE_S) as console, connected(console) as (reader, writer):
        for _ in range(3):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            async with asyncio.timeout(DEADLINE_S):
                assert (await reader.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(DEADLINE_S):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        assert stalled(console, "request") == 0  # an idle connection is nobody's fault


async def test_there_are_no_more_streams_than_the_settings_allow(tmp_path: Path) -> None:
    async with (
        served(tmp_path, tokens=TOKENS, streams=1) as console,
        httpx.AsyncClient(base_url=console.url, headers={"Authorization": f"Bearer {VIEWER}"}) as client,
    ):
        async with client.stream("GET", "/api/events") as first:
            assert first.status_code == 200
            await until(lambda: len(console.application.runtime.streams) == 1)
            answer = await client.get("/api/events")
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
        await until(lambda: len(console.application.runtime.streams) == 0)
        async with client.stream("GET", "/api/events") as again:
            assert again.status_code == 200


async def test_behind_a_proxy_that_the_settings_name_the_clients_address_and_scheme_count(tmp_path: Path) -> None:
    form = {"token": OPERATOR}
    via = {"x-forwarded-for": "192.0.2.9", "x-forwarded-proto": "https", "sec-fetch-site": "same-origin"}
    for proxies, secure in ((["127.0.0.1"], True), ([], False)):
        async with (
            served(tmp_path, tokens=TOKENS, proxies=proxies) as console,
            httpx.AsyncClient(base_url=console.url) as client,
        ):
            answer = await client.post("/login", data=form, headers=via)
            assert ("secure" in answer.headers["set-cookie"].lower()) is secure


async def test_no_log_of_the_server_shows_a_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(tmp_path, tokens=TOKENS) as console, httpx.AsyncClient(base_url=console.url) as client:
        for token in (PLANTED, OPERATOR):
            await client.get("/api/status", headers={"Authorization": f"Bearer {token}"})
            await client.post("/login", data={"token": token}, headers={"sec-fetch-site": "same-origin"})
        await said(console, f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {PLANTED}\r\n b\x00\r\n\r\n".encode())
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    text = "".join(record.getMessage() + str(record.exc_text) for record in ours)
    assert PLANTED not in text
    assert OPERATOR not in text
