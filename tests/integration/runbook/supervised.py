"""Somebody at a supervisor with real processes, for the tests of this directory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.clock import SystemClock
from gateway.errors import FeedgateError
from gateway.settings import Settings
from runbook.actions.restart import runbook_actions as restart_actions
from runbook.actions.start import StartActions
from runbook.actions.stop import runbook_actions as stop_actions
from runbook.context import ActionContext
from runbook.model import ActionRequest, ActionResult, Profile, Trigger, Window
from runbook.settings import RunbookSettings
from runbook.supervisor.launch import Launch
from runbook.supervisor.link import LostSupervisorError, NoSupervisorError, SupervisorLink
from runbook.supervisor.place import Place
from tests.integration.runbook.coming_days import coming_days

DEADLINE_S = 120.0
FEED = """
name = "{name}"
[feeds.sim]
instruments = ["SHFE.*"]
[feeds.sim.options]
contracts = 60
rate = 200
{options}
[feeds.sim.accounts.primary]
[feeds.sim.accounts.backup]
[metrics]
port = 0
{more}
"""
SECRET = "planted-secret-7319"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until(condition: Callable[[], Any], what: str) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if asyncio.iscoroutine(found := condition()):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.05)
    raise AssertionError(what)


class Desk:
    """Somebody who types ``runbook start`` and so on, on a directory of his own."""

    def __init__(self, directory: Path, *, options: str = "", more: str = "", variables: str = "") -> None:
        self.directory = directory
        self.state, self.logs = directory / "state", directory / "logs"
        self.config, self.env = directory / "feed.toml", directory / ".env"
        self.config.write_text(FEED.format(name="desk", options=options, more=more))
        self.env.write_text(
            f"RUNBOOK_START__STAGE_TIMEOUT_S=60\nRUNBOOK_START__TRIES=2\nSIM_SECRET={SECRET}\n"
            f"OPS_API_TOKENS=operator:desk:{SECRET}\n{variables}\n"
            + "".join(f"{name}={value}\n" for name, value in coming_days(directory).items())
        )
        self.env.chmod(0o600)
        self.launch = Launch(config=self.config, env_files=(self.env,))
        self.link = SupervisorLink(Place(self.state))
        self.pushgateway: str | None = None
        self.stages: list[tuple[str, str, dict[str, Any]]] = []
        self.pids: set[int] = set()

    async def do(
        self, action: str, *, window: Window | None = None, dry_run: bool = False, profile: Profile = "dev"
    ) -> ActionResult:
        kinds = {
            kind.name: kind
            for kind in (*StartActions(self.launch).runbook_actions(), *stop_actions(), *restart_actions())
        }
        kind = kinds[action]
        request = ActionRequest(
            action=action,
            operator="desk",
            trigger=Trigger.CLI,
            window=window,
            dry_run=dry_run,
            profile=profile,
        )

        def no_gateway() -> Any:
            raise AssertionError

        context = ActionContext(
            run="r",
            request=request,
            settings=Settings(),
            runbook=RunbookSettings.model_validate(
                {
                    "state_dir": self.state,
                    "log_dir": self.logs,
                    "metrics": {"pushgateway_url": self.pushgateway} if self.pushgateway else {},
                }
            ),
            clock=SystemClock(),
            log_dir=self.logs,
            connect=no_gateway,
            tell=lambda stage, text, fields: self.stages.append((stage, text, dict(fields))),
        )
        async with asyncio.timeout(4 * DEADLINE_S):
            try:
                result = await kind.build()(context, kind.parameters())
            except FeedgateError as error:  # as the runner does
                result = ActionResult(exit_code=error.exit_code, message=str(error))
        with contextlib.suppress(NoSupervisorError, LostSupervisorError):
            await self.status()
        return result

    async def status(self) -> dict[str, Any]:
        status = await self.link.status()
        self.pids |= {status["pid"], *(row["pid"] for row in status["processes"] if row["pid"])}
        return status

    async def pid(self, name: str) -> int:
        return next(row["pid"] for row in (await self.status())["processes"] if row["name"] == name)

    async def process(self, name: str) -> dict[str, Any]:
        return next(row for row in (await self.status())["processes"] if row["name"] == name)

    def markers(self) -> list[str]:
        return [fields["marker"] for _, _, fields in self.stages if "marker" in fields]

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.logs / "supervisor.log").read_text().splitlines()]

    async def gone(self) -> None:
        """Everything that ever ran for this desk has ended, its line processes too."""
        await until(lambda: not any(map(alive, self.pids)), f"processes stay: {self.pids}")
        await until(lambda: not processes_of(self.directory), f"processes stay: {processes_of(self.directory)}")


def processes_of(directory: Path) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if str(directory) in line:
                    found.append((int(entry.name), line))
    return found


async def foreground(desk: Desk, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "runbook.supervisor", "--foreground"),
        *desk.launch.arguments(desk.state, desk.logs),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
