"""What can be asked of the audit, and a page of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.model import SHANGHAI
from runbook.audit.chain import Entry
from runbook.audit.errors import AuditError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EQUAL: Final = ("event", "action", "operator", "trigger", "session", "window", "profile", "config", "run", "exit_code")
_DAY: Final = len("2026-11-21")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """All given conditions must hold; empty and None mean any.

    Times are RFC 3339; without an offset they are +08:00, and a day alone is its midnight. They compare with ``at``.
    """

    since: str = ""
    """Included."""
    until: str = ""
    """Excluded; a day alone is included whole."""
    event: str = ""
    action: str = ""
    operator: str = ""
    trigger: str = ""
    session: str = ""
    window: str = ""
    profile: str = ""
    config: str = ""
    run: str = ""
    exit_code: int | None = None
    text: str = ""
    """Anywhere in action, operator, reason, message, parameters, output or run; case of ASCII letters ignored."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records, newest first; ``next`` is the cursor of the next page, empty at the end.

    A cursor stays good while records are appended.
    """

    entries: tuple[Entry, ...]
    next: str


def microseconds(text: str, *, day_is_whole: bool = False) -> int:
    """Since the epoch. Raises ValueError when it is no time."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=SHANGHAI)
    if day_is_whole and len(text) <= _DAY:
        moment += timedelta(days=1)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def conditions(query: Query) -> tuple[Sequence[str], Sequence[object]]:
    """As SQL over the index. Raises AuditError for a time that is none."""
    where: list[str] = []
    values: list[object] = []
    for name, operator in (("since", ">="), ("until", "<")):
        text = getattr(query, name)
        if text:
            where.append(f"at_us {operator} ?")
            values.append(_time(name, text))
    for name in _EQUAL:
        value = getattr(query, name)
        if value not in {"", None}:
            where.append(f'"{name}" = ?')
            values.append(value)
    if query.text:
        where.append("text LIKE ? ESCAPE '\\'")
        escaped = query.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        values.append(f"%{escaped}%")
    return where, values


def _time(name: str, text: str) -> int:
    try:
        return microseconds(text, day_is_whole=name == "until")
    except ValueError as error:
        raise AuditError(f"{name}: {text!r} is no time; write 2026-11-21 or 2026-11-21T08:45:00+08:00") from error
