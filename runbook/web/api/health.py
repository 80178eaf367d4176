"""``GET /api/health``: the feed-health report, measured now, without remediation."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from msgspec import Meta

from gateway.errors import BusError, ControlError
from runbook.health.judge import Limits, judge, unmeasured
from runbook.health.measure import measure
from runbook.health.report import HealthReport
from runbook.model import Role
from runbook.web.console import Console
from runbook.web.errors import documented


class Stalled(msgspec.Struct, frozen=True, kw_only=True):
    """A contract that should have ticked by now."""

    symbol: Annotated[str, Meta(description="`SHFE.rb2510`")]
    last_tick_at: Annotated[str | None, Meta(description="RFC 3339, +08:00")]
    lag_seconds: Annotated[float | None, Meta(description="Seconds since its last tick")]
    severity: Annotated[str, Meta(description="`notice`, `warning` or `critical`, by the limits of the settings")]


class FeedHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The report of ``check-feed-health``; its fields are the operators' contract."""

    coverage_ratio: Annotated[float | None, Meta(description="matched / expected, 0 to 1; null: not measured")]
    expected_total: Annotated[int, Meta(description="Contracts wanted by the settings or by a consumer")]
    active_total: Annotated[int, Meta(description="Contracts on a line that is up")]
    matched_total: Annotated[int, Meta(description="Contracts that are both")]
    missing_contracts: Annotated[list[str], Meta(description="Expected, and on no line")]
    unexpected_contracts: Annotated[list[str], Meta(description="On a line, and not expected")]
    stalled_contracts: Annotated[list[Stalled], Meta(description="Silent for too long, in session; quiet is none")]
    warnings: Annotated[list[str], Meta(description="In words")]
    errors: Annotated[list[str], Meta(description="In words, each with the next step")]
    exit_code: Annotated[
        int, Meta(description="0 healthy; 1 coverage below 1 and at the threshold or above; 2 error, or not measured")
    ]
    remediation: Annotated[
        dict[str, Any], Meta(description="Nothing is done here: POST /api/runbook/check-feed-health")
    ]
    feeds: Annotated[list[dict[str, Any]], Meta(description="The same for each feed, with its lines")]


@get("/api/health", opt={"role": Role.VIEWER}, tags=["status"], responses=documented())
async def get_health(console: NamedDependency[Console]) -> FeedHealth:
    """Measures now, changes nothing. A gateway that cannot be asked is an answer too: `exit_code` 2 and `errors`."""
    settings = console.runbook.runbook.health
    limits = Limits(
        coverage_threshold=settings.coverage_threshold,
        lag_warning_s=settings.lag_warning_s,
        lag_critical_s=settings.lag_critical_s,
    )
    report = await _report(console, limits)
    masked = console.runbook.masker.mapping(report.as_json())
    remediation = {"mode": "dry-run", "outcome": "not_asked_for", "attempts": []}
    return msgspec.convert(masked | {"remediation": remediation}, FeedHealth)


async def _report(console: Console, limits: Limits) -> HealthReport:
    try:
        async with console.observatory.client() as client:
            return judge(await measure(client, console.runbook.settings), limits)
    except (BusError, ControlError) as error:
        return unmeasured(error)
