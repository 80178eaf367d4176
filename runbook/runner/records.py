"""Everything that runs leave behind, asked for from the loop and done in threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.clock import Clock
from runbook.model import AuditRecord
from runbook.runner.auditing import Audit, RecordMaker
from runbook.runner.pushing import ExitCode, ExitCodePusher
from runbook.runner.recovery import Recovered, recover
from runbook.runner.run import Run
from runbook.runner.store import RunStore
from runbook.runner.waiting import to_the_end

log = logging.getLogger(__name__)

T = TypeVar("T")


class Records:
    """Audit, store and Pushgateway of one runner; owns the threads and the pushes under way."""

    def __init__(self, audit: Audit, maker: RecordMaker, store: RunStore, pusher: ExitCodePusher, clock: Clock) -> None:
        self.maker = maker
        self.store = store
        self.pusher = pusher
        self._audit = audit
        self._clock = clock
        self._one = asyncio.Lock()
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="runbook-files")
        self._pushes: set[asyncio.Task[bool]] = set()

    async def append(self, record: AuditRecord) -> None:
        """Into the audit, one at a time. Raises whatever the audit raises."""
        async with self._one:
            await self.in_thread(self._audit.append, record)

    async def recover(self) -> list[Run]:
        """Close the runs that died; their exit codes are pushed without being waited for."""
        async with self._one:
            found = await to_the_end(self.in_thread(self._recover))
        for recovered in found:
            self._push_later(recovered.code)
        return [recovered.run for recovered in found]

    def _recover(self) -> list[Recovered]:
        return recover(self.store, self._audit.append, self.maker, self._clock)

    def _push_later(self, code: ExitCode) -> None:
        task = asyncio.create_task(self.pusher.push(code), name=f"push {code.command}")
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def quietly(self, run: str, call: Callable[..., object], *args: object) -> bool:
        """Call in a thread; a file that cannot be written is logged and answered with False."""
        try:
            await self.in_thread(call, *args)
        except OSError as error:
            log.warning("run %s: its record cannot be written: %s", run, error.strerror or error)
            return False
        return True

    async def in_thread(self, call: Callable[..., T], *args: object) -> T:
        """Call something blocking."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args))

    async def aclose(self) -> None:
        """Wait for pushes, each at most its time limit, and end the threads. Idempotent."""
        if self._pushes:
            await to_the_end(asyncio.wait(set(self._pushes)))
        await to_the_end(asyncio.to_thread(self._shut))

    def _shut(self) -> None:
        self.pusher.close()
        self._threads.shutdown(wait=True)
