"""``/api/jobs``: what runs by itself, when next, and having it run, pause or go on."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from runbook.model import Role, Trigger
from runbook.schedule.desk import JobDesk
from runbook.schedule.rows import JobRow
from runbook.web.api.actions import IdempotencyKey, answer_run
from runbook.web.api.runs import RunView, root_of
from runbook.web.console import Console, Principal
from runbook.web.errors import ApiError, documented

Asked = Request[Principal, Any, Any]


class LastMoment(msgspec.Struct, frozen=True, kw_only=True):
    """The last moment of a job about which something was decided."""

    moment: Annotated[str | None, Meta(description="Planned; RFC 3339, +08:00")]
    at: Annotated[str | None, Meta(description="Decided; RFC 3339, +08:00")]
    outcome: Annotated[str, Meta(description="`run late missed paused refused`")]
    run: Annotated[str, Meta(description="Id of its run; empty: none")]
    note: Annotated[str, Meta(description="Why, in words")]


class PausedBy(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody stopped a job."""

    at: Annotated[str | None, Meta(description="RFC 3339, +08:00")]
    by: Annotated[str, Meta(description="Who")]
    reason: Annotated[str, Meta(description="Why")]


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands."""

    name: Annotated[str, Meta(description="Path of `POST /api/jobs/{name}/run`")]
    title: Annotated[str, Meta(description="A few words")]
    action: Annotated[str, Meta(description="The action that it asks for")]
    next: Annotated[str | None, Meta(description="Its next moment; RFC 3339, +08:00; null: see problem")]
    window: Annotated[str | None, Meta(description="`day` or `night`, of the next moment")]
    trading_day: Annotated[int | None, Meta(description="YYYYMMDD, of the next moment")]
    problem: Annotated[str, Meta(description="Why there is no next moment; empty: there is one")]
    if_missed: Annotated[str, Meta(description="What happens with a moment that passed while nothing ran")]
    last: Annotated[LastMoment | None, Meta(description="null: nothing yet")]
    paused: Annotated[PausedBy | None, Meta(description="null: it runs by itself")]


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/jobs``."""

    jobs: Annotated[list[JobView], Meta(description="In the order of a day")]
    warning: Annotated[str, Meta(description="About the calendar, or why there are no jobs; empty: none")]


class JobBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May be left out, except that profile live wants a reason."""

    reason: Annotated[str, Meta(description="Why, for the audit", max_length=1000)] = ""


_RESPONSES = {
    **documented(404, 409, 503),
    200: ResponseSpec(RunView, generate_examples=False, description="The run of the first request with this key"),
}


@get("/api/jobs", opt={"role": Role.VIEWER}, tags=["jobs"], responses=documented(503))
async def list_jobs(console: NamedDependency[Console]) -> JobList:
    """All jobs with their next and last moment, and who paused them."""
    if console.jobs is None:
        return JobList(jobs=[], warning="there is no trading calendar, so there are no jobs; see GET /api/plugins")
    rows = await console.jobs.rows()
    return JobList(jobs=[job_view(row) for row in rows], warning=console.jobs.windows.end_warning(console.jobs.now()))


@post("/api/jobs/{name:str}/run", opt={"role": Role.OPERATOR}, status_code=202, tags=["jobs"], responses=_RESPONSES)
async def run_job(
    request: Asked,
    name: FromPath[str],
    console: NamedDependency[Console],
    data: JSONBody[JobBody | None] = None,
    idempotency_key: IdempotencyKey = "",
) -> Response[RunView]:
    """Do a job's action once more, now. Its planned moments stay as they are, pauses too."""
    run = await _desk(console).run_now(
        name,
        operator=request.user.name,
        trigger=Trigger.API,
        reason=_reason(data),
        role=request.user.role,
        idempotency_key=f"api:{idempotency_key}" if idempotency_key else "",
    )
    return await answer_run(console, run, root_of(request))


@post("/api/jobs/{name:str}/pause", opt={"role": Role.OPERATOR}, status_code=202, tags=["jobs"], responses=_RESPONSES)
async def pause_job(
    request: Asked, name: FromPath[str], console: NamedDependency[Console], data: JSONBody[JobBody | None] = None
) -> Response[RunView]:
    """Let a job's moments pass without a run until it is resumed, also after a restart."""
    run = await _desk(console).pause(
        name, operator=request.user.name, trigger=Trigger.API, reason=_reason(data), role=request.user.role
    )
    return await answer_run(console, run, root_of(request))


@post("/api/jobs/{name:str}/resume", opt={"role": Role.OPERATOR}, status_code=202, tags=["jobs"], responses=_RESPONSES)
async def resume_job(
    request: Asked, name: FromPath[str], console: NamedDependency[Console], data: JSONBody[JobBody | None] = None
) -> Response[RunView]:
    """Go on with the job's next moment; what fell into the pause is not made up for."""
    run = await _desk(console).resume(
        name, operator=request.user.name, trigger=Trigger.API, reason=_reason(data), role=request.user.role
    )
    return await answer_run(console, run, root_of(request))


def job_view(row: JobRow) -> JobView:
    """One job for the API."""
    return msgspec.convert(row.as_json(), JobView)


def _desk(console: Console) -> JobDesk:
    if console.jobs is None:
        text = "there is no trading calendar, so there are no jobs; see GET /api/plugins for the reason"
        raise ApiError(503, "no_jobs", text)
    return console.jobs


def _reason(data: JobBody | None) -> str:
    return data.reason.strip() if data else ""
