"""The nats-server that Feedgate brings along, for a gateway that was given no NATS_URL."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.bus.process import ServerProcess, find_nats_server
from gateway.errors import BusError

_log = logging.getLogger(__name__)

_BACKOFF_FIRST = 0.1
_BACKOFF_LIMIT = 5.0
_STABLE = 10.0


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What the server is started with.

    ``port`` 0 takes a free one. ``directory`` holds its configuration and its store; None is a temporary one that
    ``aclose`` removes. ``config_file`` is a whole nats-server configuration instead of the fields below it; only
    host and port still hold. ``extra`` is configuration text to append. Secrets go into a file that only this
    user can read, never on the command line. ``jetstream`` streams sync each message to disk (``sync_interval:
    always``), because NATS otherwise acknowledges up to two minutes before it does.
    """

    host: str = "127.0.0.1"
    port: int = 0
    directory: Path | None = None
    binary: Path | None = None
    start_timeout: float = 10.0
    stop_timeout: float = 5.0
    config_file: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    max_payload: int | None = None
    jetstream: bool = False
    extra: str = field(default="", repr=False)

    def check(self) -> None:
        """Raises BusError for what does not go together."""
        if (self.user is None) != (self.password is None):
            raise BusError("nats-server: user and password belong together; give both or neither")
        if self.user is not None and self.token is not None:
            raise BusError("nats-server: give user and password, or a token, not both")
        if self.config_file is not None:
            if not self.config_file.is_file():
                raise BusError(f"nats-server: configuration {self.config_file} does not exist; correct its path")
            given = (self.user, self.token, self.max_payload, self.jetstream or None, self.extra or None)
            if any(value is not None for value in given):
                raise BusError(f"nats-server: put authorization and limits into {self.config_file} itself")

    def configuration(self, store: Path) -> str:
        """The text of the configuration file."""
        lines = []
        if self.max_payload is not None:
            lines.append(f"max_payload: {self.max_payload}")
        if self.user is not None:
            lines.append(f"authorization {{ user: {_quoted(self.user)}, password: {_quoted(self.password or '')} }}")
        if self.token is not None:
            lines.append(f"authorization {{ token: {_quoted(self.token)} }}")
        if self.jetstream:
            lines.append(f"jetstream {{ store_dir: {_quoted(str(store))}, sync_interval: always }}")
        return "\n".join([*lines, self.extra, ""])


class BundledServer:
    """``async with BundledServer() as server: … server.url``: a nats-server of our own, on a port of its own.

    It stops with ``aclose`` and, on Linux, when this process dies in whatever way. When it dies by itself it is
    started again on the same port, with back-off, so that clients find it where it was; ``restarts`` counts that.
    Must be used on one event loop, in a thread that lives as long as the server shall.
    """

    def __init__(self, options: ServerOptions | None = None) -> None:
        """Raises BusError for options that do not go together, and when no nats-server is installed."""
        self.options = options or ServerOptions()
        self.options.check()
        self.binary = self.options.binary or find_nats_server()
        self.port = self.options.port
        self.restarts = 0
        self._slow_before = 0
        self._process: ServerProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._directory: Path | None = None

    @property
    def url(self) -> str:
        """Where clients connect, without credentials."""
        host = "127.0.0.1" if self.options.host in ("0.0.0.0", "::") else self.options.host  # noqa: S104 - asks, binds nothing
        return f"nats://[{host}]:{self.port}" if ":" in host else f"nats://{host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id, None while it does not run."""
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and not self._process.exited.done()

    @property
    def slow_consumers(self) -> int:
        """How many clients the server has cut off because they did not read fast enough, as it says in its log."""
        return self._slow_before + (self._process.slow_consumers if self._process is not None else 0)

    @property
    def directory(self) -> Path:
        """Where its files are. Raises BusError before it was started."""
        if self._directory is None:
            raise BusError("nats-server has no directory yet; start it first")
        return self._directory

    async def start(self, *, supervised: bool = True) -> None:
        """Return when it greets clients. Raises BusError with its last words when it does not.

        ``supervised=False`` leaves it dead when it dies.
        """
        if self._process is not None:
            raise BusError(f"nats-server runs already on port {self.port}")
        if self._directory is None:
            self._directory = self._prepare()
        await self._run()
        if supervised:
            self._keeper = asyncio.create_task(self._keep(), name="nats-server keeper")

    async def stop(self) -> None:
        """Stop the process; the port stays ours in name, the directory stays. Idempotent."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        if self._process is not None:
            await self._process.stop(self.options.stop_timeout)
            self._slow_before += self._process.slow_consumers
            self._process = None

    async def aclose(self) -> None:
        """Stop it, and remove its directory if it was a temporary one. Idempotent."""
        await self.stop()
        if self._directory is not None:
            if self.options.directory is None:
                shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None:
            self._process.signal(number)

    def _prepare(self) -> Path:
        if self.options.directory is None:
            directory = Path(tempfile.mkdtemp(prefix="feedgate-nats-"))
        else:
            directory = self.options.directory
            directory.mkdir(parents=True, exist_ok=True)
        if self.options.config_file is None:
            file = directory / "nats-server.conf"
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(self.options.configuration(directory / "jetstream"))
            file.chmod(0o600)
        return directory

    async def _run(self) -> None:
        config = self.options.config_file or self.directory / "nats-server.conf"
        arguments = ["-c", str(config), "-a", self.options.host, "-p", str(self.port or -1)]
        process = await ServerProcess.spawn(self.binary, [*arguments, "--ports_file_dir", str(self.directory)])
        try:
            self.port = await process.ready(self.directory, self.options.start_timeout)
        except BaseException:
            await process.stop(self.options.stop_timeout)
            raise
        self._process = process
        _log.info("nats-server %d serves %s", process.pid, self.url)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        delay = _BACKOFF_FIRST
        while True:
            process = self._process
            began = loop.time()
            if process is not None:
                await asyncio.wait({process.exited})
                code = process.exited.result()
                _log.error("nats-server ended by itself (exit code %s); it said:\n%s", code, process.last_words())
                self._slow_before += process.slow_consumers
                self._process = None
                if loop.time() - began > _STABLE:
                    delay = _BACKOFF_FIRST
            await asyncio.sleep(delay)
            delay = min(delay * 2, _BACKOFF_LIMIT)
            try:
                await self._run()
            except BusError as error:
                _log.error("nats-server cannot be started again on port %d: %s", self.port, error)
            else:
                self.restarts += 1


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
