"""What the supervisor owns: settings, NATS and the gateway as processes, and the way to ask the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.bus.opening import nats_login
from gateway.calendar import Calendar
from gateway.client import Client, connect
from gateway.settings import Settings
from runbook.model import Exit, Window
from runbook.notify import Escalates
from runbook.settings import RunbookSettings
from runbook.supervisor.children import Spawn
from runbook.supervisor.keeper import Keeper, ProcessState, Say
from runbook.supervisor.probes import HealthCheck
from runbook.supervisor.programs import GatewayProgram, NatsProgram
from runbook.supervisor.records import PROCESS_ACTIONS, Records
from runbook.supervisor.timers import Timers


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an environment is made of; tests put in others."""

    settings: Settings
    runbook: RunbookSettings
    load: Callable[[], tuple[Settings, RunbookSettings]]
    """Reads the settings anew, before each start. Blocks; raises SettingsError."""
    spawn: Spawn
    timers: Timers
    say: Say
    escalation: Escalates
    health: HealthCheck
    calendar: Callable[[], Calendar]
    """Blocks; raises CalendarError."""
    config: Path | None = None
    env_files: tuple[Path, ...] = ()
    environment: dict[str, str] = field(repr=False)
    nats_server: Path | None = None
    """In place of the bundled nats-server."""
    records: Records | None = None
    """None: nothing is written into the audit, and nothing pushed."""
    connect: Callable[[], AbstractAsyncContextManager[Client]] | None = None
    """In place of a connection to NATS."""


class Site:
    """The processes of one state directory. For one event loop."""

    def __init__(self, parts: Parts) -> None:
        self.settings, self.runbook = parts.settings, parts.runbook
        self.timers = parts.timers
        self.parts = parts
        self._sayings: set[asyncio.Task[None]] = set()
        self._frozen: dict[str, str] = {}
        self._unwell: set[str] = set()
        limit = parts.runbook.start.stage_timeout_s
        self.external = bool(parts.settings.bus.urls)
        self.nats_program = NatsProgram(
            parts.settings.bus,
            parts.settings.bus.store_dir or parts.runbook.state_dir / "nats",
            parts.timers,
            binary=parts.nats_server,
            ready_s=limit,
        )
        self.gateway_program = GatewayProgram(
            self.connect,
            parts.timers,
            config=parts.config,
            env_files=parts.env_files,
            environment=parts.environment,
            ready_s=limit,
        )
        self.nats = None if self.external else self._keeper(self.nats_program)
        self.gateway = self._keeper(self.gateway_program)
        self.failed_stage = ""
        """The stage that the last start or restart failed at."""
        self.silent: dict[str, str] = {}
        """What runs and does not answer, and how; the watch keeps it."""

    def _keeper(self, program: NatsProgram | GatewayProgram) -> Keeper:
        return Keeper(program, self.parts.spawn, self.timers, self.parts.say, self._troubled)

    @property
    def nats_url(self) -> str | None:
        """Where consumers connect, without credentials; None before the bundled server has a port."""
        if self.external:
            return self.settings.bus.urls[0]
        return self.nats_program.url if self.nats_program.port else None

    @property
    def keepers(self) -> tuple[Keeper, ...]:
        """In the order of starting."""
        return (self.nats, self.gateway) if self.nats is not None else (self.gateway,)

    @property
    def running(self) -> list[str]:
        """Names of the processes that are not off."""
        return [keeper.name for keeper in self.keepers if keeper.state is not ProcessState.OFF]

    @property
    def degraded(self) -> bool:
        """Whether something that matters is not running, although it should."""
        bad = (ProcessState.DEGRADED, ProcessState.WAITING, ProcessState.STARTING)
        lost = any(keeper.state in bad and keeper.program.restart.degrades for keeper in self.keepers)
        return lost or bool((self.failed_stage or self.silent) and self.running)

    def status(self) -> dict[str, Any]:
        """JSON values; holds no secret."""
        return {
            "state": "off" if not self.running else "degraded" if self.degraded else "running",
            "failed_stage": self.failed_stage,
            "silent": dict(self.silent),
            "nats": {"url": self.nats_url, "bundled": not self.external, "monitor": self.nats_program.monitor},
            "gateway": self.settings.name,
            "profile": self.settings.profile,
            "processes": [keeper.status() for keeper in self.keepers],
        }

    def connect(self) -> AbstractAsyncContextManager[Client]:
        """A client of the gateway. Raises BusError when NATS cannot be reached."""
        if self.parts.connect is not None:
            return self.parts.connect()
        bus = self.settings.bus
        urls = list(bus.urls) if self.external else [self.nats_program.url]
        return connect(urls, name=self.settings.name, **nats_login(bus))

    async def aclose(self) -> None:
        """End everything that still runs, without ceremony. Idempotent."""
        for task in tuple(self._sayings):
            task.cancel()
            await asyncio.wait({task})
        for keeper in reversed(self.keepers):
            await keeper.stop()

    def take(self, settings: Settings) -> None:
        """New settings. While something runs NATS stays where it is; whoever calls has looked."""
        self.settings = settings
        if self.running:
            return
        self.external = bool(settings.bus.urls)
        self.nats_program.host = settings.bus.bundled_host
        self.nats_program.port = settings.bus.bundled_port or self.nats_program.port
        self.nats = None if self.external else self.nats or self._keeper(self.nats_program)

    def froze(self, keeper: Keeper, text: str) -> None:
        """A process is about to be killed because it answers nothing. The gateway comes back with ``--debug``."""
        self._frozen[keeper.name] = text
        self.parts.say("process_frozen", text, {"pid": keeper.status()["pid"]}, "critical")

    def trouble(self, name: str, code: int, text: str, *, failures: int, again: bool = True) -> None:
        """Something that should run is in trouble: into the audit, and to the Pushgateway.

        People are told when it failed in a row as often as the settings say, or is not tried again.
        """
        self._unwell.add(name)
        tell = failures == self.runbook.escalation.after or not again

        async def saying() -> None:
            if self.parts.records is not None:
                await self.parts.records.note(PROCESS_ACTIONS[name], code, text)
                await self.parts.records.push(code)
            if tell:
                marker = f"process_{name}_{'waiting' if again else 'degraded'}"
                told = await self.parts.escalation.tell(f"process {name}", failures, code, marker=marker, text=text)
                fields = {"marker": "event=process_escalation", "exit_code": code}
                self.parts.say("escalation", f"{name} {told.said}", fields, "critical")

        self._do(saying(), f"trouble of {name}")

    async def well_again(self, name: str) -> None:
        """It answers. Once all do, the Pushgateway gets a 0."""
        if name not in self._unwell:
            return
        self._unwell.discard(name)
        text = f"{name} answers again"
        self.parts.say("well_again", text, {}, "warning")
        if self.parts.records is not None:
            await self.parts.records.note(PROCESS_ACTIONS[name], int(Exit.OK), text)
            if not self._unwell:
                await self.parts.records.push(int(Exit.OK))

    async def stage_failed(self, action: str, code: int, text: str, window: Window | None) -> None:
        """Into the audit, and so into the log file of the stage. Waits until it is there."""
        if self.parts.records is not None:
            await self.parts.records.note(action, code, text, window)

    def _troubled(self, keeper: Keeper) -> None:
        """A process died or could not be started again; ``keeper`` knows how often, and whether it goes on trying."""
        if keeper is self.gateway:
            self.gateway_program.debug = True  # contract §9: restart with --debug
        code = int(Exit.NATS if keeper is self.nats else Exit.GATEWAY)
        text = self._frozen.pop(keeper.name, "") or f"{keeper.name} {keeper.state.value}: {keeper.reason}"
        again = keeper.state is not ProcessState.DEGRADED
        self.trouble(keeper.name, code, text, failures=keeper.failures, again=again)

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._sayings.add(task)
        task.add_done_callback(self._sayings.discard)
