"""The CLI's own logging: JSON lines into the log directory, warnings to stderr, everything masked."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runbook.runner import Masker, shanghai
from runbook.supervisor.logfiles import RotatingFile

FILE: Final = "runbook.log"
_HEARD: Final = (
    *("runbook.app", "runbook.audit", "runbook.cli", "runbook.schedule", "runbook.settings", "runbook.web"),
    *("gateway.loader", "gateway.settings", "asyncio", "uvicorn"),
)
"""Whose warnings come to the terminal. What others say about a run is in its stages, its result and the log file."""


class JsonFormatter(logging.Formatter):
    """A JSON object a line: ``at`` (+08:00), ``level``, ``logger``, ``text``, then the runbook's labels."""

    def __init__(self, masker: Masker, labels: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self._masker = masker
        self._labels = labels

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": shanghai(int(record.created * 1e9)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": self._masker.text(record.getMessage()),
            **self._labels(),
        }
        if record.exc_info:
            line["traceback"] = self._masker.text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class FileHandler(logging.Handler):
    """Into a file that turns over by size. A file that cannot be written stops nobody."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = RotatingFile(path)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._file.write(self.format(record))
        except Exception:  # noqa: BLE001 - as the standard handlers do
            self.handleError(record)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Plain(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("runbook: %(levelname)s: %(message)s")
        self.masker = Masker()

    def format(self, record: logging.LogRecord) -> str:
        return self.masker.text(super().format(record))


class Logs:
    """stderr from the start; the file once it is known where it is."""

    def __init__(self, *, debug: bool) -> None:
        self._plain = _Plain()
        self._debug = debug
        self.root = logging.getLogger()
        self._before = self.root.level
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setLevel(logging.DEBUG if debug else logging.WARNING)
        terminal.setFormatter(self._plain)
        if not debug:
            terminal.addFilter(lambda record: record.name.startswith(_HEARD))
        self.handlers: list[logging.Handler] = []
        self._add(terminal)
        self.root.setLevel(logging.DEBUG if debug else logging.INFO)

    def into(self, log_dir: Path, masker: Masker, labels: Callable[[], Mapping[str, str]]) -> None:
        """From now on also into ``log_dir/runbook.log``."""
        self._plain.masker = masker
        handler = FileHandler(log_dir / FILE)
        handler.setLevel(logging.DEBUG if self._debug else logging.INFO)
        handler.setFormatter(JsonFormatter(masker, labels))
        self._add(handler)

    def close(self) -> None:
        """As it was before."""
        for handler in self.handlers:
            self.root.removeHandler(handler)
            handler.close()
        self.handlers.clear()
        self.root.setLevel(self._before)

    def _add(self, handler: logging.Handler) -> None:
        self.handlers.append(handler)
        self.root.addHandler(handler)


@contextmanager
def logs(*, debug: bool) -> Iterator[Logs]:
    """For the time of one command."""
    made = Logs(debug=debug)
    try:
        yield made
    finally:
        made.close()
