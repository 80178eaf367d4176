"""Counts lines of the logs of one day by keyword, logger and file."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any, Final

from gateway.model import SHANGHAI
from runbook.maintenance.collect import Found, Skipped, files_below
from runbook.maintenance.log_levels import LEVELS, Line, death, read_line, same
from runbook.maintenance.placing import shanghai_time

GRAVE: Final = frozenset({"ERROR", "CRITICAL"})
_NAMES: Final = re.compile(r".+\.(log|jsonl)(\.\d+)*(\.gz)?")
_RESULTS: Final = re.compile(r"subscription_check_\d.*\.log(\.\d+)*(\.gz)?")
"""Results of checks, a line each. One that failed has an exit code, a figure and an alert of its own."""
_EVENING: Final = time(18)
"""A trading day ends and the next one begins: after the last close, before the first night session."""
_LONGEST: Final = 1 << 20
_EXAMPLES: Final = 20
_EXAMPLE: Final = 300


@dataclass(slots=True)
class Scan:
    """What was found. A line counts once in ``total`` however many keywords it has."""

    day: date
    keywords: tuple[str, ...]
    since: date | None = None
    """The trading day before, when the evening and the night after it count as well; None: the calendar day alone."""
    total: int = 0
    grave: int = 0
    """Lines of level CRITICAL among them."""
    lines: int = 0
    """Of that day, looked at."""
    files: int = 0
    failed_checks: int = 0
    """Results of checks that are an error. They are not in ``total``."""
    by_keyword: Counter[str] = field(default_factory=Counter)
    by_logger: Counter[str] = field(default_factory=Counter)
    by_file: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[Skipped] = field(default_factory=list)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From, and to without its end: midnight to midnight in Shanghai, or evening to evening for a trading day."""
        if self.since is None:
            begins = datetime.combine(self.day, time(0), SHANGHAI)
            return begins, begins + timedelta(days=1)
        return datetime.combine(self.since, _EVENING, SHANGHAI), datetime.combine(self.day, _EVENING, SHANGHAI)

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "date": self.day.isoformat(),
            "from": self.span[0].isoformat(),
            "to": self.span[1].isoformat(),
            "keywords": list(self.keywords),
            "total": self.total,
            "critical": self.grave,
            "failed_checks": self.failed_checks,
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
        begins, ends = (f"{moment:%m-%d %H:%M}" for moment in self.span)
        span = f"{self.day.isoformat()} ({begins} to {ends})"
        lines = [f"Log scan of {span}: {self.total} of {self.lines} lines in {self.files} files"]
        lines += [f"Beside them {self.failed_checks} failed checks"] if self.failed_checks else []
        for title, counts in (("keyword", self.by_keyword), ("logger", self.by_logger), ("file", self.by_file)):
            lines += ["", f"By {title}", *(f"  {count:8}  {name}" for name, count in counts.most_common())]
        lines += ["", "First lines", *(f"  {one['file']}: {one['line']}" for one in self.examples)]
        lines += [f"  NOT READ {one.name}: {one.why}" for one in self.unreadable]
        return "\n".join(lines) + "\n"


def scan_logs(log_dir: Path, day: date, keywords: Sequence[str], since: date | None = None) -> Scan:
    """Look at every ``.log`` and ``.jsonl`` below the directory, rotated and compressed ones too. Blocks.

    The calendar day in Shanghai; with ``since``, the trading day before, from that one's evening to the day's.
    A keyword that is a level counts lines of that level: the field of a JSON line, the place after the time in a
    plain one, never a word of a message. Any other keyword counts lines whose text has it as a word, in this case.
    Lines without a time belong to the line before, so a traceback counts to the day of its error; one that no error
    announced is the end of a program, and counts as an error itself. Times without an offset are Shanghai's.
    """
    scan = Scan(day, tuple(dict.fromkeys(keywords)), since)
    for found in sorted(files_below(log_dir), key=lambda one: one.name):
        if isinstance(found, Skipped):
            if found.why.startswith("cannot"):
                scan.unreadable.append(found)
        elif _NAMES.fullmatch(found.path.name) and shanghai_time(found.mtime_ns).date() >= (since or day):
            _scan_file(scan, found)
    return scan


def _scan_file(scan: Scan, found: Found) -> None:
    begins, ends = scan.span
    at = shanghai_time(found.mtime_ns)
    results = _RESULTS.fullmatch(found.path.name) is not None
    announced = False
    """The last record was an error, so that a traceback is its own."""
    try:
        with _open(found.path) as file:
            scan.files += 1
            for text in _lines(file):
                line = read_line(text)
                at = line.at or at
                level = line.level
                if line.at is None and not level and not announced:
                    level = death(text)
                if line.at is not None or level:
                    announced = level in GRAVE
                if not begins <= at < ends or not text.strip():
                    continue
                scan.lines += 1
                if results:
                    scan.failed_checks += level in GRAVE
                elif hits := _hits(scan.keywords, level, line):
                    _count(scan, found.name, hits, text, level, line)
    except (OSError, EOFError, zlib.error) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        scan.unreadable.append(Skipped(found.name, f"cannot be read: {why}"))


def _count(scan: Scan, name: str, hits: Sequence[str], text: str, level: str, line: Line) -> None:
    scan.total += 1
    scan.grave += level == "CRITICAL" and any(same(keyword) == "CRITICAL" for keyword in hits)
    scan.by_keyword.update(hits)
    scan.by_logger[line.logger or "unknown"] += 1
    scan.by_file[name] += 1
    if len(scan.examples) < _EXAMPLES:
        scan.examples.append({"file": name, "line": text.strip()[:_EXAMPLE]})


def _hits(keywords: Sequence[str], level: str, line: Line) -> list[str]:
    return [
        keyword
        for keyword in keywords
        if (same(keyword) == level if keyword.upper() in LEVELS else _has_word(line.said, keyword))
    ]


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]  # reads bytes


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Lines; an endless one comes in parts."""
    while line := file.readline(_LONGEST):
        yield line.decode("utf-8", "replace")


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(word) : at + len(word) + 1]
        if not (before.isalnum() or before == "_") and not (after.isalnum() or after == "_"):
            return True
        at = text.find(word, at + 1)
    return False
