"""Why a run of the schedule begins or does not, in words for the audit."""

from __future__ import annotations

from runbook.schedule.jobs import Job
from runbook.schedule.misfire import Decision


def reason_for(job: Job, decision: Decision) -> str:
    """Which moment it is about, how late, and what it stands for."""
    moment = decision.occurrence.moment
    text = f"job {job.name} of {moment:%Y-%m-%d %H:%M:%S}"
    seconds = round(decision.lateness.total_seconds())
    if decision.do == "miss":
        text += f" was missed, {_span(seconds)} ago by now"
    elif seconds:
        text += f", {_span(seconds)} late"
    if decision.passed_over:
        text += f"; it stands for {decision.passed_over} earlier one{'s' if decision.passed_over > 1 else ''} as well"
    return text


def _span(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"
