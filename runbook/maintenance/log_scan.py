"""Counts lines of the logs of one day by keyword, logger and file."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, Final

from gateway.model import SHANGHAI
from runbook.maintenance.collect import Found, Skipped, files_below
from runbook.maintenance.placing import shanghai_time

LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"})
GRAVE: Final = frozenset({"CRITICAL", "FATAL"})
_ALIASES: Final = {"WARN": "WARNING", "FATAL": "CRITICAL"}
_NAMES: Final = re.compile(r".+\.(log|jsonl)(\.\d+)?(\.gz)?")
_STAMP: Final = re.compile(r"\[?(20\d\d-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?")
_TIMES: Final = ("at", "timestamp", "time", "ts", "asctime", "@timestamp")
_LEVEL: Final = ("level", "levelname", "severity", "log_level")
_LOGGER: Final = ("logger", "name", "logger_name", "module")
_TEXT: Final = ("text", "message", "msg", "event", "stage")
_PLAIN_LOGGER: Final = re.compile(
    r"\b(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b[\]\s:|-]*([A-Za-z_][\w.-]*)\s*(?:[:\]|]|\s-\s)"
)
_LONGEST: Final = 1 << 20
_EXAMPLES: Final = 20
_EXAMPLE: Final = 300


@dataclass(slots=True)
class Scan:
    """What was found. A line counts once in ``total`` however many keywords it has."""

    day: date
    keywords: tuple[str, ...]
    total: int = 0
    grave: int = 0
    """Lines with CRITICAL or FATAL among them."""
    lines: int = 0
    """Of that day, looked at."""
    files: int = 0
    by_keyword: Counter[str] = field(default_factory=Counter)
    by_logger: Counter[str] = field(default_factory=Counter)
    by_file: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[Skipped] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "date": self.day.isoformat(),
            "keywords": list(self.keywords),
            "total": self.total,
            "critical": self.grave,
            "lines": self.lines,
            "files": self.files,
            "by_keyword": {keyword: self.by_keyword[keyword] for keyword in self.keywords},
            "by_logger": dict(self.by_logger.most_common()),
            "by_file": dict(self.by_file.most_common()),
            "examples": self.examples,
            "unreadable": [{"file": one.name, "why": one.why} for one in self.unreadable],
        }

    def as_text(self) -> str:
        """For people."""
        lines = [f"Log scan of {self.day.isoformat()}: {self.total} of {self.lines} lines in {self.files} files"]
        for title, counts in (("keyword", self.by_keyword), ("logger", self.by_logger), ("file", self.by_file)):
            lines += ["", f"By {title}", *(f"  {count:8}  {name}" for name, count in counts.most_common())]
        lines += ["", "First lines", *(f"  {one['file']}: {one['line']}" for one in self.examples)]
        lines += [f"  NOT READ {one.name}: {one.why}" for one in self.unreadable]
        return "\n".join(lines) + "\n"


def scan_logs(log_dir: Path, day: date, keywords: Sequence[str]) -> Scan:
    """Look at every ``.log`` and ``.jsonl`` below the directory, rotated and compressed ones too. Blocks.

    A structured line (JSON) has a keyword that is a level when its level says so, and another keyword when its text
    has that word; a plain line when it has the word, in this case. Lines without a time belong to the line before,
    so a traceback counts to the day of its error. Times without an offset are Shanghai's.
    """
    scan = Scan(day, tuple(dict.fromkeys(keywords)))
    for found in sorted(files_below(log_dir), key=lambda one: one.name):
        if isinstance(found, Skipped):
            if found.why.startswith("cannot"):
                scan.unreadable.append(found)
        elif _NAMES.fullmatch(found.path.name) and shanghai_time(found.mtime_ns).date() >= day:
            _scan_file(scan, found)
    return scan


def _scan_file(scan: Scan, found: Found) -> None:
    current: date = shanghai_time(found.mtime_ns).date()
    try:
        with _open(found.path) as file:
            scan.files += 1
            for text in _lines(file):
                value = _object(text)
                moment = _moment_of(value) if value is not None else _stamp(text)
                if moment is not None:
                    current = moment
                if current != scan.day or not text.strip():
                    continue
                scan.lines += 1
                hits = _hits(scan.keywords, text, value)
                if hits:
                    _count(scan, found.name, hits, text, value)
    except (OSError, EOFError, zlib.error) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        scan.unreadable.append(Skipped(found.name, f"cannot be read: {why}"))


def _count(scan: Scan, name: str, hits: Sequence[str], text: str, value: Mapping[str, Any] | None) -> None:
    scan.total += 1
    scan.grave += any(keyword.upper() in GRAVE for keyword in hits)
    scan.by_keyword.update(hits)
    scan.by_logger[_logger(text, value) or "unknown"] += 1
    scan.by_file[name] += 1
    if len(scan.examples) < _EXAMPLES:
        scan.examples.append({"file": name, "line": text.strip()[:_EXAMPLE]})


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]  # reads bytes


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Lines; an endless one comes in parts."""
    while line := file.readline(_LONGEST):
        yield line.decode("utf-8", "replace")


def _object(text: str) -> Mapping[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _hits(keywords: Sequence[str], text: str, value: Mapping[str, Any] | None) -> list[str]:
    if value is None:
        return [keyword for keyword in keywords if _has_word(text, keyword)]
    level = str(next((value[name] for name in _LEVEL if name in value), "")).upper()
    said = " ".join(str(value[name]) for name in _TEXT if name in value)
    return [
        keyword
        for keyword in keywords
        if (_same(keyword.upper()) == _same(level) if keyword.upper() in LEVELS else _has_word(said, keyword))
    ]


def _same(level: str) -> str:
    return _ALIASES.get(level.upper(), level.upper())


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(word) : at + len(word) + 1]
        if not (before.isalnum() or before == "_") and not (after.isalnum() or after == "_"):
            return True
        at = text.find(word, at + 1)
    return False


def _logger(text: str, value: Mapping[str, Any] | None) -> str:
    if value is not None:
        return str(next((value[name] for name in _LOGGER if value.get(name)), ""))[:100]
    match = _PLAIN_LOGGER.search(text)
    return match[1][:100] if match else ""


def _moment_of(value: Mapping[str, Any]) -> date | None:
    told = next((value[name] for name in _TIMES if name in value), None)
    if isinstance(told, bool):
        return None
    if isinstance(told, int | float):
        try:
            return datetime.fromtimestamp(told, SHANGHAI).date()
        except (ValueError, OverflowError, OSError):
            return None
    return _stamp(told) if isinstance(told, str) else None


def _stamp(text: str) -> date | None:
    """The day, in Shanghai, of the time that a line begins with."""
    match = _STAMP.match(text)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).astimezone(SHANGHAI).date()
