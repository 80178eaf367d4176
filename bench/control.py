"""The block of shared memory through which the processes of one measurement see each other.

One word per fact, each with one writer, so no locks: the harness writes ``phase``, the consumer ``consumed``, the
line ``line_pid``, the feeder ``offered``, ``first_ns`` and ``feeder_ns`` (CPU time that it spent on pacing alone), the
core ``settled_ns``. An aligned 8-byte store is atomic on the machines we run on.

Two lines have two feeders, the second with its own ``offered``, ``line_pid`` and ``feeder_ns``, ``PEER`` words further
on. A tick must be the same bytes on both, its intended time included: at saturation whoever comes first writes it into
the ring of stamps, by compare-and-swap, and the other takes it from there.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

IDLE, WARM, RUN, STOP = range(4)
"""Phases. WARM offers each contract at least once, RUN is what is measured, STOP ends every process."""

PHASE, CONSUMED, OFFERED, FIRST_NS, LINE_PID, FEEDER_NS, SETTLED_NS, BASE_NS = range(8)
"""Slots; ``native/feeder.cpp`` knows the same numbers. ``SETTLED_NS``: when the core had dropped the last copy of a
pair; ``BASE_NS``: what a pair's stamps count from."""

PEER: Final = 8
"""A second line's ``OFFERED``, ``LINE_PID`` and ``FEEDER_NS`` are so much higher."""
STAMPS: Final = 512
RING: Final = 16_384
"""Stamps in the ring. Neither feeder gets more than a window ahead of the other, and that is less."""
STAMP_BITS: Final = 40
"""A stamp is its round of the ring, from 1 on, above so many bits of nanoseconds since ``BASE_NS`` (18 minutes)."""

SIZE: Final = 8 * (STAMPS + RING)


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
