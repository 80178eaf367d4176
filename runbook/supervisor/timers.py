"""Time limits and pauses on a clock that tests can turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from gateway.clock import Clock

T = TypeVar("T")
_AGAIN_S: Final = 1.0


class Timers:
    """A clock with a ``sleep`` of its own."""

    def __init__(self, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.clock = clock
        self.sleep = sleep

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``. Raises TimeoutError when it takes longer; it is cancelled and awaited first."""
        task = asyncio.create_task(work)
        alarm = asyncio.create_task(self._alarm(seconds))
        try:
            await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise TimeoutError
        finally:
            await ended(task, alarm)
            if not task.cancelled():
                task.exception()

    async def _alarm(self, seconds: float) -> None:
        await self.sleep(seconds)


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel them, and wait until they have ended. One that swallows a cancellation is cancelled again."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_S)


def pass_on_cancellation() -> None:
    """For loops that try again after an error: raise CancelledError if the error hides that we were cancelled."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
