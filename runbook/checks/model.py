"""What a check is, and what it says."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook.checks.inspection import Inspection


class Severity(enum.StrEnum):
    """How bad it is, from good to bad."""

    OK = "ok"
    INFO = "info"
    """Worth knowing; asks for nothing."""
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check looked at."""

    severity: Severity
    what: str
    """Names the thing and says how it is. Never holds a secret."""
    fix: str = ""
    """The next step, a command where there is one; always there for a warning or an error."""

    @classmethod
    def ok(cls, what: str) -> Finding:
        """Looked at, and fine."""
        return cls(Severity.OK, what)

    @classmethod
    def info(cls, what: str, fix: str = "") -> Finding:
        """Nothing to do, or nothing that could be looked at."""
        return cls(Severity.INFO, what, fix)

    @classmethod
    def warning(cls, what: str, fix: str) -> Finding:
        """It works, for now."""
        return cls(Severity.WARNING, what, fix)

    @classmethod
    def error(cls, what: str, fix: str) -> Finding:
        """It does not work."""
        return cls(Severity.ERROR, what, fix)

    @classmethod
    def of_text(cls, severity: Severity, text: str, fix: str) -> Finding:
        """From a text of the project's errors, ``what is wrong; the fix``; ``fix`` where it says none itself."""
        what, mark, said = text.partition("; ")
        return cls(severity, what, said.removeprefix("run: ")) if mark else cls(severity, text, fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. Checks know nothing of each other and run beside each other, each in a thread."""

    name: str
    """Stable; what ``--only`` takes."""
    title: str
    """A few words."""
    run: Callable[[Inspection], Sequence[Finding]]
    """Blocks, each wait bounded; changes nothing. May raise NotReadError for want of settings."""
    fix: Callable[[Inspection], Sequence[str]] | None = None
    """Does what is safe to do and says what it did, a sentence each; nothing to do is an empty answer.

    May raise OSError or FeedgateError."""
    needs_accounts: bool = False
    """Whether it is about accounts; ``runbook doctor`` leaves it out."""
