"""A run of this process while it goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Final

from runbook.model import ActionRequest, ActionResult, Role
from runbook.runner.journal import RunJournal
from runbook.runner.lock import ExclusiveLock
from runbook.runner.run import Run, RunState, Stage
from runbook.runner.store import OpenRun

_KEPT: Final = 500
"""Stages kept in memory; the journal has all."""


class LiveRun:
    """Its state, what it holds, and who watches it. One loop; ``tell`` may come from other threads."""

    def __init__(self, run: Run, request: ActionRequest, role: Role, journal: RunJournal) -> None:
        self.run = run
        self.request = request
        """As asked, not masked."""
        self.role = role
        self.journal = journal
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once it is refused or about to begin."""
        self.opened: OpenRun | None = None
        self.lock: ExclusiveLock | None = None
        self.key_reserved = False
        self.began_at = 0.0
        """Monotonic seconds."""
        self.cancelled_by = ""
        """Who cancelled it, and why; empty: nobody, or its process was stopped."""
        self.replays: LiveRun | Run | None = None
        """Whose answer this request gets instead of a run of its own."""
        self._loop = asyncio.get_running_loop()
        self._stages: deque[tuple[int, Stage]] = deque(maxlen=_KEPT)
        self._told = 0
        self._news = asyncio.Event()
        self._done = asyncio.Event()

    def tell(self, stage: str, text: str, fields: Mapping[str, Any]) -> None:
        """What an action is given to say how far it is. Returns at once; from any thread; nothing after the end."""
        told = self.journal.write(stage, text, fields)
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._add(told)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches any more
                self._loop.call_soon_threadsafe(self._add, told)

    def _add(self, told: Stage) -> None:
        if self.run.state is not RunState.DONE:
            self._told += 1
            self._stages.append((self._told, told))
            self._wake()

    def change(self, **changes: Any) -> None:
        """Set fields of the run."""
        self.run = replace(self.run, **changes)
        self._wake()

    def end(self, result: ActionResult, **changes: Any) -> None:
        """The run is done with this (masked) result."""
        self.change(state=RunState.DONE, result=result, **changes)
        self._done.set()
        self._wake()

    def seen(self) -> Run:
        """The run with its latest stages."""
        return replace(self.run, stages=tuple(stage for _, stage in self._stages))

    async def wait(self) -> None:
        """Until the run is done."""
        await self._done.wait()

    async def watch(self) -> AsyncIterator[Stage]:
        """Stages from the first one kept, as they come; ends with the run. A slow watcher loses the oldest."""
        last = 0
        while True:
            news, done = self._news, self._done.is_set()
            for number, stage in tuple(self._stages):
                if number > last:
                    last = number
                    yield stage
            if done:
                return
            await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
