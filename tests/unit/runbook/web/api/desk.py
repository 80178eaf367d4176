"""A console with actions of the test's own, asked in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from gateway.loader import Plugins
from gateway.settings import Settings
from runbook.app import Loaded, Runbook
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Role
from runbook.settings import ApiSettings, RunbookSettings
from runbook.web.app import Application, build
from runbook.web.console import Console
from runbook.web.observatory import Observatory
from tests.unit.runbook.web.consoles import ADMIN, OPERATOR, TOKENS, VIEWER, asking, the_calendar

SECRET = "s3cr3t-of-the-audit-key"


class EchoParameters(BaseModel, extra="forbid", frozen=True):
    word: str = Field("", description="Said again")
    count: int = Field(1, ge=1, le=9, description="So often")


class Desk:
    """Application, clients for each role, and the actions ``wait``, ``echo``, ``admins-only``."""

    def __init__(self, place: Path, *, profile: str = "dev") -> None:
        self.began, self.go_on = asyncio.Event(), asyncio.Event()
        runbook = RunbookSettings(
            state_dir=place / "state",
            log_dir=place / "logs",
            audit_key=SECRET,
            cancel_grace_s=1,
            api=ApiSettings(tokens=TOKENS, actions_per_minute=10_000),
        )
        loaded = Loaded(settings=Settings(profile=profile), runbook=runbook, views_dir=place / "logs")
        plugins = Plugins.load([self], entry_points=False)
        self.runbook = Runbook(loaded, plugins=plugins, calendar=the_calendar())
        self.console = Console(runbook=self.runbook, observatory=Observatory(self.runbook), jobs=self.runbook.desk())
        self.app: Application = build(self.console)
        self.viewer: httpx.AsyncClient
        self.operator: httpx.AsyncClient
        self.admin: httpx.AsyncClient

    @hookimpl(optionalhook=True)
    def runbook_actions(self) -> Sequence[ActionKind]:
        return [
            ActionKind(name="wait", title="Wait", build=lambda: self._wait),
            ActionKind(
                name="echo",
                title="Echo",
                build=lambda: self._echo,
                parameters=EchoParameters,
                changes=False,
                exclusive=False,
            ),
            ActionKind(name="admins-only", title="Admins only", build=lambda: self._wait, role=Role.ADMIN),
        ]

    async def _wait(self, context: ActionContext, _parameters: Any) -> ActionResult:
        context.tell("waiting", "for the test", {"figure": 1})
        self.began.set()
        await self.go_on.wait()
        return ActionResult(exit_code=0, message="waited", details={"figure": 1})

    async def _echo(self, context: ActionContext, parameters: Any) -> ActionResult:
        context.tell("echo", getattr(parameters, "word", ""), {})
        return ActionResult(exit_code=0, message=getattr(parameters, "word", ""), details={"n": 1})

    async def over(self, run: str) -> dict[str, Any]:
        """A run that is over, as the API shows it."""
        async for _ in self.runbook.runner.watch(run):
            pass
        return (await self.viewer.get(f"/api/runbook/runs/{run}")).json()


@asynccontextmanager
async def desk_in(place: Path, **options: Any) -> AsyncIterator[Desk]:
    desk = Desk(place, **options)
    async with (
        desk.runbook,
        asking(desk.app, VIEWER) as desk.viewer,
        asking(desk.app, OPERATOR) as desk.operator,
        asking(desk.app, ADMIN) as desk.admin,
    ):
        try:
            yield desk
        finally:
            desk.go_on.set()
            await desk.app.aclose()
