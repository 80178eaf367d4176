"""A NATS that is somebody else's: looked at node by node, never touched."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest

from gateway.client import connect
from gateway.testing.nats import NatsServer, ServerOptions
from runbook.model import Exit
from tests.integration.runbook.supervised import Desk, until

ONCE = "RUNBOOK_START__TRIES=1"


@pytest.fixture
def closed() -> Iterator[str]:
    """Address of a node that is down."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield f"nats://127.0.0.1:{probe.getsockname()[1]}"


def said(desk: Desk) -> str:
    return " ".join(text for stage, text, _ in desk.stages if stage == "nats")


async def test_a_login_that_is_refused_is_12_and_the_password_is_not_told(desks: Callable[..., Desk]) -> None:
    async with NatsServer(ServerOptions(user="desk", password="right-word")) as server:
        login = f"NATS_URL={server.url}\nNATS_USER=desk\nNATS_PASSWORD=wrong-word\n"
        desk = desks(variables=login + ONCE)
        result = await desk.do("start")
        assert result.exit_code == Exit.NATS
        assert "uthorization" in result.message
        assert "correct NATS_URL, NATS_USER and NATS_PASSWORD" in result.message
        assert "wrong-word" not in said(desk) + result.message
        desk.env.write_text(desk.env.read_text().replace("wrong-word", "right-word"))
        assert (await desk.do("start")).exit_code == Exit.OK
        assert "takes our login" in said(desk)
        assert (await desk.do("stop")).exit_code == Exit.OK


async def test_messages_that_are_too_small_are_12(desks: Callable[..., Desk]) -> None:
    async with NatsServer(ServerOptions(max_payload=4096)) as server:
        result = await desks(variables=f"NATS_URL={server.url}\n{ONCE}").do("start")
    assert result.exit_code == Exit.NATS
    assert "takes messages of 4096 bytes at most; set max_payload" in result.message


async def test_a_user_who_may_not_publish_is_12(desks: Callable[..., Desk]) -> None:
    rights = 'authorization { users: [{ user: desk, password: word, permissions: { publish: { deny: ">" } } }] }'
    async with NatsServer(ServerOptions(extra=rights)) as server:
        login = f"NATS_URL={server.url}\nNATS_USER=desk\nNATS_PASSWORD=word-of-desk\n"
        desk = desks(variables=login.replace("word-of-desk", "word") + ONCE + "\nRUNBOOK_START__STAGE_TIMEOUT_S=5")
        result = await desk.do("start")
    assert result.exit_code == Exit.NATS
    assert "nothing comes back within" in result.message
    assert "permissions" in result.message


async def test_the_next_node_is_used_when_the_first_is_down_and_no_node_is_ever_touched(
    desks: Callable[..., Desk], closed: str
) -> None:
    async with NatsServer() as server:
        pid = server.pid
        desk = desks(variables=f"NATS_URL={closed},{server.url}\n{ONCE}")
        result = await desk.do("start")
        assert result.exit_code == Exit.OK, result.message
        assert f"next node 127.0.0.1:{server.port} answers" in said(desk)
        assert f"not usable before it: {closed.removeprefix('nats://')}" in said(desk)
        async with connect(server.url, name="desk") as client:
            connection = client._bus.connection
            assert (await client.status()).lines
            assert (await desk.do("restart")).exit_code == Exit.OK
            assert (await desk.do("stop")).exit_code == Exit.OK
            assert client._bus.connection == connection
        assert server.pid == pid
        assert await until(lambda: not desk.pids & {pid}, "the server was taken for ours")


async def test_when_no_node_answers_each_is_named(desks: Callable[..., Desk], closed: str) -> None:
    async with asyncio.timeout(60):
        other = closed.replace("127.0.0.1", "localhost")
        desk = desks(variables=f"NATS_URL={closed},{other}\n{ONCE}\nRUNBOOK_ESCALATION__AFTER=1")
        result = await desk.do("start")
    assert result.exit_code == Exit.NATS
    assert result.message.count("cannot be reached") >= 2
    assert "no next node: none of NATS_URL can be used" in result.message
