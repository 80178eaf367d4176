"""Cancellations: heard although something underneath swallowed them, or put off until a work is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def cancellation_heard() -> Iterator[None]:
    """Raise CancelledError at the end of the block if this task was cancelled in it and nothing has said so.

    In Python 3.11 ``asyncio.wait_for``, with which nats-py connects and waits for PONGs, returns what it waited for
    when that comes in the same turn of the loop as the cancellation. Whoever cancelled once would then wait for ever,
    and a time limit would never strike. An exception that came instead, of a refused connection for example, is
    chained. A time limit (``asyncio.timeout``) around less than the block is no cancellation of it.
    """
    task = asyncio.current_task()
    if task is None:
        yield
        return
    before = task.cancelling()
    try:
        yield
    except Exception as error:
        if task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError


async def to_the_end(awaitable: Awaitable[T]) -> T:
    """Await this even while being cancelled; the cancellation is raised afterwards, unless this itself failed."""
    task = asyncio.ensure_future(awaitable)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
