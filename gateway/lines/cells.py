"""Counters of a line that outlive its process.

They sit in a page shared with the core, so that after a SIGKILL the core still reads how many records the dead
process had received: *in = out + dropped* holds for a crash too.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Final, Self

RECEIVED: Final = 0
"""Records that the source handed to the sink."""
REJECTED: Final = 1
"""Records that cannot be a tick."""
OVERFLOWED: Final = 2
"""Records that the bounded queue dropped, oldest first."""
SENT: Final = 3
"""Ticks given to the socket."""
_SIZE: Final = 4 * 8


class Cells:
    """Four u64 counters: one writer (the line), one reader (the core)."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Map the page behind ``descriptor``, or make a new one that :meth:`share` can hand to a child."""
        if descriptor is None:
            with tempfile.TemporaryFile() as file:
                file.truncate(_SIZE)
                descriptor = os.dup(file.fileno())
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _SIZE)
        self.view = memoryview(self._map).cast("Q")
        """Index with the constants of this module. A store costs 40 ns and is seen by the other process."""

    @property
    def descriptor(self) -> int:
        """To pass to the child."""
        return self._descriptor

    def close(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            self.view.release()
            self._map.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
