"""The command that runs when tries do not help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from runbook.notify.command import run_command
from runbook.settings import EscalationSettings

_SHOWN: Final = 500


class Escalate(Protocol):
    """Tells somebody."""

    async def __call__(self, marker: str, exit_code: int, /) -> str:
        """Do it; what came of it, in words. Never raises."""
        ...


class EscalationCommand:
    """Runs ``escalation.command`` with an environment of its own, and says in words how that went."""

    def __init__(self, rules: EscalationSettings, environment: Mapping[str, str]) -> None:
        self._rules = rules
        self._environment = dict(environment)

    async def __call__(self, marker: str, exit_code: int, /) -> str:
        if not self._rules.command:
            return "nobody was told: escalation.command is not set"
        outcome = await run_command(
            self._rules.command,
            marker=marker,
            exit_code=exit_code,
            timeout_s=self._rules.timeout_s,
            environment=self._environment,
        )
        said = outcome.output.strip()[-_SHOWN:]
        how = outcome.error or f"the escalation command {outcome.program} ended with {outcome.returned}"
        return f"{how}: {said}" if said else how
