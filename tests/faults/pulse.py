"""Whether the machine itself stood still: a row that was measured meanwhile says nothing about the gateway."""

from __future__ import annotations

import threading
import time
from typing import Self

_BEAT_S = 0.02


class Pulse:
    """A thread that sleeps and looks how late it wakes. It needs no event loop, so a blocked loop does not show."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._end.wait(_BEAT_S):
            now = time.monotonic()
            self.worst_s = max(self.worst_s, now - before - _BEAT_S)
            before = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
