"""Who is told when tries do not help: :class:`runbook.notify.Escalation`, which counts over starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.clock import Clock
from runbook.notify import Escalation, Notifier
from runbook.settings import RunbookSettings


def escalation_of(
    runbook: RunbookSettings,
    state_dir: Path,
    clock: Clock,
    profile: str,
    environment: Mapping[str, str] | None = None,
) -> Escalation:
    """The command and the addresses of the settings; failures are counted in ``state_dir``.

    ``profile``: of whoever escalates; the command is run with it.
    """
    notifier = Notifier(runbook.notify, state_dir, clock)
    return Escalation(runbook.escalation, state_dir, notifier, environment, profile)
