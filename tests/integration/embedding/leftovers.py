"""What a process holds that it did not hold before: threads, children, descriptors, temporary files, tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import threading
import time
from pathlib import Path

DEADLINE_S = 60.0
OF_A_LOOP = "asyncio_"
"""Threads that `asyncio.to_thread` started belong to the loop, which ends them when it is closed."""


class Leftovers:
    """Made before; :meth:`found` after. Children and descriptors are read from /proc."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.gettempdir())
        self._before = self._held()

    def found(self, *, loop_runs: bool = False) -> list[str]:
        """What is new; [] as soon as nothing is. ``loop_runs``: the loop that was used is still there."""
        limit = time.monotonic() + DEADLINE_S
        while True:
            gc.collect()
            new = sorted(self._held() - self._before)
            if loop_runs:
                new = [one for one in new if not one.startswith(f"thread {OF_A_LOOP}")]
            if not new or time.monotonic() > limit:
                return new
            time.sleep(0.05)  # a thread that has done its work needs its turn to end

    def _held(self) -> set[str]:
        held = {f"thread {one.name} {one.ident}" for one in threading.enumerate()}
        held |= {f"child {pid}" for pid in children()}
        for name in os.listdir("/proc/self/fd"):
            try:
                held.add(f"descriptor {name} {os.readlink(f'/proc/self/fd/{name}')}")
            except FileNotFoundError:
                continue  # the one that listed the directory
        return held | {f"file {path}" for path in self.directory.iterdir()}


def children() -> set[int]:
    """The processes that this one started and that nobody has waited for."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found |= set(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that ended meanwhile
    return found


def other_tasks() -> set[str]:
    """The tasks of this loop but the one that asks."""
    return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
