"""The action ``drill``: primary → backup → primary, measured; live, or on a market of its own (``--mock``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import BaseModel, Field

from gateway.errors import BusError, ControlError
from gateway.hookspecs import hookimpl
from gateway.settings.fields import Count, Seconds, Word
from runbook.context import ActionContext
from runbook.drill.backlog import BacklogSource
from runbook.drill.course import Course
from runbook.drill.faults import DrillFault, chosen
from runbook.drill.grounds import FEED, Ground, live_ground, mock_ground
from runbook.drill.healthcheck import HealthCheck, built_in, command
from runbook.drill.nats_backlog import NatsBacklog, asking
from runbook.drill.notes import Plan
from runbook.drill.orders import reason_of, refused
from runbook.drill.report import DrillReport, write
from runbook.drill.self_test import self_test
from runbook.drill.web_backlog import metrics_source
from runbook.drill.witness import watching
from runbook.health.files import shown
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit

log = logging.getLogger(__name__)

DIRECTORY = "drills"
_TIMEOUT_S = 600.0


class DrillParameters(BaseModel, extra="forbid", frozen=True):
    """Thresholds and expectations come from the settings (``DRILL_…``)."""

    feed: Word | None = Field(None, description="Feed to drill; unset: DRILL_EXPECT_FEED, or the only one")
    to: str | None = Field(None, pattern=r"^[^:\s]+:[^:\s]+$", description="Line to fail over to; unset: the next")
    fault: str | None = Field(
        None,
        description="Fault at the active line: restart-line, kill-line, stop-line, silent-front, dead-front; "
        "on the live path only restart-line",
    )
    yes_really: bool = Field(False, description="Bring the fault about on the live path")
    patience: Seconds = Field(15.0, le=40, description="Seconds; each check must pass within")
    observe: Seconds = Field(2.0, le=40, description="Seconds; each stage is watched for so long before it is judged")
    contracts: Count = Field(60, le=5000, description="Contracts of the mock market")
    rate: float = Field(600.0, ge=10, le=20_000, description="Ticks a second of the mock market")
    router: Word = Field("all_hot", description="Router of the mock gateway")
    self_test: bool = Field(
        False, description="Run the drill's own tests: a mock drill that must pass, and broken ones that must fail"
    )


async def drill(context: ActionContext, parameters: DrillParameters) -> ActionResult:
    """0 on real success; 41 to 46 for the stage that failed (contract, §2); 12 or 13 when nothing could be begun.

    What cannot be measured fails its stage. On a mock the built-in health check and the mock's own NATS are used:
    ``DRILL_HEALTH_CMD`` and ``DRILL_METRICS_SOURCE`` are about the live system.
    """
    if parameters.self_test:
        return await self_test(context)
    live = context.request.mode == "live"
    fault = chosen(parameters.fault, live=live, yes_really=parameters.yes_really)
    try:
        async with _ground(context, parameters) as ground:
            return await _drilled(context, parameters, ground, fault)
    except (BusError, ControlError) as error:
        return refused("drill", error)


def _ground(context: ActionContext, parameters: DrillParameters) -> AbstractAsyncContextManager[Ground]:
    if context.request.mode == "live":
        return live_ground(context.connect, context.settings, reason_of(context), context.request.operator)
    context.tell("mock", "a gateway of the drill's own is being started", {"rate": parameters.rate})
    return mock_ground(contracts=parameters.contracts, rate=parameters.rate, router=parameters.router)


async def _drilled(
    context: ActionContext, parameters: DrillParameters, ground: Ground, fault: DrillFault | None
) -> ActionResult:
    rules = context.runbook.drill
    live = context.request.mode == "live"
    if not live:
        context.tell("mock", "the mock gateway is ready", {"url": ground.url})
    plan = Plan(
        mode=context.request.mode,
        feed=parameters.feed if live else FEED,
        to=parameters.to,
        reason=reason_of(context),
        operator=context.request.operator,
        expect_feed=rules.expect_feed if live else None,
        expect_account=rules.expect_account if live else None,
        threshold=rules.consumer_backlog_threshold,
        latency_limit_ms=rules.latency_limit_ms,
        patience_s=parameters.patience,
        observe_s=parameters.observe,
        fault=fault,
        dry_run=context.request.dry_run,
    )
    cold = fault is not None and (not live and parameters.router.endswith("_cold"))
    async with watching(ground.client, ground.check, gaps_allowed=cold) as witness:
        course = Course(
            ground.client,
            plan,
            health=_health(context, ground),
            backlog=_backlog(context, ground),
            witness=witness,
            injector=ground.injector,
            clock=context.clock,
            tell=context.tell,
        )
        try:
            await course.run()
        finally:
            output = await _written(context, course.report)
    return ActionResult(
        exit_code=course.report.exit_code,
        message=course.report.message,
        details=course.report.as_json(),
        output=output,
    )


def _health(context: ActionContext, ground: Ground) -> HealthCheck:
    text = context.runbook.drill.health_cmd
    if text and context.request.mode == "live":
        return command(text)
    return built_in(ground.settings, context.runbook.health)


def _backlog(context: ActionContext, ground: Ground) -> BacklogSource:
    text = context.runbook.drill.metrics_source
    if text and context.request.mode == "live":
        return metrics_source(text, context.clock)
    return NatsBacklog(asking(ground.client))


async def _written(context: ActionContext, report: DrillReport) -> str:
    """Where the JSON report is. A drill whose report cannot be kept is no success: nobody could show it."""
    directory = context.log_dir / DIRECTORY
    try:
        json_file, _ = await asyncio.to_thread(write, report, directory, context.clock.wall_ns())
    except OSError as error:
        text = f"the report could not be written into {directory}: {error.strerror or error}; make room or correct it"
        log.error("drill: %s", text)  # noqa: TRY400 - the reason is in the text
        report.message = f"{report.message}; {text}"
        report.exit_code = report.exit_code or Exit.ERROR
        return ""
    return shown(json_file, context.log_dir)


def _build() -> Any:
    return drill


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``drill``."""
    return [
        ActionKind(
            name="drill",
            title="Failover drill",
            build=_build,
            parameters=DrillParameters,
            timeout_s=_TIMEOUT_S,
        )
    ]
