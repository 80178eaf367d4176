"""A message, and what came of it. Values only."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["info", "success", "warning", "failure"]
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,19}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What people read."""

    title: str
    text: str
    severity: Severity = "info"
    key: str = ""
    """Messages of one key are the same one; empty: those of the same title and text."""

    @property
    def digest(self) -> str:
        """Names the message where it must not be written out."""
        parts = (self.key,) if self.key else (self.title, self.text)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one address said. Holds nothing of the address but its scheme."""

    address: str
    """``2 (slack)``: its place in the settings, from 1, and its scheme."""
    error: str = ""
    """Empty: it took the message."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a message."""

    answers: tuple[Answer, ...] = ()
    left_out: str = ""
    """Why it was not sent at all; empty: it was tried."""
    limited: bool = False
    """It was left out because too many were sent, not because it was the same as another."""

    @property
    def taken(self) -> int:
        """How many addresses took it."""
        return sum(not answer.error for answer in self.answers)


def named(number: int, url: str) -> str:
    """How an address is called in logs, errors and results."""
    scheme = url.partition("://")[0].strip().lower()
    return f"{number} ({scheme if _SCHEME.fullmatch(scheme) else 'no scheme'})"
