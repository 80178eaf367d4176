"""Things that must come to their end although somebody cancels."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from gateway.cancellation import to_the_end

__all__ = ["done_within", "to_the_end"]

T = TypeVar("T")


async def done_within(task: asyncio.Task[T], seconds: float) -> bool:
    """Whether a task ends in time; further cancellations of the waiter do not shorten it. The task is not cancelled."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not task.done() and (left := until - loop.time()) > 0:
        try:
            await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            continue
    return task.done()
