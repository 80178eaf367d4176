"""Reads one line of a log: when it was written, how grave it is, and who wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.model import SHANGHAI

LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"})
_ALIASES: Final = {
    "WARN": "WARNING",
    "FATAL": "CRITICAL",
    "TRC": "DEBUG",
    "DBG": "DEBUG",
    "INF": "INFO",
    "WRN": "WARNING",
    "ERR": "ERROR",
    "FTL": "CRITICAL",
}
"""Those of three letters are nats-server's."""
_TIMES: Final = ("at", "timestamp", "time", "ts", "asctime", "@timestamp")
_LEVEL: Final = ("level", "levelname", "severity", "log_level")
_LOGGER: Final = ("logger", "name", "logger_name", "module")
_TEXT: Final = ("text", "message", "msg", "event", "stage")
_STAMP: Final = re.compile(
    r"(?:\[\d+\] )?\[?(20\d\d)[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(Z|[+-]\d\d:?\d\d)?\]?"
)
_WORD: Final = r"DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL"
_HEAD: Final = re.compile(
    rf"[\s|-]*(?:[\w.]+(?:\s+-\s+|\s*\|\s*))?(?:\[\s*(?P<boxed>{_WORD}|TRC|DBG|INF|WRN|ERR|FTL)\s*\]|(?P<bare>{_WORD})(?![\w=]))",
)
"""After the time: the level, boxed or not; before it at most a logger, set off by a dash or a bar."""
_LOGGER_AFTER: Final = re.compile(r"[\]\s:|-]*([A-Za-z_][\w.-]*)\s*(?:[:\]|]|\s-\s)")
_LOGFMT: Final = re.compile(r"(?:ts|time)=\S+.*?\blevel=\"?(\w+)")
_DEATHS: Final = (
    ("Fatal Python error", "CRITICAL"),
    ("panic:", "CRITICAL"),
    ("Traceback (most recent call last):", "ERROR"),
)
"""How programs end that could not log it any more."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says of itself."""

    at: datetime | None
    """None: it goes on with the line before."""
    level: str
    """In capitals, WARNING and not WARN; empty when it has none."""
    logger: str
    said: str
    """Where words are looked for: the text of a structured line, all of a plain one."""


def same(level: str) -> str:
    """One name for each level."""
    return _ALIASES.get(level.upper(), level.upper())


def read_line(text: str) -> Line:
    """Of any text. The level is what stands in its place, never a word of the message."""
    value = _object(text)
    if value is None:
        return _plain(text)
    level = same(str(_first(value, _LEVEL) or ""))
    said = " ".join(str(value[name]) for name in _TEXT if name in value)
    return Line(_moment_of(value), level if level in LEVELS else "", str(_first(value, _LOGGER) or "")[:100], said)


def death(text: str) -> str:
    """The level of a line that a program died with, which has no time; empty for any other."""
    return next((level for begin, level in _DEATHS if text.startswith(begin)), "")


def _plain(text: str) -> Line:
    stamp = _STAMP.match(text)
    rest = text[stamp.end() :] if stamp else text
    head = _HEAD.match(rest)
    level = same((head["boxed"] or head["bare"]) if head else "")
    if not level and (found := _LOGFMT.match(text)):
        level = same(found[1]) if same(found[1]) in LEVELS else ""
    logger = _LOGGER_AFTER.match(rest, head.end()) if head else None
    return Line(_moment(stamp), level, logger[1][:100] if logger else "", text)


def _object(text: str) -> Mapping[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((value[name] for name in names if name in value), None)


def _moment_of(value: Mapping[str, Any]) -> datetime | None:
    told = _first(value, _TIMES)
    if isinstance(told, bool):
        return None
    if isinstance(told, int | float):
        try:
            return datetime.fromtimestamp(told, SHANGHAI)
        except (ValueError, OverflowError, OSError):
            return None
    return _moment(_STAMP.match(told)) if isinstance(told, str) else None


def _moment(stamp: re.Match[str] | None) -> datetime | None:
    """In Shanghai. Without an offset it is Shanghai's time."""
    if stamp is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{stamp[1]}-{stamp[2]}-{stamp[3]}T{stamp[4]}{stamp[5] or ''}")
        return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).astimezone(SHANGHAI)
    except (ValueError, OverflowError):
        return None
