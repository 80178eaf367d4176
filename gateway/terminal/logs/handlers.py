"""Handlers of programs: into a file, to a stream, and off the event loop."""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path
from typing import Any, Final, TextIO

from gateway.clock import Clock, SystemClock
from gateway.terminal.logs.files import RotatingFile
from gateway.terminal.logs.text import message_of, traceback_of

FILE: Final = "file"
"""Name of a handler that is not the screen's."""
MOST_WAITING: Final = 10_000
_FAREWELL_S: Final = 2.0
_AGAIN_S: Final = 60.0


class FileHandler(logging.Handler):
    """Into a file that turns over. What cannot be written is told as soon as something can, and stops nobody."""

    def __init__(self, path: Path, **options: Any) -> None:
        """``options`` are those of :class:`RotatingFile`."""
        super().__init__()
        self.name = FILE
        self.file = RotatingFile(path, **options, missing=lambda text: self.format(_own(text)))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.file.write(self.format(record))
        except Exception:  # noqa: BLE001 - as the standard handlers do
            self.handleError(record)

    def close(self) -> None:
        self.file.close()
        super().close()


class StreamHandler(logging.Handler):
    """To stdout or stderr. A reader that went away, or an encoding that lacks a character, stops nobody."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            try:
                self._stream.write(line)
            except UnicodeEncodeError:
                self._stream.write(line.encode("ascii", "backslashreplace").decode())
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            self.lost += 1


class OffLoop(logging.Handler):
    """Hands records to a thread of its own, so that a full pipe or a slow disk never holds up who logs.

    At most 10,000 records wait. What comes then is dropped, counted in ``dropped``, and told when there is room again
    and once a minute.
    """

    def __init__(self, target: logging.Handler, *, most: int = MOST_WAITING, clock: Clock | None = None) -> None:
        super().__init__(target.level)
        self.name = target.name
        self.dropped = 0
        self.target = target
        self._clock = clock or SystemClock()
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(most)
        self._told = 0
        self._told_at = -_AGAIN_S
        self._thread = threading.Thread(target=self._work, name=f"log {target.name or 'stream'}", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the texts: arguments and frames may change, or hold what should be let go."""
        bare = logging.makeLogRecord(record.__dict__)
        bare.msg, bare.args = message_of(record), None
        bare.exc_text, bare.exc_info = traceback_of(record), None
        try:
            self._waiting.put_nowait(bare)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, for two seconds at most. Idempotent."""
        if self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=_FAREWELL_S)
                self._thread.join(_FAREWELL_S)
            except queue.Full:
                pass
        if not self._thread.is_alive():
            self.target.close()
        super().close()

    def _work(self) -> None:
        while (record := self._waiting.get()) is not None:
            self.target.handle(record)
            if self.dropped > self._told and self._clock.monotonic() - self._told_at >= _AGAIN_S:
                self._tell()
        if self.dropped > self._told:
            self._tell()

    def _tell(self) -> None:
        missing, self._told = self.dropped - self._told, self.dropped
        self._told_at = self._clock.monotonic()
        self.target.handle(_own(f"{missing} records were dropped: the log is written slower than it grows"))


def _own(text: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.ERROR, __file__, 0, text, None, None)
