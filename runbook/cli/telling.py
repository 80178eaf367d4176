"""What people see: a line a stage as it happens, then the result. Or the whole result as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from runbook.model import Exit
from runbook.runner import Run, Stage

_IN_THE_RESULT: Final = frozenset({"end"})
_FOR_DEBUGGING: Final = frozenset({"traceback"})
_WORDS: Final[Mapping[int, str]] = {
    int(Exit.OK): "ok",
    int(Exit.WARNING): "warning",
    int(Exit.USAGE): "wrong usage",
    int(Exit.BUSY): "busy",
    int(Exit.NOT_ALLOWED): "not allowed",
    int(Exit.TIMED_OUT): "timed out",
}


class Teller:
    """Writes to one stream. A stream that nobody reads any more does not break what goes on."""

    def __init__(self, out: TextIO, *, as_json: bool = False, debug: bool = False) -> None:
        self._out: TextIO | None = out
        self._as_json = as_json
        self._debug = debug
        self._markers: list[str] = []
        self._told = 0

    def stage(self, stage: Stage) -> None:
        """A line with the time in Shanghai, hours to seconds."""
        marker = stage.fields.get("marker")
        if isinstance(marker, str) and marker not in self._markers:
            self._markers.append(marker)
        if self._as_json or stage.stage in _IN_THE_RESULT or (stage.stage in _FOR_DEBUGGING and not self._debug):
            return
        self._told += stage.stage != "start"
        self._line(f"{stage.at[11:19]}  {stage.stage:<14} {stage.text}")

    def say(self, text: str) -> None:
        """One line for people; nothing with JSON."""
        if not self._as_json:
            self._line(text)

    def result(self, run: Run, log: Path) -> int:
        """Print it; gives the exit code, never 0 for a run without a result."""
        result = run.result
        code = int(Exit.ERROR) if result is None else int(result.exit_code)
        if self._as_json:
            self._line(
                json.dumps(run.as_json() | {"exit_code": code, "markers": self._markers}, ensure_ascii=False, indent=2)
            )
            return code
        if result is None:
            self._line(f"{run.request.action}: error ({code}): it has no result; see {log}")
            return code
        self._text(result.details)
        for marker in self._markers:
            self._line(f"marker  {marker}")
        word = _WORDS.get(code, "error")
        again = ", answered before" if run.replayed else ", nothing was begun" if run.refused else ""
        self._line(f"{run.request.action}: {word} ({code}{again}): {result.message}")
        if result.output:
            self._line(f"output  {result.output}")
        if not run.refused:
            self._line(f"run     {run.id}  {log}")
        return code

    def _text(self, details: Mapping[str, Any]) -> None:
        """Lines that an action has for people, unless it told them as it went."""
        text = details.get("text")
        if not self._told and isinstance(text, list | tuple):
            for line in text:
                self._line(str(line))

    def _line(self, text: str) -> None:
        if self._out is None:
            return
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):  # closed pipe; ValueError: closed file
            self._out = None
