"""The CLI's own logging: JSON lines into the log directory, warnings to stderr, everything masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.terminal.logs.handlers import FileHandler, OffLoop, StreamHandler
from gateway.terminal.logs.structured import JsonForm
from gateway.terminal.logs.text import TextForm
from runbook.runner import Masker

FILE: Final = "runbook.log"
_HEARD: Final = (
    *("runbook.app", "runbook.audit", "runbook.cli", "runbook.schedule", "runbook.settings", "runbook.web"),
    *("gateway.loader", "gateway.settings", "asyncio", "uvicorn"),
)
"""Whose warnings come to the terminal. What others say about a run is in its stages, its result and the log file."""


class Logs:
    """stderr from the start; the file once it is known where it is."""

    def __init__(self, *, debug: bool) -> None:
        self._masker = Masker()
        self._level = logging.DEBUG if debug else logging.INFO
        self.root = logging.getLogger()
        self._before = self.root.level
        self._terminal: logging.Handler = StreamHandler(sys.stderr)
        self._terminal.setLevel(logging.DEBUG if debug else logging.WARNING)
        self._terminal.setFormatter(TextForm(self._masked, "runbook: {level}: "))
        if not debug:
            self._terminal.addFilter(lambda record: record.name.startswith(_HEARD))
        self.handlers: list[logging.Handler] = []
        self._add(self._terminal)
        self.root.setLevel(self._level)

    def into(
        self,
        log_dir: Path,
        masker: Masker,
        labels: Callable[[], Mapping[str, str]],
        *,
        records_on_stdout: bool = False,
        off_loop: bool = False,
    ) -> None:
        """From now on also into ``log_dir/runbook.log``, every process its appends.

        ``records_on_stdout``: the terminal gets the same JSON lines, on stdout, in place of warnings on stderr.
        ``off_loop``: a thread writes, for a program whose event loop serves others.
        """
        self._masker = masker
        handlers: list[logging.Handler] = [FileHandler(log_dir / FILE)]
        if records_on_stdout:
            handlers.append(StreamHandler(sys.stdout))
            self._remove(self._terminal)
        for handler in handlers:
            handler.setLevel(self._level)
            handler.setFormatter(JsonForm(labels, masker.text))
            self._add(OffLoop(handler) if off_loop else handler)

    def close(self) -> None:
        """As it was before."""
        for handler in tuple(self.handlers):
            self._remove(handler)
        self.root.setLevel(self._before)

    def _masked(self, text: str) -> str:
        """With the masker of the moment: secrets are known once the settings are read."""
        return self._masker.text(text)

    def _add(self, handler: logging.Handler) -> None:
        self.handlers.append(handler)
        self.root.addHandler(handler)

    def _remove(self, handler: logging.Handler) -> None:
        self.handlers.remove(handler)
        self.root.removeHandler(handler)
        handler.close()


@contextmanager
def logs(*, debug: bool) -> Iterator[Logs]:
    """For the time of one command."""
    made = Logs(debug=debug)
    try:
        yield made
    finally:
        made.close()
