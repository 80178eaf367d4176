"""Getting in: dead servers, wrong credentials, TLS, several URLs."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from pathlib import Path

import pytest

from gateway.bus.nats import NatsBus
from gateway.errors import BusError
from gateway.testing.nats import NatsServer, ServerOptions
from tests import needing

from .waiting import until


@pytest.fixture
def dead_url():
    """A port that nobody else gets and where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"nats://127.0.0.1:{held.getsockname()[1]}"


async def refused(*urls: str, **more) -> str:
    bus = NatsBus(urls, **more)
    with pytest.raises(BusError) as caught:
        async with asyncio.timeout(60):
            await bus.start()
    assert not bus.connected
    await bus.aclose()
    return str(caught.value)


async def works(bus: NatsBus) -> None:
    async with asyncio.timeout(60):
        messages = bus.subscribe("probe")
        await bus.publish("probe", b"control")
        assert (await anext(messages)).data == b"control"
        bus.post([(bus.head("probe"), b"tick")])
        await bus.settle()
        assert (await anext(messages)).data == b"tick"
        await messages.aclose()


async def test_no_server_is_a_bus_error_that_names_url_and_fix(dead_url):
    text = await refused(dead_url)
    assert dead_url in text
    assert "NATS_URL" in text


async def test_a_server_that_never_greets_is_given_up_in_time(server: NatsServer):
    server.suspend()
    text = await refused(server.url, connect_timeout=0.3)
    assert f"{server.url} did not answer within 0.3 s" in text


async def test_the_second_url_is_taken_when_the_first_is_dead(server: NatsServer, open_bus, dead_url):
    await works(await open_bus(dead_url, server.url))


async def test_a_lost_server_is_replaced_by_the_next_url(server: NatsServer, open_bus):
    async with NatsServer() as second:
        bus = await open_bus(server.url, second.url)
        await server.stop()
        await until(lambda: bus.counters.ticks.reconnects and bus.counters.control.reconnects)
        await bus.wait_connected()
        await works(bus)


@pytest.mark.parametrize(
    ("options", "right", "wrong"),
    [
        (
            {"user": "md", "password": 'p"a\\s {s}$'},
            {"user": "md", "password": 'p"a\\s {s}$'},
            {"user": "md", "password": "wrong-secret"},
        ),
        ({"token": "a token"}, {"token": "a token"}, {"token": "wrong-secret"}),
        ({"token": "a"}, {"token": "a"}, {}),
    ],
)
async def test_credentials_open_the_door_and_wrong_ones_are_refused_with_the_fix(open_bus, options, right, wrong):
    async with NatsServer(ServerOptions(**options)) as server:
        await works(await open_bus(server.url, **right))
        text = await refused(server.url, **wrong)
        assert f"{server.url} refused the credentials" in text
        assert "NATS_PASSWORD" in text
        assert "wrong-secret" not in text


async def test_credentials_in_the_url_work_and_are_never_shown(open_bus):
    async with NatsServer(ServerOptions(user="md", password="p@ss/w:rd")) as server:
        address = server.url.removeprefix("nats://")
        bus = await open_bus(f"nats://md:p%40ss%2Fw%3Ard@{address}")
        await works(bus)
        assert "p%40ss" not in repr(bus.options)
        text = await refused(f"nats://md:secret@{address}")
        assert "secret" not in text
        assert address in text


async def test_credentials_revoked_later_are_said_and_tried_again(open_bus, caplog):
    async with NatsServer(ServerOptions(user="md", password="one")) as server:
        bus = await open_bus(server.url, user="md", password="one")
        file = server.directory / "nats-server.conf"
        right = file.read_text()
        file.write_text(right.replace("one", "two"))
        await server.stop()
        await server.start()
        await until(lambda: bus.counters.ticks.failed_attempts >= 3 and "refused" in bus.last_error)
        assert not bus.connected
        assert "refused the credentials" in bus.last_error
        assert caplog.text.count("ticks connection to NATS is still down") <= 4
        file.write_text(right)
        await server.stop()
        await server.start()
        await until(lambda: bus.connected and bus.control_connected)
        await works(bus)


async def test_a_subject_that_the_server_forbids_is_counted(open_bus):
    allowed = 'authorization { users: [{ user: md, password: pw, permissions: { publish: "ok" } }] }'
    async with NatsServer(ServerOptions(extra=allowed)) as server:
        bus = await open_bus(server.url, user="md", password="pw")
        bus.post([(bus.head("md.tick.x"), b""), (bus.head("ok"), b"")])
        await bus.settle()
        assert bus.counters.ticks.refused == 1
        assert "md.tick.x" in bus.last_error
        assert bus.connected


@pytest.mark.parametrize(
    ("urls", "more", "named"),
    [
        ((), {}, "NATS_URL"),
        (("http://x:1",), {}, "http://x:1"),
        (("ws://x:1",), {}, "ws://x:1"),
        (("nats://x:port",), {}, "nats://x:port"),
        (("nats://u:secret@",), {}, "nats://"),
        (("x",), {"user": "md"}, "NATS_PASSWORD"),
        (("x",), {"creds_file": "no.creds"}, "no.creds"),
        (("x",), {"tls_ca": "no.pem"}, "no.pem"),
        (("x",), {"tls_cert": __file__}, "tls_key"),
        (("x",), {"tls_ca": __file__}, Path(__file__).name),
    ],
)
def test_what_cannot_work_is_refused_before_connecting(urls, more, named):
    with pytest.raises(BusError) as caught:
        NatsBus(urls, **more)
    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.fixture
def certificates(tmp_path: Path):
    program = needing.program("openssl")

    def openssl(*arguments: str) -> None:
        subprocess.run([program, *arguments], cwd=tmp_path, check=True, capture_output=True)

    new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    # from Python 3.13 on a CA without key usage is not believed
    signing = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl(*new, "/CN=test CA", "-x509", *signing, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        openssl(*new, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (tmp_path / "ext").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        issuer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext", "-days", "2"]
        openssl("x509", "-req", "-in", f"{name}.csr", *issuer, "-out", f"{name}.pem")
    return tmp_path


async def test_tls_with_client_certificates(certificates: Path, open_bus):
    pair = f"cert_file: '{certificates}/server.pem', key_file: '{certificates}/server.key'"
    tls = f"tls {{ {pair}, ca_file: '{certificates}/ca.pem', verify: true }}"
    async with NatsServer(ServerOptions(extra=tls)) as server:
        pair = {"tls_cert": certificates / "client.pem", "tls_key": certificates / "client.key"}
        bus = await open_bus(server.url, tls_ca=certificates / "ca.pem", **pair)
        await works(bus)
        await server.stop()
        await server.start()
        await until(lambda: bus.counters.ticks.reconnects and bus.counters.control.reconnects)
        await works(bus)
        assert "tls_ca" in await refused(server.url)
        assert server.url in await refused(server.url, tls_ca=certificates / "ca.pem", connect_timeout=2)


async def test_a_password_is_not_sent_in_clear_when_tls_was_asked_for(open_bus):
    async with NatsServer(ServerOptions(user="md", password="pw")) as server:
        text = await refused(server.url.replace("nats:", "tls:"), user="md", password="pw")
        assert "offers no TLS" in text


async def test_every_server_that_failed_is_named(dead_url):
    async with NatsServer(ServerOptions(token="a")) as server:
        text = await refused(dead_url, server.url, token="b")
        assert dead_url in text
        assert f"{server.url} refused the credentials" in text
