"""The action ``check-feed-health``: whether everything wanted is carried and ticks; with enforce, made so again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from gateway.errors import BusError, ControlError
from gateway.hookspecs import hookimpl
from gateway.settings.fields import Count, FilePath, Seconds
from runbook.context import ActionContext
from runbook.health.files import report_csv, report_json, report_line, shown, stamp, write_new
from runbook.health.judge import Limits, judge, unmeasured
from runbook.health.measure import measure
from runbook.health.push import push
from runbook.health.remedy import Enforcer, Remedy
from runbook.health.report import HealthReport
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai
from runbook.settings import HealthSettings, secrets_of
from runbook.settings.fields import Escalation, Ratio

log = logging.getLogger(__name__)

READY = "HEALTH=READY"
_TIMEOUT_S = 900.0
_BUDGET_S = 600.0
"""What enforce may use of it before it escalates."""


class HealthParameters(BaseModel, extra="forbid", frozen=True):
    """Unset figures come from the runbook's settings."""

    mode: Literal["dry-run", "enforce"] = Field(
        "dry-run", description="dry-run looks; enforce subscribes what is missing, then calls the escalation command"
    )
    enforce: bool = Field(False, description="The same as --mode enforce")
    skip_metrics: bool = Field(False, description="Push nothing to the Pushgateway")
    json_indent: int | None = Field(2, ge=0, le=8, description="Blanks that a level of the JSON report is indented by")
    out: Literal["json", "csv"] = Field("json", description="Format of the report file")
    out_dir: FilePath | None = Field(None, description="Directory of the report file; unset: the log directory")
    max_remediation_attempts: Count | None = Field(
        None, le=20, description="How often enforce subscribes anew before it escalates"
    )
    escalation_command: Escalation | None = Field(
        None,
        description="Command after the last failed attempt, without a shell; {marker} and {exit_code} are filled in",
    )
    coverage_threshold: Ratio | None = Field(
        None, description="Least share of expected contracts that must be carried, such as 0.995; below: exit 2"
    )
    lag_warning: Seconds | None = Field(
        None, description="Seconds; a contract stalled for so long in session is a warning (exit 1)"
    )
    lag_critical: Seconds | None = Field(
        None, description="Seconds; a contract stalled for so long in session is an error (exit 2)"
    )
    confirm_timeout: Seconds = Field(
        15.0, le=120, description="Seconds; an attempt of enforce waits so long for confirmations"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lag_warning and self.lag_critical and self.lag_warning > self.lag_critical:
            raise ValueError("lag_warning is above lag_critical; a contract would be critical before it is a warning")
        return self

    def limits(self, settings: HealthSettings) -> Limits:
        """A single limit that is given moves the other one out of its way."""
        warning = settings.lag_warning_s if self.lag_warning is None else self.lag_warning
        critical = settings.lag_critical_s if self.lag_critical is None else self.lag_critical
        threshold = settings.coverage_threshold if self.coverage_threshold is None else self.coverage_threshold
        return Limits(
            coverage_threshold=threshold,
            lag_warning_s=min(warning, critical) if self.lag_warning is None else warning,
            lag_critical_s=max(warning, critical) if self.lag_critical is None else critical,
        )


async def check_feed_health(context: ActionContext, parameters: HealthParameters) -> ActionResult:
    """Measure, judge, heal if asked to, write and push the report. A check that cannot measure ends with 2."""
    limits = parameters.limits(context.runbook.health)

    async def look() -> HealthReport:
        try:
            async with context.connect() as client:
                return judge(await measure(client, context.settings), limits)
        except (BusError, ControlError) as error:
            return unmeasured(error)

    report = await look()
    context.tell("health", _said(report), {"exit_code": int(report.exit_code)})
    report = await _remedied(context, parameters, report, Enforcer(context, _remedy(context, parameters), look))
    url = context.runbook.metrics.pushgateway_url
    if url is not None and not parameters.skip_metrics:
        timeout_s = context.runbook.metrics.push_timeout_s
        if failed := await push(report, url, profile=context.request.profile, timeout_s=timeout_s):
            report = report.with_warning(failed)
    report, output = await _written(context, parameters, report)
    message = _said(report)
    if report.exit_code == Exit.OK:
        log.info(READY)
        context.tell("health", READY, {"coverage_ratio": report.coverage_ratio})
    return ActionResult(exit_code=report.exit_code, message=message, details=report.as_json(), output=output)


async def _remedied(
    context: ActionContext, parameters: HealthParameters, report: HealthReport, enforcer: Enforcer
) -> HealthReport:
    enforce = parameters.enforce or parameters.mode == "enforce"
    if not enforce:
        return replace(report, remediation={"mode": "dry-run", "outcome": "not_asked_for", "attempts": []})
    if context.request.dry_run:
        return replace(report, remediation={"mode": "enforce", "outcome": "dry_run", "attempts": []})
    return await enforcer.run(report)


def _remedy(context: ActionContext, parameters: HealthParameters) -> Remedy:
    runbook = context.runbook
    attempts = parameters.max_remediation_attempts
    return Remedy(
        attempts=runbook.health.max_remediation_attempts if attempts is None else attempts,
        confirm_s=parameters.confirm_timeout,
        budget_s=_BUDGET_S,
        command=parameters.escalation_command or runbook.escalation.command or None,
        command_s=runbook.escalation.timeout_s,
    )


async def _written(
    context: ActionContext, parameters: HealthParameters, report: HealthReport
) -> tuple[HealthReport, str]:
    """The report, and where it is. One that cannot be written does not hide what was found."""
    directory: Path = parameters.out_dir or context.log_dir
    text = report_json(report, parameters.json_indent) if parameters.out == "json" else report_csv(report)
    # an escalation command may print what it was given, and the vendor's words are not ours
    masker = Masker([*secrets_of(context.settings), *secrets_of(context.runbook)])
    text = masker.text(text)
    now_ns = context.clock.wall_ns()
    name = f"subscription_check_{stamp(now_ns)}"
    try:
        line = masker.text(report_line(report, shanghai(now_ns)))
        await asyncio.to_thread(write_new, context.log_dir, name, ".log", line)
        path = await asyncio.to_thread(write_new, directory, name, f".{parameters.out}", text)
    except OSError as error:
        failed = (
            f"the report could not be written ({error.filename or directory}: {error.strerror or error}); make room"
        )
        log.warning("%s", failed)
        return report.with_warning(failed, at_least=Exit.WARNING), ""
    return report, shown(path, context.log_dir)


def _said(report: HealthReport) -> str:
    if report.errors:
        return report.errors[0]
    if report.exit_code != Exit.OK:
        return report.warnings[0] if report.exit_code == Exit.WARNING and report.warnings else "unhealthy"
    sessions = ", ".join(f"{feed.feed} {feed.session}" for feed in report.feeds)
    return f"{READY}: {report.matched_total} of {report.expected_total} contracts are carried ({sessions})"


def _build() -> Any:
    return check_feed_health


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``check-feed-health``."""
    return [
        ActionKind(
            name="check-feed-health",
            title="Check feed health",
            build=_build,
            parameters=HealthParameters,
            # the hourly check needs no reason and must run beside a drill: enforce asks only for what is wanted anyway
            changes=False,
            exclusive=False,
            timeout_s=_TIMEOUT_S,
        )
    ]
