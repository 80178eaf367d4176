"""What an action is asked, what it answers, and what is kept of it. Values only."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Window = Literal["day", "night"]
"""The session that an action is for."""
Profile = Literal["dev", "test", "live"]
"""What an environment is for."""
Config = Literal["primary", "backup"]
"""The account that operators name with ``--config``."""
Mode = Literal["live", "mock"]
"""On the real environment, or on one made for the drill."""


class Trigger(enum.StrEnum):
    """Who or what asked for an action."""

    CLI = "cli"
    API = "api"
    PAGE = "page"
    SCHEDULE = "schedule"
    WATCHDOG = "watchdog"


class Role(enum.StrEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Exit(enum.IntEnum):
    """Exit codes of commands and actions. Source: the operators' contract, §2."""

    OK = 0
    WARNING = 1
    ERROR = 2
    ENVIRONMENT = 11
    NATS = 12
    GATEWAY = 13
    SUBSCRIPTIONS = 14
    METRICS = 15
    T5_MISSED = 16
    DRILL_PRIMARY_HEALTH = 41
    DRILL_PRIMARY_METRICS = 42
    DRILL_FAILOVER_METRICS = 43
    DRILL_FAILOVER_HEALTH = 44
    DRILL_FAILBACK_METRICS = 45
    DRILL_FAILBACK_HEALTH = 46
    USAGE = 64
    BUSY = 75
    NOT_ALLOWED = 77
    TIMED_OUT = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """One wish, from whoever has it."""

    action: str
    """Name of an action kind: ``failover``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Checked against the kind's parameters before anything is done. Never holds a secret: actions read those."""
    operator: str
    """Who asks: a person, or ``schedule``."""
    trigger: Trigger
    reason: str = ""
    """Required for live actions."""
    window: Window | None = None
    profile: Profile = "dev"
    config: Config = "primary"
    mode: Mode = "live"
    dry_run: bool = False
    idempotency_key: str = ""
    """A second request with the same key and action is answered with the first one's run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """What an action did."""

    exit_code: int
    message: str
    """One line for people; says the next step when it failed."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON values; what a page or ``--json`` shows."""
    output: str = ""
    """Path of what was written (a report, an archive), relative to the log directory; empty: nothing."""

    @property
    def ok(self) -> bool:
        return self.exit_code == Exit.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One line of the audit. A run has two: ``start``, then ``stop`` or ``exception``.

    Times are RFC 3339 with +08:00. Secrets are masked before a record is made.
    """

    run: str
    """Of the run; the same in both records."""
    event: Literal["start", "stop", "exception", "refused", "note"]
    """``refused``: never begun (busy, not allowed, wrong parameters). ``note``: something that belongs into the record
    without being a run, such as a crashed run found afterwards."""
    at: str
    action: str
    operator: str
    trigger: str
    session: str
    """``day``, ``night`` or ``closed`` at that moment."""
    window: str
    profile: str
    config: str
    mode: str
    reason: str
    parameters: Mapping[str, Any]
    dry_run: bool = False
    started_at: str = ""
    finished_at: str = ""
    exit_code: int | None = None
    message: str = ""
    output: str = ""
