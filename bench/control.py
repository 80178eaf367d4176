"""The block of shared memory through which the processes of one measurement see each other.

One word per fact, each with one writer, so no locks: the harness writes ``phase``, the consumer ``consumed``, the
line ``line_pid``, the feeder ``offered``, ``first_ns`` and ``feeder_ns`` (CPU time that it spent on pacing alone). An
aligned 8-byte store is atomic on the machines we run on.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

IDLE, WARM, RUN, STOP = range(4)
"""Phases. WARM offers each contract at least once, RUN is what is measured, STOP ends every process."""

PHASE, CONSUMED, OFFERED, FIRST_NS, LINE_PID, FEEDER_NS = range(6)
"""Slots; ``native/feeder.cpp`` knows the same numbers."""

SIZE: Final = 4096


class Control:
    """A view of the block; ``words[SLOT]`` reads and writes. Close it before the file goes."""

    def __init__(self, path: str | Path) -> None:
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), SIZE)
        self._bytes = memoryview(self._map)
        self.words = self._bytes.cast("Q")

    @classmethod
    def create(cls, path: str | Path) -> Control:
        """A block of zeros."""
        Path(path).write_bytes(bytes(SIZE))
        return cls(path)

    def close(self) -> None:
        """Idempotent."""
        self.words.release()
        self._bytes.release()
        self._map.close()
