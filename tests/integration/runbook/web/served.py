"""A console that is really served: nats-server, a gateway with two sim lines, uvicorn; in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import FeedSettings, Gateway, LineState, Settings
from gateway.settings import AccountSettings, BusSettings, MetricsSettings
from gateway.settings.oversight import LedgerSettings, WatchSettings
from gateway.testing.nats import NatsServer
from runbook.app import Loaded, Runbook
from runbook.settings import ApiSettings, RunbookSettings
from runbook.web.serving import Serving, Wanted, serve
from tests.unit.runbook.web.consoles import OPERATOR, TOKENS, the_calendar

CONTRACTS = 30


@dataclass(frozen=True)
class Ground:
    """Where it is."""

    url: str
    runbook: Runbook
    gateway: Gateway
    nats: NatsServer

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {OPERATOR}"}


def sim_settings(url: str, place: Path, *, rate: int = 300) -> Settings:
    feed = FeedSettings(
        kind="sim",
        accounts={"primary": AccountSettings(), "backup": AccountSettings()},
        options={"contracts": CONTRACTS, "rate": rate, "quiet": 0.0},
    )
    return Settings(
        feeds={"sim": feed},
        bus=BusSettings(urls=[url]),
        metrics=MetricsSettings(enabled=False),
        # a busy machine is no silent line
        watch=WatchSettings(line_silent_s=60, floor_s=30),
        ledger=LedgerSettings(path=place / "ledger"),
    )


@asynccontextmanager
async def ground_in(place: Path, *, mock: bool = False, **api: Any) -> AsyncIterator[Ground]:
    """On the loop of the caller. Lines stream when it is entered."""
    async with NatsServer() as nats:
        settings = sim_settings(nats.url, place)
        async with Gateway(settings) as gateway:
            made = RunbookSettings(
                state_dir=place / "state", log_dir=place / "logs", api=ApiSettings(**{"tokens": TOKENS} | api)
            )
            loaded = Loaded(settings=settings, runbook=made, views_dir=place / "logs", mock=mock)
            runbook = Runbook(loaded, calendar=the_calendar())
            stop: asyncio.Event = asyncio.Event()
            told: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
            serving = asyncio.create_task(
                serve(runbook, Wanted(host="127.0.0.1", port=0, jobs=False), told.set_result, stop=stop)
            )
            try:
                await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
                observatory = told.result().application.runtime.console.observatory
                async with asyncio.timeout(60):  # until everything was looked at once, with the lines up
                    while not _settled(observatory.latest):
                        await asyncio.sleep(0.02)
                yield Ground(told.result().url, runbook, gateway, nats)
            finally:
                stop.set()
                await serving


def _settled(seen: Any) -> bool:
    lines = seen.status.lines if seen.status else ()
    streaming = len(lines) == 2 and all(line.state is LineState.STREAMING for line in lines)
    covered = bool(seen.coverage) and all(part.ratio == 1.0 for part in seen.coverage)
    return streaming and covered and seen.gaps_at_ns > 0


@contextmanager
def served_in(place: Path, *, mock: bool = False, **api: Any) -> Iterator[Ground]:
    """In a thread, for clients that block."""
    ready: threading.Event = threading.Event()
    found: list[Ground] = []
    failed: list[BaseException] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        end = asyncio.Event()
        loops.append((asyncio.get_running_loop(), end))
        async with ground_in(place, mock=mock, **api) as ground:
            found.append(ground)
            ready.set()
            await end.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="served console")
    thread.start()
    try:
        assert ready.wait(120), "it did not start"
        if failed:
            raise failed[0]
        yield found[0]
    finally:
        if loops and thread.is_alive():
            loop, end = loops[0]
            loop.call_soon_threadsafe(end.set)
        thread.join(60)
    if failed:
        raise failed[0]
