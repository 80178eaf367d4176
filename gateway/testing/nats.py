"""A real nats-server for tests, that can be stopped, started again on its port, and frozen.

::

    @pytest.fixture
    async def server() -> AsyncIterator[NatsServer]:
        async with NatsServer() as server:
            yield server
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.bus.server import BundledServer, ServerOptions

__all__ = ["NatsServer", "ServerOptions"]


class NatsServer:
    """On a free port of 127.0.0.1, with its own temporary directory; runs from ``async with`` on."""

    def __init__(self, options: ServerOptions | None = None) -> None:
        """Raises BusError as :class:`~gateway.bus.server.BundledServer` does."""
        self._server = BundledServer(options)
        self._suspended = False

    @property
    def url(self) -> str:
        """Where clients connect, without credentials; the same after ``stop`` and ``start``."""
        return self._server.url

    @property
    def port(self) -> int:
        """The port."""
        return self._server.port

    @property
    def pid(self) -> int | None:
        """The process id, None while stopped."""
        return self._server.pid

    @property
    def slow_consumers(self) -> int:
        """How many clients it has cut off for not reading."""
        return self._server.slow_consumers

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return self._server.directory

    async def start(self) -> None:
        """Start on the same port as before. Returns when it greets clients."""
        await self._server.start(supervised=False)

    async def stop(self) -> None:
        """Stop in good order. Idempotent."""
        self.resume()
        await self._server.stop()

    async def kill(self) -> None:
        """SIGKILL: clients see their sockets break."""
        self._server.signal(signal.SIGKILL)
        await self._server.stop()

    def suspend(self) -> None:
        """SIGSTOP: sockets stay open, nothing answers."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
            self._suspended = True

    def resume(self) -> None:
        """Go on after ``suspend``."""
        pid = self.pid
        if pid is not None and self._suspended:
            os.kill(pid, signal.SIGCONT)
        self._suspended = False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._server.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume()
        await self._server.aclose()
