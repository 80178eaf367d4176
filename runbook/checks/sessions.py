"""The times of the sessions: a SESSION_CONFIG that can be used, and job times that fit it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import SettingsError
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity
from runbook.settings.sessions import SessionHours, fitted, read_sessions


def check(inspection: Inspection) -> Sequence[Finding]:
    """Reads the file. What is wrong with it is an error in every profile: no job is planned from it."""
    path = inspection.runbook.session_config
    if path is None:
        return (Finding.ok("SESSION_CONFIG is not set: sessions are those of the trading calendar"),)
    refused: list[str] = []
    try:
        hours = read_sessions(path)
        fitted(inspection.runbook.schedule, hours)
    except SettingsError as error:
        refused = error.findings
    if refused:
        return [Finding.of_text(Severity.ERROR, text, "correct it; docs/jobs.md has an example") for text in refused]
    said = ", ".join(f"{name} {_text(one)}" for name, one in (("day", hours.day), ("night", hours.night)))
    return (Finding.ok(f"SESSION_CONFIG ({path}): {said}"),)


def _text(hours: SessionHours | None) -> str:
    if hours is None:
        return "as the trading calendar"
    ready = f", ready by {hours.ready_by:%H:%M}" if hours.ready_by else ""
    return f"{hours.opens:%H:%M}-{hours.closes:%H:%M}{ready}"


CHECK = Check(name="sessions", title="Times of the sessions", run=check)
