"""Runs of actions: a list, one with its stages, its log, and cancelling it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from runbook.audit.chain import plain
from runbook.model import Role
from runbook.runner import Run, RunState
from runbook.runner.access import by_rank
from runbook.web.api.tables import Cursor, Limit
from runbook.web.console import Console, Principal
from runbook.web.errors import ApiError, documented

Asked = Request[Principal, Any, Any]

_CHUNK: Final = 256 << 10
_LARGEST: Final = 1 << 20


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a run told about itself."""

    at: Annotated[str, Meta(description="RFC 3339, +08:00")]
    stage: Annotated[str, Meta(description="Where in its course it is")]
    text: Annotated[str, Meta(description="What it told; secrets are masked")]
    fields: Annotated[dict[str, Any], Meta(description="Its figures")]


class RunLinks(msgspec.Struct, frozen=True, kw_only=True):
    """Paths that belong to a run."""

    run: Annotated[str, Meta(description="This run")]
    log: Annotated[str, Meta(description="Its log, text")]
    events: Annotated[str, Meta(description="Its stages as they come, server-sent events")]
    audit: Annotated[str, Meta(description="Its records in the audit")]
    cancel: Annotated[str | None, Meta(description="POST here cancels it; null: it is over")]


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an action. Secrets are masked."""

    id: Annotated[str, Meta(description="Sorts by time", examples=["20261123T204500-1f3a9c5e"])]
    action: Annotated[str, Meta(description="Name of the action")]
    state: Annotated[RunState, Meta(description="`queued`: its start is being recorded; `running`; `done`")]
    exit_code: Annotated[int | None, Meta(description="Of a run that is done; docs/runbook.md explains each")]
    message: Annotated[str, Meta(description="The result in one line, with the next step when it failed")]
    details: Annotated[dict[str, Any], Meta(description="The result in full: figures with their units in their names")]
    output: Annotated[str, Meta(description="File that was written, relative to the log directory; empty: none")]
    refused: Annotated[bool, Meta(description="It was never begun")]
    replayed: Annotated[bool, Meta(description="The answer to a second request with the same idempotency key")]
    died: Annotated[bool, Meta(description="Its process ended in the middle of it")]
    started: Annotated[str, Meta(description="RFC 3339, +08:00; empty: never begun")]
    finished: Annotated[str, Meta(description="RFC 3339, +08:00; empty: not yet")]
    operator: Annotated[str, Meta(description="Who asked")]
    trigger: Annotated[str, Meta(description="`cli api page schedule watchdog`")]
    reason: Annotated[str, Meta(description="Why")]
    parameters: Annotated[dict[str, Any], Meta(description="As asked")]
    window: Annotated[str | None, Meta(description="`day` or `night`")]
    profile: Annotated[str, Meta(description="`dev`, `test` or `live`")]
    config: Annotated[str, Meta(description="`primary` or `backup`")]
    mode: Annotated[str, Meta(description="`live` or `mock`")]
    dry_run: Annotated[bool, Meta(description="Nothing was to be done")]
    stages: Annotated[list[StageView], Meta(description="The latest ones; the log has all. Empty in lists")]
    links: RunLinks


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /api/runbook/runs``."""

    runs: Annotated[list[RunView], Meta(description="Newest first; without stages and details")]
    next: Annotated[str | None, Meta(description="`cursor` of the next page; null: this was the last one")]


class CancelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May be left out."""

    reason: Annotated[str, Meta(description="Why, for the audit", max_length=1000)] = ""


@get("/api/runbook/runs", opt={"role": Role.VIEWER}, tags=["runs"], responses=documented())
async def list_runs(
    request: Asked, console: NamedDependency[Console], limit: Limit = 50, cursor: Cursor = ""
) -> RunList:
    """The latest runs of this console and of other processes, newest first."""
    found = await console.runbook.runner.runs(limit + 1, before=cursor)
    page = found[:limit]
    return RunList(
        runs=[run_view(run, root_of(request), whole=False) for run in page],
        next=page[-1].id if len(found) > limit and page else None,
    )


@get("/api/runbook/runs/{run_id:str}", opt={"role": Role.VIEWER}, tags=["runs"], responses=documented(404))
async def get_run(request: Asked, run_id: FromPath[str], console: NamedDependency[Console]) -> RunView:
    """One run: how far it is, what it told, how it ended."""
    return run_view(await known_run(console, run_id), root_of(request))


@get(
    "/api/runbook/runs/{run_id:str}/log",
    opt={"role": Role.VIEWER},
    tags=["runs"],
    media_type="text/plain",
    responses=documented(404),
    response_headers=[
        ResponseHeader(name="X-Log-Size", description="Bytes that the log has now", documentation_only=True),
        ResponseHeader(name="X-Log-Next", description="`offset` of what comes next", documentation_only=True),
    ],
)
async def get_log(
    run_id: FromPath[str],
    console: NamedDependency[Console],
    offset: Annotated[int, QueryParameter(ge=0, le=1 << 40, description="Byte to begin with; X-Log-Next goes on")] = 0,
    limit: Annotated[int, QueryParameter(ge=1024, le=_LARGEST, description="Bytes at most")] = _CHUNK,
) -> Response[str]:
    """The log of a run: a JSON object a line, whole lines only. Secrets are masked."""
    await known_run(console, run_id)
    path = console.runbook.runner.log_of(run_id)
    chunk, size = await asyncio.to_thread(_read, path, offset, limit)
    headers = {"X-Log-Size": str(size), "X-Log-Next": str(offset + len(chunk)), "X-Content-Type-Options": "nosniff"}
    return Response(chunk.decode("utf-8", "replace"), media_type="text/plain", headers=headers)


@post(
    "/api/runbook/runs/{run_id:str}/cancel",
    opt={"role": Role.OPERATOR},
    status_code=202,
    tags=["runs"],
    responses=documented(404, 409),
)
async def cancel_run(
    request: Asked, run_id: FromPath[str], console: NamedDependency[Console], data: JSONBody[CancelBody | None] = None
) -> Response[RunView]:
    """Cancel a run of this console, as Ctrl-C does at a terminal.

    It ends once its action has stopped and that is on record. A switch that the gateway has begun is finished by the
    gateway. 409: the run is over, or of another process.
    """
    found = await cancelled(console, request.user, run_id, data.reason.strip() if data else "")
    root = root_of(request)
    return Response(run_view(found, root), status_code=202, headers={"Location": location_of(run_id, root)})


async def cancelled(console: Console, who: Principal, run_id: str, reason: str) -> Run:
    """The run, being cancelled; for API and pages. Raises ApiError: 403, 404, or 409 when nothing can be cancelled."""
    run = await known_run(console, run_id)
    kind = console.runbook.kinds.by_name.get(run.request.action)
    if kind is not None and (why := by_rank(kind, run.request, who.role)):
        raise ApiError(403, "not_allowed", why)
    if run.state is RunState.DONE:
        raise ApiError(409, "run_over", f"run {run_id} is over; look at its result", title="The run is over")
    if not console.runbook.runner.cancel(run_id, who.name, reason):
        text = f"run {run_id} goes on in another process; cancel it there with Ctrl-C"
        raise ApiError(409, "elsewhere", text, title="The run is of another process")
    return await console.runbook.runner.get(run_id) or run


async def known_run(console: Console, run_id: str) -> Run:
    """Raises ApiError (404)."""
    run = await console.runbook.runner.get(run_id)
    if run is None:
        raise ApiError(404, "unknown_run", "there is no such run; GET /api/runbook/runs lists those that are kept")
    return run


def run_view(run: Run, root: str = "", *, whole: bool = True) -> RunView:
    """A run for the API; ``whole`` with stages and details. ``root`` is the mount of the application."""
    request, result = run.request, run.result
    path = location_of(run.id, root)
    return RunView(
        id=run.id,
        action=plain(request.action),
        state=run.state,
        exit_code=run.exit_code,
        message=plain(result.message) if result else "",
        details=plain(result.details) if result and whole else {},
        output=plain(result.output) if result else "",
        refused=run.refused,
        replayed=run.replayed,
        died=run.died,
        started=run.started,
        finished=run.finished,
        operator=plain(request.operator),
        trigger=request.trigger.value,
        reason=plain(request.reason),
        parameters=plain(request.parameters),
        window=request.window,
        profile=request.profile,
        config=request.config,
        mode=request.mode,
        dry_run=request.dry_run,
        stages=[stage_view(stage) for stage in run.stages] if whole else [],
        links=RunLinks(
            run=path,
            log=f"{path}/log",
            events=f"{path}/events",
            audit=f"{root}/api/audit?run={run.id}",
            cancel=None if run.state is RunState.DONE else f"{path}/cancel",
        ),
    )


def stage_view(stage: Any) -> StageView:
    """One stage for the API."""
    return StageView(at=stage.at, stage=plain(stage.stage), text=plain(stage.text), fields=plain(stage.fields))


def location_of(run_id: str, root: str = "") -> str:
    """Path of a run."""
    return f"{root}/api/runbook/runs/{run_id}"


def root_of(request: Request[Any, Any, Any]) -> str:
    """Path that the application is mounted at, percent-encoded."""
    return quote(request.scope.get("root_path", "").rstrip("/"))


def _read(path: Path, offset: int, limit: int) -> tuple[bytes, int]:
    """Whole lines from an offset on, and the size of the file; nothing when there is none (yet)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b"", 0
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size
        file.seek(offset)
        chunk = file.read(limit)
    if offset + len(chunk) < size or not chunk.endswith(b"\n"):
        last = chunk.rfind(b"\n")
        # a line longer than the limit is handed out in parts
        chunk = chunk[: last + 1] if last >= 0 else (chunk if len(chunk) == limit else b"")
    return chunk, size
