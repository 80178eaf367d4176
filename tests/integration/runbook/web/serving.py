"""A console behind its real server, on a real gateway; and a reader of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway import FeedSettings, Gateway, Settings
from gateway.settings import AccountSettings, BusSettings, MetricsSettings
from runbook.web.serving import Serving, Wanted, serve
from tests.unit.runbook.web.consoles import runbook_in

DEADLINE_S = 40.0


def gateway_settings(url: str | None = None, *, accounts: tuple[str, ...] = ("primary", "backup")) -> Settings:
    """Lines of a synthetic market; without a NATS server's address on a bus in memory."""
    feed = FeedSettings(
        kind="sim",
        host="inline",
        accounts={name: AccountSettings() for name in accounts},
        options={"contracts": 40, "rate": 200, "quiet": 0.0},
    )
    bus = BusSettings(urls=[url]) if url else BusSettings(kind="memory")
    return Settings(feeds={"sim": feed}, bus=bus, metrics=MetricsSettings(enabled=False))


@asynccontextmanager
async def served(place: Path, settings: Settings | None = None, **api: Any) -> AsyncIterator[Serving]:
    """As ``runbook serve --port 0 --no-jobs``."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    runbook = runbook_in(place, settings=settings, **api)
    work = asyncio.create_task(serve(runbook, Wanted(port=0, jobs=False), ready.set_result, stop=stop))
    try:
        await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        yield ready.result()
    finally:
        stop.set()
        await work


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway whose lines have all confirmed what they carry."""
    async with Gateway(settings) as gateway:
        async with asyncio.timeout(DEADLINE_S):
            await gateway.settled()
        yield gateway


async def until(true: Callable[[], Any]) -> Any:
    """Poll something that another task or process changes."""
    async with asyncio.timeout(DEADLINE_S):
        while not (found := true()):
            await asyncio.sleep(0.02)
    return found


@dataclass(frozen=True)
class Event:
    """As it came."""

    event: str
    data: Any
    id: str = ""


async def events(client: httpx.AsyncClient, path: str, **headers: str) -> AsyncIterator[Event]:
    """The events of a stream. Comments come as events named ``comment``."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", path, headers=given, timeout=DEADLINE_S) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        block: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                block[name or "comment"] = value
                continue
            if "event" in block:
                yield Event(block["event"], json.loads(block["data"]), block.get("id", ""))
            elif "comment" in block:
                yield Event("comment", None)
            block = {}
