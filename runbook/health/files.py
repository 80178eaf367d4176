"""Writes reports: whole or not at all, never over another one."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway.model import SHANGHAI
from runbook.health.report import HealthReport
from runbook.model import Exit

_DIR_MODE: Final = 0o750
_FILE_MODE: Final = 0o640
_MOST: Final = 1000
"""Reports of one second."""

_COLUMNS: Final = ("section", "feed", "symbol", "value", "last_tick_at", "lag_seconds", "severity")


def stamp(wall_ns: int) -> str:
    """``20261121_085500``, Shanghai."""
    return datetime.fromtimestamp(wall_ns / 1e9, SHANGHAI).strftime("%Y%m%d_%H%M%S")


def report_json(report: HealthReport, indent: int | None) -> str:
    """With a line feed at its end."""
    return json.dumps(report.as_json(), ensure_ascii=False, indent=indent) + "\n"


def report_line(report: HealthReport, at: str) -> str:
    """One line of a log: when, which session, how bad, then the report."""
    level = {Exit.OK: "info", Exit.WARNING: "warning"}.get(Exit(report.exit_code), "error")
    line = {"at": at, "level": level, "session": report.session} | report.as_json()
    return json.dumps(line, ensure_ascii=False) + "\n"


def report_csv(report: HealthReport) -> str:
    """A row for each figure of the summary, then one for each contract, warning and error."""
    return table(_COLUMNS, _rows(report))


def table(columns: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> str:
    """CSV with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(report: HealthReport) -> Iterator[dict[str, Any]]:
    summary = report.as_json()
    for name in ("coverage_ratio", "expected_total", "active_total", "matched_total", "exit_code"):
        yield {"section": "summary", "symbol": name, "value": summary[name]}
    yield {"section": "summary", "symbol": "remediation", "value": report.remediation.get("outcome", "")}
    for feed in report.feeds:
        ratio = feed.coverage_ratio
        yield {"section": "feed", "feed": feed.feed, "symbol": "coverage_ratio", "value": ratio, "severity": ""}
        for name, why in feed.missing.items():
            yield {"section": "missing", "feed": feed.feed, "symbol": name, "value": why}
        for name in feed.unexpected:
            yield {"section": "unexpected", "feed": feed.feed, "symbol": name}
        for one in feed.stalled:
            yield {"section": "stalled", "feed": feed.feed, **one.as_json()}
    for section, texts in (("warning", report.warnings), ("error", report.errors)):
        for text in texts:
            yield {"section": section, "value": text}


def write_new(directory: Path, name: str, suffix: str, text: str) -> Path:
    """Write ``name + suffix`` into the directory, made when needed; ``name_1`` and so on when it is taken.

    Blocking. Raises OSError; then nothing is left of it.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=_DIR_MODE)
    temporary = _temporary(directory, text)
    try:
        for number in range(_MOST):
            path = directory / f"{name}{f'_{number}' if number else ''}{suffix}"
            try:
                os.link(temporary, path)
            except FileExistsError:
                continue
            return path
        raise FileExistsError(17, "too many reports of the same second", str(directory / name))
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(path: Path, text: str) -> None:
    """Write a file in place of the one that is there; after a power cut it is the old or the new one.

    Blocking. Raises OSError; then the old one is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=_DIR_MODE)
    temporary = _temporary(path.parent, text)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def shown(path: Path, log_dir: Path) -> str:
    """Relative to the log directory when it is in there."""
    try:
        return str(path.resolve().relative_to(log_dir.resolve()))
    except ValueError:
        return str(path)


def _temporary(directory: Path, text: str) -> Path:
    fd, name = tempfile.mkstemp(prefix=".", dir=directory)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(fd, _FILE_MODE)
            os.fsync(fd)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
