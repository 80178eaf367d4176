"""An external NATS: each of its nodes is looked at in turn; nothing of it is ever started, changed or stopped."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.bus.nats import NatsBus
from gateway.bus.opening import nats_options
from gateway.errors import BusError
from gateway.settings import BusSettings

LEAST_PAYLOAD: Final = 64 * 1024
"""Bytes. Below this, answers of the control service do not fit."""
_PORT: Final = 4222
_AGAIN_S: Final = 0.1


async def usable_node(bus: BusSettings, limit_s: float) -> str:
    """In words which node of ``bus.urls``, in their order, can be used; what is wrong with those before it.

    Usable: it can be reached, takes our login, brings a message back, and takes messages that are large enough.
    JetStream is not needed. Raises BusError that says for each node why it cannot be used.
    """
    each_s = max(limit_s / max(len(bus.urls), 1), 1.0)
    wrong: list[str] = []
    for url in bus.urls:
        try:
            async with asyncio.timeout(each_s):
                payload = await _round_trip(bus, url, min(each_s, bus.connect_timeout_s))
        except TimeoutError:
            wrong.append(f"{shown(url)}: nothing comes back within {each_s:g} s; look at the permissions of the user")
            continue
        except BusError as error:
            wrong.append(f"{shown(url)}: {' '.join(str(error).split())}")
            continue
        if payload < LEAST_PAYLOAD:
            wrong.append(f"{shown(url)}: takes messages of {payload} bytes at most; set max_payload: 1MB in its file")
            continue
        before = f"; not usable before it: {'; '.join(wrong)}" if wrong else ""
        next_node = "next node" if wrong else "external server"
        return f"{next_node} {shown(url)} answers, takes our login and messages of {payload} bytes{before}"
    raise BusError("; ".join(wrong) or "NATS_URL names no server")


def shown(url: str) -> str:
    """Without a login that may be in it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or _PORT}"


def all_shown(urls: Sequence[str]) -> str:
    """For people."""
    return ", ".join(map(shown, urls))


async def _round_trip(bus: BusSettings, url: str, connect_s: float) -> int:
    """Connect, send one message to ourselves. Returns the largest payload. Raises BusError."""
    name = f"start-{secrets.token_hex(4)}"
    options = dataclasses.replace(nats_options(bus, (url,), name), connect_timeout=connect_s)
    connection = NatsBus(options)
    subject = f"_INBOX.{name}"
    try:
        await connection.start()
        messages = connection.subscribe(subject)
        waiting = asyncio.ensure_future(anext(messages))
        try:
            while not waiting.done():
                # the subscription is in force from its first turn on; once more costs nothing
                await connection.publish(subject, b"start")
                await asyncio.wait({waiting}, timeout=_AGAIN_S)
            waiting.result()
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
            with contextlib.suppress(BusError):
                closing: Any = getattr(messages, "aclose", None)
                if closing is not None:
                    await closing()
        return connection.max_payload
    finally:
        await connection.aclose()
