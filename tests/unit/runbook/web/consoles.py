"""A console for tests: the real composition in a temporary directory, without a gateway unless it is given one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from gateway.calendar import Calendar, load_calendar
from gateway.clock import Clock
from gateway.loader import Plugins
from gateway.settings import Settings
from runbook.app import Loaded, Runbook
from runbook.settings import ApiSettings, RunbookSettings
from runbook.web.app import Application, build
from runbook.web.console import Console
from runbook.web.observatory import Observatory

VIEWER, OPERATOR, ADMIN = "the-viewers-token-1", "the-operators-token-2", "the-admins-token-3"
TOKENS = [f"viewer:vera:{VIEWER}", f"operator:wang:{OPERATOR}", f"admin:ada:{ADMIN}"]
LOCAL = "http://127.0.0.1"


@cache
def the_calendar() -> Calendar:
    """Read once."""
    return load_calendar()


@cache
def the_plugins() -> Plugins:
    """Found once."""
    return Plugins.load()


def runbook_in(place: Path, *, clock: Clock | None = None, settings: Settings | None = None, **api: Any) -> Runbook:
    """A runbook whose state is below ``place``; ``api`` are API settings."""
    runbook = RunbookSettings(state_dir=place / "state", log_dir=place / "logs", api=ApiSettings(**api))
    loaded = Loaded(settings=settings or Settings(), runbook=runbook, views_dir=place / "logs")
    return Runbook(loaded, clock=clock, plugins=the_plugins(), calendar=the_calendar())


@asynccontextmanager
async def console_in(
    place: Path, *, clock: Clock | None = None, settings: Settings | None = None, **api: Any
) -> AsyncIterator[Application]:
    """Its application, closed at the end."""
    async with runbook_in(place, clock=clock, settings=settings, **api) as runbook:
        console = Console(runbook=runbook, observatory=Observatory(runbook), jobs=runbook.desk())
        app = build(console)
        try:
            yield app
        finally:
            await app.aclose()


@asynccontextmanager
async def asking(
    app: Any, token: str = "", *, address: str = "127.0.0.1", base_url: str = LOCAL, **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application in this process, without a server. Keeps cookies, follows no redirect."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        given["Authorization"] = f"Bearer {token}"
    transport = httpx.ASGITransport(app, client=(address, 40000), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=base_url, headers=given) as client:
        yield client
