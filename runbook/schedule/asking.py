"""What the jobs ask of the runner, how, and the error for a job that nobody has."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import FeedgateError
from runbook.model import ActionRequest, Config, Profile, Role
from runbook.runner.run import Run


class UnknownJobError(FeedgateError):
    """There is no such job, or it is disabled."""

    code = "unknown_job"
    exit_code = 64


class Runner(Protocol):
    """Where every run goes; the runbook's ActionRunner is one.

    It answers a second request with the same idempotency key with the first one's run, also after a restart, and keeps
    no key of a request that it refused.
    """

    def submit(self, request: ActionRequest, /, *, role: Role = Role.OPERATOR) -> Awaitable[Run]:
        """Returns as soon as it is refused or about to begin."""
        ...

    def run(self, request: ActionRequest, /, *, role: Role = Role.OPERATOR) -> Awaitable[Run]:
        """Returns when it is over."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """What every request of the schedule carries."""

    profile: Profile = "live"
    config: Config = "primary"
