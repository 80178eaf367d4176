"""Log records as text for people, and what both forms have in common; the other one is ``structured``.

Both take any record of ``logging``, whoever made it: neither raises, whatever the message, its arguments and the
exception are. Vendors' messages are cut, control characters are written as escapes, and a message of several lines
cannot look like several records.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from gateway.model import SHANGHAI

Mask = Callable[[str], str]

LONGEST_TEXT: Final = 8_000
"""Characters of a message. The rest is counted and left out."""
LONGEST_TRACEBACK: Final = 16_000
"""Characters of a traceback: its first quarter and its last three."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_UNPRINTED: Final = re.compile(r"[\ud800-\udfff]")


def plain(text: str) -> str:
    """The text unchanged: nothing is masked."""
    return text


def shanghai(created: float) -> str:
    """``2026-11-23T09:00:00.000+08:00``, whatever the machine's zone is."""
    return datetime.fromtimestamp(created, SHANGHAI).isoformat(timespec="milliseconds")


def message_of(record: logging.LogRecord) -> str:
    """Its message; a wrong format or an argument that cannot be shown is told in its place."""
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments are anybody's objects
        return f"{record.msg!s} (its arguments do not fit: {type(error).__name__})"


def traceback_of(record: logging.LogRecord) -> str:
    """The traceback as text, empty without one; also of a record whose exception was made text before."""
    if record.exc_text:
        return record.exc_text
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    try:
        return logging.Formatter().formatException(record.exc_info)
    except Exception as error:  # noqa: BLE001 - the exception's own __str__ may raise
        return f"{record.exc_info[0].__name__} (its traceback cannot be shown: {type(error).__name__})"


def cut(text: str, longest: int, head: int | None = None) -> str:
    """At most so many characters, the first ``head`` (all) and the last ones, with what is missing said between."""
    missing = len(text) - longest
    if missing <= 0:
        return text
    first = longest if head is None else head
    last = text[len(text) - (longest - first) :]
    return f"{text[:first]}… ({missing} characters left out)" + (f"\n{last}" if last else "")


class TextForm(logging.Formatter):
    """``2026-11-23T09:00:00.000+08:00 ERROR gateway.lines: text``; what goes on is indented."""

    def __init__(self, mask: Mask = plain, head: str = "{at} {level} {logger}: ") -> None:
        super().__init__()
        self._mask = mask
        self._head = head

    def format(self, record: logging.LogRecord) -> str:
        text = cut(self._mask(message_of(record)), LONGEST_TEXT)
        if found := traceback_of(record):
            text += "\n" + cut(self._mask(found), LONGEST_TRACEBACK, LONGEST_TRACEBACK // 4)
        if record.stack_info:
            text += "\n" + cut(self._mask(record.stack_info), LONGEST_TRACEBACK, 0)
        head = self._head.format(at=shanghai(record.created), level=record.levelname, logger=record.name)
        return head + one_record(text)


def one_record(text: str) -> str:
    """The text with its later lines indented and control characters as escapes."""
    shown = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))
    return _UNPRINTED.sub("\ufffd", shown).replace("\n", "\n    ")
