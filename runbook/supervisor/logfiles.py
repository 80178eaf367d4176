"""Log files that turn over by size, and the supervisor's own structured log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from gateway.clock import Clock
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai

MOST_BYTES: Final = 10 << 20
KEPT: Final = 5
_LONGEST: Final = 20_000
_REMEMBERED: Final = 500
_WAITING: Final = 1000


class RotatingFile:
    """Text, a line at a time: ``NAME``, then ``NAME.1`` (the youngest) to ``NAME.5``.

    Every write is one append to a local file. A disk that takes nothing stops nobody: lines that could not be written
    are counted in ``lost``.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES, kept: int = KEPT) -> None:
        self.path = path
        self.lost = 0
        self._most = most_bytes
        self._kept = kept
        self._file: IO[bytes] | None = None
        self._size = 0

    def write(self, line: str) -> None:
        """Append a line; the end of line is added."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._file is not None and self._size and self._size + len(data) > self._most:
                self._turn()
            file = self._open()
            file.write(data)
            self._size += len(data)
        except OSError:
            self.lost += 1
            self.close()

    def close(self) -> None:
        """Close it; the next write opens it again."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._file = os.fdopen(descriptor, "ab", buffering=0)
            self._size = os.fstat(descriptor).st_size
        return self._file

    def _turn(self) -> None:
        self.close()
        for number in range(self._kept - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            with contextlib.suppress(FileNotFoundError):
                older.replace(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))


class SupervisorLog:
    """``supervisor.log``: a JSON object a line with ``at`` (+08:00), ``level``, ``event``, ``text``, and labels.

    Everything is masked. Watchers get lines as they come; a slow one loses the oldest. For one event loop.
    """

    def __init__(
        self,
        file: RotatingFile,
        clock: Clock,
        masker: Masker,
        labels: Callable[[], Mapping[str, str]] = dict,
        echo: Callable[[str], None] | None = None,
    ) -> None:
        """``labels``: what every line carries besides, such as the session; ``echo`` gets every line too."""
        self.labels = labels
        self._echo = echo
        self._file = file
        self._clock = clock
        self._masker = masker
        self._latest: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._watchers: set[asyncio.Queue[dict[str, Any]]] = set()

    def write(self, event: str, text: str, fields: Mapping[str, Any] | None = None, level: str = "info") -> None:
        """Write a line. Returns at once."""
        line: dict[str, Any] = {
            "at": shanghai(self._clock.wall_ns()),
            "level": level,
            "event": event,
            "text": self._masker.text(text)[:_LONGEST],
            "fields": self._masker.mapping(fields or {}),
            **self.labels(),
        }
        written = json.dumps(line, ensure_ascii=False)
        self._file.write(written)
        if self._echo is not None:
            self._echo(written)
        self._latest.append(line)
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(line)

    def latest(self, count: int) -> list[dict[str, Any]]:
        """The last lines of this supervisor, at most 500."""
        return list(self._latest)[-count:] if count > 0 else []

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """Lines from now on, until closed."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_WAITING)
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LogBridge(logging.Handler):
    """Brings what libraries log into the supervisor's log; records of other threads come by way of the loop."""

    def __init__(self, log: SupervisorLog, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.INFO)
        self._log = log
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody writes any more
            self._loop.call_soon_threadsafe(self._log.write, record.name, text, {}, record.levelname.lower())
