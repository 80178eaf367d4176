"""The supervisor's own structured log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.clock import Clock
from gateway.terminal.logs.files import RotatingFile
from gateway.terminal.logs.text import message_of, traceback_of
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai

_LONGEST: Final = 20_000
_REMEMBERED: Final = 500
_WAITING: Final = 1000


class SupervisorLog:
    """``supervisor.log``: a JSON object a line with ``at`` (+08:00), ``level``, ``event``, ``text``, and labels.

    Everything is masked. Watchers get lines as they come; a slow one loses the oldest. For one event loop.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        masker: Masker,
        labels: Callable[[], Mapping[str, str]] = dict,
        echo: Callable[[str], None] | None = None,
    ) -> None:
        """``labels``: what every line carries besides, such as the session; ``echo`` gets every line too."""
        self.labels = labels
        self._echo = echo
        self._file = RotatingFile(path, missing=lambda text: self._line("log_lost", text, {}, "error")[1])
        self._clock = clock
        self._masker = masker
        self._latest: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._watchers: set[asyncio.Queue[dict[str, Any]]] = set()

    def write(self, event: str, text: str, fields: Mapping[str, Any] | None = None, level: str = "info") -> None:
        """Write a line. Returns at once."""
        line, written = self._line(event, text, fields or {}, level)
        self._file.write(written)
        if self._echo is not None:
            self._echo(written)
        self._latest.append(line)
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(line)

    def _line(self, event: str, text: str, fields: Mapping[str, Any], level: str) -> tuple[dict[str, Any], str]:
        line: dict[str, Any] = {
            "at": shanghai(self._clock.wall_ns()),
            "level": level,
            "event": event,
            "text": self._masker.text(text)[:_LONGEST],
            "fields": self._masker.mapping(fields),
            **self.labels(),
        }
        return line, json.dumps(line, ensure_ascii=False)

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
        text, found = message_of(record), traceback_of(record)
        fields = {"traceback": found[-_LONGEST:]} if found else {}
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody writes any more
            self._loop.call_soon_threadsafe(self._log.write, record.name, text, fields, record.levelname.lower())
