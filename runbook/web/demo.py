"""``runbook demo``: lines of a synthetic market with their console, and an action that kills one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import BaseModel, Field

from gateway import Gateway
from gateway.hookspecs import hookimpl
from gateway.settings import LedgerSettings
from gateway.terminal.run import Beside, demo, demo_settings
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind
from runbook.model import ActionResult, Exit
from runbook.settings import ApiSettings, RunbookSettings
from runbook.web.embedded import EmbeddedRunbook
from runbook.web.serving import ServeError, listen, listen_until
from runbook.web.standins import STANDINS, standin_settings

HOST: Final = "127.0.0.1"


class KillLineParameters(BaseModel, extra="forbid", frozen=True):
    """Which line."""

    line: str = Field("", description="Line whose process is killed, such as sim:primary; unset: the active one")


class KillLine:
    """The plugin of the demo: ``kill-line``, a fault for real. Nothing outside the demo brings this action."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @hookimpl(optionalhook=True)
    def runbook_actions(self) -> Sequence[ActionKind]:
        """The action."""
        return [ActionKind(name="kill-line", title="Kill a line", build=self._build, parameters=KillLineParameters)]

    def _build(self) -> Action:
        return self._kill

    async def _kill(self, context: ActionContext, parameters: KillLineParameters) -> ActionResult:
        lines = self._gateway.lines()
        wanted = parameters.line or next((one.line for one in lines if one.role == "active"), "")
        pid = self._gateway.line_pid(wanted)
        if pid is None:
            there = ", ".join(one.line for one in lines)
            return ActionResult(
                exit_code=Exit.USAGE, message=f"{wanted or 'no line'} has no process to kill; the lines are: {there}"
            )
        details = {"line": wanted, "pid": pid}
        if context.request.dry_run:
            text = f"dry run: SIGKILL would go to process {pid} of {wanted}"
            return ActionResult(exit_code=Exit.OK, message=text, details=details)
        with suppress(ProcessLookupError):  # it has just ended by itself, which comes to the same
            os.kill(pid, signal.SIGKILL)
        return ActionResult(exit_code=Exit.OK, message=f"SIGKILL to {wanted} (process {pid})", details=details)


async def run_demo(
    *,
    rate: float,
    contracts: int,
    seconds: float | None,
    kill_after: float | None,
    as_json: bool,
    port: int | None,
    profile: str = "sim",
) -> int:
    """Until Ctrl-C or for so many seconds. Returns what ``gateway demo`` does. Raises ServeError for a port in use.

    ``port`` of the console; None: the usual one, or a free one where that is taken. ``profile``: ``sim``, the gateway's
    own market, or ``both``, the plugins CTP and SOPT on stand-ins of their libraries (rate and contracts are theirs).

    Ledger, audit and logs are in a temporary directory, and gone with the demo.
    """
    with TemporaryDirectory(prefix="feedgate-demo-") as place:
        if profile == "both":
            settings, title = standin_settings(), STANDINS
        else:
            settings, title = demo_settings(rate=rate, contracts=contracts, replay=None, speed=1.0), "Feedgate demo"
        settings = settings.model_copy(update={"ledger": LedgerSettings(path=Path(place) / "gaps.sqlite")})
        return await demo(
            settings,
            seconds=seconds,
            kill_after=kill_after,
            as_json=as_json,
            beside=_console(Path(place), port),
            title=title,
        )


def _console(place: Path, port: int | None) -> Beside:
    settings = _settings(place)

    @asynccontextmanager
    async def beside(gateway: Gateway) -> AsyncIterator[str]:
        sock = await asyncio.to_thread(_listen, port)
        async with AsyncExitStack() as stack:
            stack.callback(sock.close)
            gateway.plugins.manager.register(KillLine(gateway), name="demo")
            runbook = await asyncio.to_thread(EmbeddedRunbook, gateway, settings)
            await stack.enter_async_context(runbook)
            stopping, ready = asyncio.Event(), asyncio.Event()
            serving = asyncio.create_task(
                listen_until(stopping, runbook.asgi_app(), sock, ready.set), name="demo console"
            )
            try:
                await ready.wait()
                yield f"console: http://{HOST}:{sock.getsockname()[1]}   (kill a line there, and fail back)"
            finally:
                stopping.set()
                await serving

    return beside


def _listen(port: int | None) -> socket.socket:
    """The usual port, or a free one where it is taken and nobody asked for it."""
    if port is not None:
        return listen(HOST, port)
    try:
        return listen(HOST, ApiSettings().port)
    except ServeError:
        return listen(HOST, 0)


def _settings(place: Path) -> RunbookSettings:
    changes: dict[str, Any] = {
        "state_dir": place / "state",
        "log_dir": place / "logs",
        "soak_dir": place / "soak",
        "archive_dir": place / "archive",
        "incident_dir": place / "incidents",
    }
    return RunbookSettings(**changes)
