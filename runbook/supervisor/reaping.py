"""What process 1 of a container owes: ended processes whose parents are gone."""

from __future__ import annotations

import os


class Reaper:
    """Collects what nobody else waits for: line processes of a gateway that was killed.

    Our own children are waited for at once, so what has ended and is still there at the second look is nobody's.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._seen: int | None = None

    def look(self) -> None:
        """Once a second or so. Never waits."""
        if not self._enabled:
            return
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            pid = found.si_pid if found is not None else None
            if pid is not None and pid == self._seen:
                os.waitpid(pid, os.WNOHANG)
                pid = None
        except ChildProcessError:
            pid = None
        self._seen = pid
