"""The action ``t5-checkpoint``: everything is ready five minutes before the market opens. Source: contract, §4, §8."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import push_to_gateway
from pydantic import BaseModel, Field

from gateway.calendar import Calendar, load_calendar
from gateway.client import Client
from gateway.errors import BusError, FeedgateError
from gateway.hookspecs import hookimpl
from gateway.model import SHANGHAI
from runbook.context import ActionContext
from runbook.health.files import shown, stamp, write_new
from runbook.health.judge import Limits, judge
from runbook.health.measure import measure
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit, Window
from runbook.settings.fields import Ratio
from runbook.settings.sessions import SessionConfig, read_sessions
from runbook.supervisor.escalation import escalation_of
from runbook.supervisor.t5 import Checkpoint, T5Book, T5MissedError, checkpoint_of

METRIC: Final = "md_t5_checkpoint_status"
JOB: Final = "t5_checkpoint"
BOOK: Final = "t5.json"
"""In the state directory; ``start`` writes into it too."""
NOT_MEASURED: Final = "not measured, because the gateway could not be asked"
MARKER: Final = "t5_missed"
"""What ``{marker}`` of the escalation command becomes."""
_MEASURE_S: Final = 60.0
_AGAIN_S: Final = 2.0
"""An answer to what was asked for comes within."""
_CHECKS: Final = ("nats", "gateway", "lines", "coverage", "ledger")


class T5Parameters(BaseModel, extra="forbid", frozen=True):
    """The window comes with the request; unset: the session that is open or opens next."""

    coverage_threshold: Ratio | None = Field(
        None, description="Least share of expected contracts that must be carried; unset: as the settings say"
    )


async def t5_checkpoint(context: ActionContext, parameters: T5Parameters, /) -> ActionResult:
    """0 ready in time; 16 not ready, not to be measured, or too late; 1 when no session is open or ahead.

    A dry run measures, and neither pushes nor writes. Raises CalendarError beyond the calendar, and SettingsError for a
    SESSION_CONFIG that cannot be used.
    """
    days = context.settings.calendar
    calendar = await asyncio.to_thread(load_calendar, days.overrides, cache=days.cache_directory)
    began = _now(context)
    hours = await asyncio.to_thread(read_sessions, context.runbook.session_config)
    checkpoint = next_checkpoint(calendar, context.request.window, began, context.runbook.start.t5_lead_s, hours)
    if checkpoint is None:
        what = f"{context.request.window} session" if context.request.window else "session"
        text = f"no {what} is open or ahead on {began:%Y-%m-%d}; there is nothing to check"
        return ActionResult(exit_code=Exit.WARNING, message=text)
    desk = Desk(context)
    checks, failed = await _ready_or_remediated(context, parameters, desk)
    began = _now(context) if not failed else began
    code, message = Exit.OK, ""
    if failed:
        code, message = Exit.T5_MISSED, f"T-5 not ready: {failed}; remediate, and notify the desk"
    else:
        try:
            message = await asyncio.to_thread(_in_time, context, checkpoint, began)
        except T5MissedError as late:
            code, message = Exit.T5_MISSED, str(late)
            await desk.failed(message)
        except OSError as error:
            code = Exit.T5_MISSED
            message = f"T-5 cannot be written to {context.runbook.state_dir}: {error.strerror}; make room or correct it"
    if code == Exit.OK:
        await asyncio.to_thread(desk.passed)
    details = _details(checkpoint, checks, began, ready=code == Exit.OK)
    if context.request.dry_run:
        return ActionResult(exit_code=code, message=f"dry run: {message}", details=details)
    if unpushed := await push_status(context, checkpoint.window, ready=code == Exit.OK):
        context.tell("t5", unpushed, {})
        message += f"; {unpushed}"
    output, unwritten = await asyncio.to_thread(_write, context, {**details, "message": message})
    return ActionResult(exit_code=code, message=message + unwritten, details=details, output=output)


def next_checkpoint(
    calendar: Calendar, window: Window | None, moment: datetime, lead_s: float, hours: SessionConfig | None = None
) -> Checkpoint | None:
    """That of the window, or of the session that is open or opens next on that date."""
    wanted: tuple[Window, ...] = (window,) if window else ("day", "night")
    found = [checkpoint_of(calendar, each, moment, lead_s, hours) for each in wanted]
    return min((each for each in found if each is not None), key=lambda each: each.opens, default=None)


async def push_status(context: ActionContext, session: str, *, ready: bool) -> str:
    """``md_t5_checkpoint_status{session}`` to the Pushgateway, 0 or 1; why that failed, or nothing."""
    url = context.runbook.metrics.pushgateway_url
    if url is None:
        return ""
    registry = CollectorRegistry()
    Gauge(METRIC, "Whether everything was ready at T-5", registry=registry).set(1 if ready else 0)
    group = {"session": session, "profile": context.request.profile}
    timeout_s = context.runbook.metrics.push_timeout_s
    try:
        await asyncio.to_thread(push_to_gateway, url, JOB, registry, grouping_key=group, timeout=timeout_s)
    except (OSError, HTTPException, ValueError) as error:
        return f"the figure could not be pushed to {url}: {error}; is the Pushgateway running?"
    return ""


class Desk:
    """Who is told of a T-5 that fails again and again: the stage ``t5`` of the start. A dry run tells nobody."""

    def __init__(self, context: ActionContext) -> None:
        self._context = context
        profile = context.request.profile
        self._escalation = escalation_of(context.runbook, context.runbook.state_dir, context.clock, profile)
        self._told = False

    async def failed(self, why: str) -> None:
        """One more failure; from the one of ``escalation.after`` on the desk is told, once for each checkpoint."""
        if self._context.request.dry_run:
            return
        code = int(Exit.T5_MISSED)
        escalated = await self._escalation.failed("t5", code, marker=MARKER, text=why, told=self._told)
        if escalated.due:
            self._told = True
            self._context.tell("escalation", f"t5 {escalated.said}", {"marker": f"event={MARKER}", "exit_code": code})

    def passed(self) -> None:
        """Begin to count anew. Blocks shortly."""
        if not self._context.request.dry_run:
            self._escalation.succeeded("t5")


async def _ready_or_remediated(
    context: ActionContext, parameters: T5Parameters, desk: Desk
) -> tuple[dict[str, str], str]:
    """The checks after the last try, and what is not ready in the end; between tries what can be remedied is."""
    tries = 1 if context.request.dry_run else context.runbook.start.tries
    for attempt in range(1, tries + 1):
        checks = await _measured(context, parameters)
        for name, why in checks.items():
            context.tell("t5", f"{name}: {why or 'ready'}", {"check": name, "ready": not why, "attempt": attempt})
        failed = "; ".join(f"{name}: {why}" for name, why in checks.items() if why)
        if not failed:
            break
        await desk.failed(failed)
        if attempt < tries:
            context.tell("t5", f"remediating: {await _remediate(context, checks)}", {"attempt": attempt})
            await asyncio.sleep(_AGAIN_S)
    return checks, failed


async def _remediate(context: ActionContext, checks: Mapping[str, str]) -> str:
    """What was done, or the command for somebody to type. Missing contracts are the only thing to mend from here."""
    profile = context.request.profile
    if checks["nats"]:
        return f"`runbook start --profile {profile}` brings NATS up; looking again"
    if checks["gateway"]:
        return f"`runbook restart --profile {profile}` brings the gateway back; looking again"
    if not checks["coverage"]:
        return f"the gateway restarts its lines by itself, or `runbook restart-line --profile {profile}`; looking again"
    try:
        async with asyncio.timeout(_MEASURE_S), context.connect() as client:
            missing = [name for feed in await client.coverage() for name in feed.missing]
            if missing:
                await client.subscribe(*missing)
    except (FeedgateError, TimeoutError) as error:
        return f"missing contracts could not be asked for: {error}; looking again"
    return f"asked anew for {len(missing)} missing contracts, as `check-feed-health --mode enforce` does"


async def _measured(context: ActionContext, parameters: T5Parameters) -> dict[str, str]:
    """Check → why it is not ready; empty: ready. What could not be measured is not ready."""
    checks = dict.fromkeys(_CHECKS, NOT_MEASURED)
    try:
        async with asyncio.timeout(_MEASURE_S), context.connect() as client:
            checks["nats"] = ""
            await _ask(client, context, parameters, checks)
    except BusError as error:
        checks["nats" if checks["nats"] else "gateway"] = str(error)
    except FeedgateError as error:
        checks["gateway"] = str(error)
    except TimeoutError:
        checks["gateway"] = f"no answer within {_MEASURE_S:g} s"
    return checks


async def _ask(client: Client, context: ActionContext, parameters: T5Parameters, checks: dict[str, str]) -> None:
    rules = context.runbook.health
    limits = Limits(
        coverage_threshold=parameters.coverage_threshold or rules.coverage_threshold,
        lag_warning_s=rules.lag_warning_s,
        lag_critical_s=rules.lag_critical_s,
    )
    found = await measure(client, context.settings)
    checks["gateway"] = ""
    lines = [line for line in found.gateway.lines if line.role != "cold"]
    down = [f"{line.line} is {line.state.value} {line.reason}".rstrip() for line in lines if not line.state.is_up]
    checks["lines"] = "; ".join(down) if lines else "the gateway has no line"
    checks["coverage"] = "; ".join(judge(found, limits).errors)
    ledger = found.gateway.ledger
    checks["ledger"] = f"degraded: {ledger.reason or 'it does not say why'}" if ledger.degraded else ""


def _in_time(context: ActionContext, checkpoint: Checkpoint, began: datetime) -> str:
    """Everything is ready; is it in time? Raises T5MissedError, and OSError. The scheduler's grace counts here too."""
    grace = timedelta(seconds=context.runbook.schedule.t5_grace_s)
    if context.request.dry_run:
        if began <= checkpoint.due + grace:
            return f"ready at {began:%H:%M:%S}, T-5 is {checkpoint.due:%H:%M:%S}"
        raise T5MissedError(f"T-5 ({checkpoint.due:%H:%M:%S}) is over")
    path = context.runbook.state_dir / BOOK
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    book = T5Book(path)
    if checkpoint.due < began <= checkpoint.due + grace:
        book.judge(replace(checkpoint, due=checkpoint.due + grace), began)
        return f"ready at {began:%H:%M:%S}, at T-5 ({checkpoint.due:%H:%M:%S})"
    return book.judge(checkpoint, began)


def _details(checkpoint: Checkpoint, checks: Mapping[str, str], began: datetime, *, ready: bool) -> dict[str, Any]:
    return {
        "ready": ready,
        "session": checkpoint.window,
        "trading_day": checkpoint.trading_day,
        "due": checkpoint.due.astimezone(SHANGHAI).isoformat(),
        "opens": checkpoint.opens.astimezone(SHANGHAI).isoformat(),
        "measured_at": began.isoformat(timespec="milliseconds"),
        "checks": [{"name": name, "ready": not why, "why": why} for name, why in checks.items()],
    }


def _write(context: ActionContext, document: Mapping[str, Any]) -> tuple[str, str]:
    """Where the result is, and why it is nowhere."""
    name = f"t5_checkpoint_{stamp(context.clock.wall_ns())}"
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    try:
        path = write_new(context.log_dir, name, ".json", text)
    except OSError as error:
        return "", f"; the result could not be written into {context.log_dir}: {error.strerror}"
    return shown(path, context.log_dir), ""


def _now(context: ActionContext) -> datetime:
    seconds, ns = divmod(context.clock.wall_ns(), 1_000_000_000)
    return datetime.fromtimestamp(seconds, SHANGHAI).replace(microsecond=ns // 1000)


def _build() -> Any:
    return t5_checkpoint


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``t5-checkpoint``."""
    return [
        ActionKind(
            name="t5-checkpoint",
            title="T-5 checkpoint",
            build=_build,
            parameters=T5Parameters,
            # it asks for nothing that was not wanted already, and must not wait for a drill
            changes=False,
            exclusive=False,
        )
    ]
