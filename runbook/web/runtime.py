"""What runs behind the handlers of one application, from its first request (or its lifespan) to its end."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from gateway.tasks import TaskOwner
from runbook.web.console import Console
from runbook.web.live import Live
from runbook.web.meters import Meters
from runbook.web.streams import Streams


class Runtime:
    """Observatory and live events. Started once, by whoever comes first; ``aclose`` ends it for good, idempotently."""

    def __init__(self, console: Console, meters: Meters) -> None:
        self.console = console
        self.meters = meters
        self.streams = Streams(console.runbook.runbook.api.streams, meters)
        self.live = Live(console, self.streams, meters)
        self._tasks = TaskOwner()
        self._started = False
        self._closed = False

    def start(self) -> None:
        """Needs a running event loop. An application mounted into another gets no lifespan: its first request does."""
        if self._started or self._closed:
            return
        self._started = True
        self._tasks.start(self.console.observatory.run(), "observatory")
        self._tasks.start(self.live.run(), "live events")

    def hang_up(self) -> None:
        """End all event streams, so that a server that waits for its connections need not. Idempotent."""
        self.streams.close()
        self.live.close()

    async def aclose(self) -> None:
        """Idempotent."""
        self._closed = True
        self.hang_up()
        await self._tasks.aclose()
        if self.console.embedded:  # elsewhere whoever serves ends the runbook, after the last request
            await self.console.runbook.runner.aclose()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
