"""What a process holds, so that one can see what somebody left behind."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_POOL = "feedgate card pool"


@dataclass(frozen=True, slots=True)
class Footprint:
    """Threads, tasks of the running loop, children and open descriptors, as of one moment.

    Linux tells all of them, native threads too; other systems only Python's threads and tasks. The threads of the
    pool that :meth:`lend_pool` gave the loop are not counted: they are the loop's.
    """

    threads: frozenset[str]
    tasks: frozenset[asyncio.Task[object]]
    children: frozenset[int]
    descriptors: frozenset[str]

    @staticmethod
    def lend_pool() -> None:
        """Give the running loop a pool whose threads are known by name."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4, thread_name_prefix=_POOL))

    @classmethod
    def take(cls) -> Self:
        """Of this process, now."""
        tasks = frozenset(one for one in asyncio.all_tasks() if one is not asyncio.current_task())
        if not sys.platform.startswith("linux"):
            names = (f"thread {one.name}" for one in threading.enumerate() if not one.name.startswith(_POOL))
            return cls(frozenset(names), tasks, frozenset(), frozenset())
        known = {one.native_id: one.name for one in threading.enumerate()}
        ids = [int(path.name) for path in _listed(Path("/proc/self/task"))]
        threads = frozenset(
            f"thread {known.get(number) or 'of native code'} ({number})"
            for number in ids
            if not (known.get(number) or "").startswith(_POOL)
        )
        return cls(threads, tasks, frozenset(children_of(os.getpid())), frozenset(_descriptors()))

    def grown_since(self, before: Footprint) -> list[str]:
        """What is here and was not there, in words."""
        return [
            *sorted(self.threads - before.threads),
            *(f"task {one.get_name()}" for one in self.tasks - before.tasks if not one.done()),
            *(f"child process {pid}" for pid in sorted(self.children - before.children)),
            *(f"descriptor {one}" for one in sorted(self.descriptors - before.descriptors)),
        ]


def children_of(pid: int) -> set[int]:
    """Its children, those that nobody has reaped too. Linux."""
    found: set[int] = set()
    for task in _listed(Path(f"/proc/{pid}/task")):
        try:
            found.update(int(word) for word in (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _descriptors() -> Iterable[str]:
    for path in _listed(Path("/proc/self/fd")):
        try:
            yield f"{path.name} → {path.readlink()}"
        except OSError:  # the descriptor of this very listing
            continue


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


async def left_since(before: Footprint, limit_s: float) -> list[str]:
    """What is still there that was not before, once that is nothing or the time is over."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while (left := Footprint.take().grown_since(before)) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - threads and descriptors tell nobody that they end
        await asyncio.sleep(0.01)
    return left
