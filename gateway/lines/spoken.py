"""Log records of a line's process on their way to the core: a line each on its output, beside what vendor code prints.

A record begins with a character that text does not have (RS, as in RFC 7464), then JSON. The output is no boundary of
trust: vendor code that forges a record gets a line into the log, as it does by printing one.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

_MARK: Final = b"\x1e"
_MOST_BYTES: Final = 48_000
"""Of one line. The core reads lines up to 64 KB."""
_TEXT: Final = 4_000
_TRACEBACK: Final = 8_000
_SHORT: Final = 1_000
LEVELS: Final = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


class Spoken(msgspec.Struct, frozen=True, array_like=True):
    """A record of another process."""

    level: int
    logger: str
    text: str
    traceback: str = ""


class SpokenForm(logging.Formatter):
    """Formats the records of a line's process. Never raises."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            text = record.getMessage()
        except Exception as error:  # noqa: BLE001 - arguments are anybody's objects
            text = f"{record.msg!s} (its arguments do not fit: {type(error).__name__})"
        try:
            trace = self.formatException(record.exc_info) if record.exc_info else ""
        except Exception as error:  # noqa: BLE001 - the exception's own __str__ may raise
            trace = f"(a traceback that cannot be shown: {type(error).__name__})"
        line = _line(record, text[:_TEXT], trace[-_TRACEBACK:])
        if len(line) > _MOST_BYTES:  # characters that are six bytes each
            line = _line(record, text[:_SHORT], trace[-_SHORT:])
        return line.decode()


def heard(line: bytes) -> Spoken | None:
    """The record that a line of output is; None when it is anything else."""
    if not line.startswith(_MARK):
        return None
    try:
        spoken = msgspec.json.decode(line[len(_MARK) :], type=Spoken)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return spoken if spoken.level in LEVELS else None


def as_record(spoken: Spoken, line: str, logger: logging.Logger) -> logging.LogRecord:
    """A record of the core's own, with the line's name in its text and in its attribute ``line``."""
    text = f"{line}: {spoken.logger}: {spoken.text}"
    record = logger.makeRecord(logger.name, spoken.level, __file__, 0, text, (), None, extra={"line": line})
    record.exc_text = spoken.traceback or None
    return record


def _line(record: logging.LogRecord, text: str, trace: str) -> bytes:
    level = min(LEVELS, key=lambda known: abs(known - record.levelno))
    spoken = Spoken(level, record.name, _encodable(text), _encodable(trace))
    return _MARK + msgspec.json.encode(spoken)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
