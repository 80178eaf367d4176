"""The programs that the supervisor runs: nats-server and the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from gateway.bus.process import find_nats_server
from gateway.bus.server import ServerOptions
from gateway.client import Client
from gateway.control import StatusReply
from gateway.errors import BusError, ControlError
from gateway.model import LineState, LineStatus
from gateway.settings import BusSettings
from runbook.supervisor.children import Child, Command
from runbook.supervisor.restarts import CRITICAL
from runbook.supervisor.timers import Timers, pass_on_cancellation

_LOOK_S: Final = 0.2
_CLOCK_STEP_MS: Final = 2000
"""A wall clock may be set back a little between our look at it and the gateway's."""
_UP: Final = frozenset({LineState.LOGGED_IN, LineState.STREAMING})

Connect = Callable[[], AbstractAsyncContextManager[Client]]
"""A client of the gateway; raises BusError when NATS cannot be reached."""


class NatsProgram:
    """The bundled nats-server. The port is the configured one; for 0 a free one, kept over restarts."""

    name = "nats"
    restart = CRITICAL
    stop_s = 10.0
    hopeless: frozenset[int] = frozenset()

    def __init__(
        self, bus: BusSettings, directory: Path, timers: Timers, *, binary: Path | None, ready_s: float
    ) -> None:
        """``directory``: for its configuration and its streams, which sync every message to disk."""
        self.ready_s = ready_s
        self.port = bus.bundled_port
        self.host = bus.bundled_host
        self.monitor: str | None = None
        """Address of its monitoring, once it is ready: loopback only, no secrets in it."""
        self._directory = directory
        self._binary = binary
        self._timers = timers

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - asks, binds nothing
        return f"nats://[{host}]:{self.port}" if ":" in host else f"nats://{host}:{self.port}"

    def command(self) -> Command:
        binary = self._binary or find_nats_server()
        if not os.access(binary, os.X_OK):
            raise BusError(f"{binary} is not a program; name a nats-server that can be run")
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for stale in self._directory.glob("*.ports"):
            stale.unlink(missing_ok=True)
        if not self.port:
            self.port = _free_port(self.host)
        file = self._directory / "nats-server.conf"
        options = ServerOptions(jetstream=True, extra='http: "127.0.0.1:-1"')
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(options.configuration(self._directory / "jetstream"))
        arguments = ["-c", str(file), "-a", self.host, "-p", str(self.port), "--ports_file_dir", str(self._directory)]
        return Command(argv=[str(binary), *arguments], env={}, log="nats.log")

    async def ready(self, child: Child, /) -> None:
        """Once it says its ports by its process id, and greets there. Another server on the port does not count."""
        ports = self._directory / f"nats-server_{child.pid}.ports"
        while True:
            found = _read_ports(ports)
            if found and await greets("127.0.0.1" if self.host == "0.0.0.0" else self.host, self.port):  # noqa: S104 - asks, binds nothing
                self.monitor = next(iter(found.get("monitoring", [])), None)
                return
            await self._timers.sleep(_LOOK_S)

    def unready(self) -> str:
        return f"nobody greets on {self.url}"


class GatewayProgram:
    """``python -m gateway run`` with the operator's files, on a NATS that is handed over."""

    name = "gateway"
    restart = CRITICAL
    stop_s = 40.0
    hopeless = frozenset({11})
    """Settings that it refuses stay refused."""

    def __init__(
        self,
        connect: Connect,
        timers: Timers,
        *,
        config: Path | None,
        env_files: Sequence[Path],
        environment: Mapping[str, str],
        ready_s: float,
    ) -> None:
        self.ready_s = ready_s
        self.nats_url: str | None = None
        """The bundled server's; None: as the settings say."""
        self.debug = False
        self._connect = connect
        self._timers = timers
        self._files = [f"--config={config}"] if config else []
        self._files += [f"--env-file={file}" for file in env_files]
        self._environment = {name: value for name, value in environment.items() if name not in _NOT_FOR_CHILDREN}
        self._spawned_ms = 0
        self._unready = "not asked yet"

    def command(self) -> Command:
        self._spawned_ms = self._timers.clock.wall_ns() // 1_000_000
        self._unready = "its control service does not answer yet"
        env = self._environment | ({"NATS_URL": self.nats_url} if self.nats_url else {})
        level = "DEBUG" if self.debug else "INFO"
        logs = ["--log-level", level, "run", "--no-view", "--log-format", "json"]
        argv = [sys.executable, "-m", "gateway", *logs, *self._files]
        return Command(argv=argv, env=env, log="gateway.log")

    async def ready(self, _child: Child, /) -> None:
        """Once its control service answers, and of each feed a line is logged in."""
        while True:
            try:
                async with self._connect() as client:
                    while not self._serves(await client.status()):
                        await self._timers.sleep(_LOOK_S)
                    return
            except (BusError, ControlError) as error:
                pass_on_cancellation()
                if error.fields.get("reply_code") != "no_responder":
                    self._unready = str(error)
            await self._timers.sleep(_LOOK_S)

    async def answers(self) -> None:
        """Once its control service answers, whatever its lines do. For one that serves already."""
        while True:
            try:
                async with self._connect() as client:
                    await client.status()
                    return
            except (BusError, ControlError) as error:
                pass_on_cancellation()
                self._unready = f"it runs and does not answer: {error}"
            await self._timers.sleep(_LOOK_S)

    def unready(self) -> str:
        return self._unready

    def _serves(self, status: StatusReply) -> bool:
        if status.epoch < self._spawned_ms - _CLOCK_STEP_MS:
            self._unready = (
                f"another gateway of the name {status.name!r} answers on this NATS; stop it, or give one another name"
            )
            return False
        up = {_feed(line) for line in status.lines if line.state in _UP}
        waiting = [
            f"{line.line} is {line.state.value}{f' ({line.reason})' if line.reason else ''}"
            for line in status.lines
            if _feed(line) not in up
        ]
        if waiting or not status.lines:
            self._unready = f"{'; '.join(waiting) or 'it has no lines'}; check the front and the login"
            return False
        return True


_NOT_FOR_CHILDREN: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})


def _feed(line: LineStatus) -> str:
    return line.line.partition(":")[0]


async def greets(host: str, port: int) -> bool:
    """Whether a NATS server (or something that begins with TLS) answers there."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(1):
            return (await reader.readline()).startswith(b"INFO ")
    except (OSError, ValueError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _read_ports(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return None  # not there or not finished yet
    return found if isinstance(found, dict) and found.get("nats") else None


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
