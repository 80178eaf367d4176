"""Runs the operators' command when tries did not help. What it does or fails to do never changes what was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from runbook.notify.command import run_command

MARKER: Final = "health_check_escalation"
"""What ``{marker}`` becomes; the log says ``event=health_check_escalation``."""


async def escalate(
    command: str, *, exit_code: int, timeout_s: float, marker: str = MARKER, profile: str = ""
) -> dict[str, Any]:
    """Run it and tell how that went, as a report writes it; raises nothing but a cancellation.

    The answer has ``marker`` and ``exit_code`` (that were handed over) and the fields of
    :class:`runbook.notify.command.CommandOutcome`. ``profile``: of whoever escalates.
    """
    outcome = await run_command(command, marker=marker, exit_code=exit_code, timeout_s=timeout_s, profile=profile)
    return {"marker": marker, "exit_code": exit_code} | asdict(outcome)
