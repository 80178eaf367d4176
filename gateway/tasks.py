"""Tasks with an owner: nobody's failure goes unseen, nobody is left running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from gateway.errors import FeedgateError

_log = logging.getLogger(__name__)


class TaskOwner:
    """The background tasks of one gateway. The first that fails is kept, and :meth:`failure` raises it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run it until it ends, or until :meth:`aclose` cancels it."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._done)
        self._tasks.append(task)
        return task

    def adopt(self, task: asyncio.Task[None]) -> None:
        """:meth:`aclose` ends this task too; its failures are told to whoever started it."""
        self._tasks.append(task)

    async def failure(self) -> None:
        """Wait until a task fails, then raise FeedgateError from what it raised."""
        await self._failed.wait()
        raise FeedgateError(f"the gateway failed: {self._failure!r}; see its log") from self._failure

    async def aclose(self) -> None:
        """Cancel the youngest first, and wait for each. Idempotent."""
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            await asyncio.wait({task})

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        self._failure = self._failure or task.exception()
        _log.critical("%s failed", task.get_name(), exc_info=task.exception())
        self._failed.set()
