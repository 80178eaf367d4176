"""A real browser (Debian's Chromium) against a real console on a gateway with two lines of a synthetic market."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from gateway import FeedSettings, Gateway, Settings
from gateway.settings import AccountSettings, BusSettings, LedgerSettings, MetricsSettings
from runbook.settings import RunbookSettings
from runbook.web.demo import KillLine
from runbook.web.embedded import EmbeddedRunbook
from runbook.web.serving import listen, listen_until
from tests import needing

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Where the pictures are kept, for CI and for people."""

PATIENCE_MS = 60_000
"""For whatever a page must come to show: the machine may be busy."""
expect.set_options(timeout=PATIENCE_MS)

ADMIN, OPERATOR, VIEWER = "admin-token-0123456789", "operator-token-0123456789", "viewer-token-0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A console that listens."""

    url: str
    gateway: Gateway
    runbook: EmbeddedRunbook


@asynccontextmanager
async def site_of(place: Path, **api: Any) -> AsyncIterator[Site]:
    account = AccountSettings()
    feed = FeedSettings(
        kind="sim",
        host="child",
        accounts={"primary": account, "backup": account},
        options={"contracts": 60, "rate": 200},
    )
    settings = Settings(
        feeds={"sim": feed},
        bus=BusSettings(urls=[]),
        metrics=MetricsSettings(enabled=False),
        ledger=LedgerSettings(path=place / "gaps.sqlite"),
    )
    directories = {name: place / name for name in ("state_dir", "log_dir", "soak_dir", "archive_dir", "incident_dir")}
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(Gateway(settings))
        await gateway.settled()
        gateway.plugins.manager.register(KillLine(gateway), name="kill-line")
        sock = listen("127.0.0.1", 0)
        stack.callback(sock.close)
        runbook = EmbeddedRunbook(gateway, RunbookSettings(**directories, api=api))
        await stack.enter_async_context(runbook)
        stopping, ready = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(listen_until(stopping, runbook.asgi_app(), sock, ready.set))
        await ready.wait()
        try:
            yield Site(url=f"http://127.0.0.1:{sock.getsockname()[1]}", gateway=gateway, runbook=runbook)
        finally:
            stopping.set()
            await serving


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Nobody has to log in; one for all tests that change little."""
    async with site_of(tmp_path_factory.mktemp("console")) as site:
        yield site


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """With tokens of all roles."""
    tokens = [f"admin:ada:{ADMIN}", f"operator:olga:{OPERATOR}", f"viewer:victor:{VIEWER}"]
    async with site_of(tmp_path_factory.mktemp("guarded"), tokens=tokens) as site:
        yield site


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = needing.program("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of its own whose errors fail the test: nothing may be logged, the CSP may refuse nothing."""
    async with opened(browser) as page:
        yield page


@asynccontextmanager
async def opened(browser: Browser, *, errors: bool = True, **options: Any) -> AsyncIterator[Page]:
    """A page in a context of its own (language, size, script, cookies)."""
    said: list[str] = []
    context: BrowserContext = await browser.new_context(**{"locale": "en-GB", **options})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield page
    finally:
        await context.close()
    if errors:
        assert said == []
