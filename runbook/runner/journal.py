"""The log of one run: JSON lines that people and pages read while it goes on."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from gateway.clock import Clock
from runbook.runner.masking import Masker
from runbook.runner.run import Stage, shanghai

log = logging.getLogger(__name__)

_LONGEST: Final = 20_000
"""Characters of a text; the rest is cut off and said to be."""


class RunJournal:
    """``log_dir/runs/RUN.log``: a line for each thing told, masked, with the runbook's labels in each.

    A log that cannot be written never stops a run: what is lost is counted in ``lost`` and said once. May be written
    to from several threads; a write is one short append to a local file.
    """

    def __init__(self, path: Path, *, clock: Clock, masker: Masker, labels: Mapping[str, str]) -> None:
        self.path = path
        self.lost = 0
        self._clock = clock
        self._masker = masker
        self._labels = dict(labels)
        self._file: IO[str] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def write(self, stage: str, text: str, fields: Mapping[str, Any] | None = None) -> Stage:
        """Write a line and return it."""
        told = Stage(
            at=shanghai(self._clock.wall_ns()),
            stage=self._masker.text(str(stage)),
            text=_cut(self._masker.text(str(text))),
            fields=self._masker.mapping(fields or {}),
        )
        line = {"at": told.at, "stage": told.stage, "text": told.text, "fields": told.fields, **self._labels}
        try:
            written = json.dumps(line, ensure_ascii=False)
            with self._lock:
                if self._closed:
                    return told
                if self._file is None:
                    self._file = _open(self.path)
                self._file.write(written + "\n")
                self._file.flush()
        except (OSError, ValueError) as error:  # ValueError: text that is no Unicode
            if not self.lost:
                log.warning(
                    "%s cannot be written: %s", self.path, getattr(error, "strerror", None) or type(error).__name__
                )
            self.lost += 1
        return told

    def close(self) -> None:
        """What is told from now on is not written."""
        with self._lock:
            self._closed = True
            file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                log.warning("%s cannot be written: %s", self.path, error.strerror)


def read_stages(path: Path) -> Iterator[Stage]:
    """The lines of a run's log so far. A line that is cut off or damaged is passed over; no file: nothing."""
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except OSError:
        return
    with file:
        for line in file:
            try:
                told = json.loads(line)
                yield Stage(at=told["at"], stage=told["stage"], text=told["text"], fields=told["fields"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue


def _open(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    return os.fdopen(fd, "a", encoding="utf-8")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text) - _LONGEST} characters more)"
