"""A run: its stages as they come, its log, its result, and the way to its audit records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from runbook.model import Exit, Role
from runbook.runner.access import by_rank
from runbook.runner.run import Run, RunState
from runbook.web.api.runs import cancelled
from runbook.web.console import Console
from runbook.web.pages.actions import ErrorPage, title_of
from runbook.web.pages.rendering import Painter, signed_in
from runbook.web.pages.sentence import Verdict

_LOG_BYTES: Final = 65_536
"""Of the end of a run's log on its page; the API has all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One run as of now."""

    run: Run
    title: str
    verdict: Verdict
    elapsed_s: float | None
    figures: Sequence[tuple[str, str]]
    """Plain values of the result, for people; everything is in the JSON."""
    json: str
    log: str
    can_cancel: bool
    """It goes on, and this person may ask for it and so end it."""
    cut: bool
    """Whether the log's beginning is left out here."""


@get("/runs/{run:str}", opt={"role": Role.VIEWER}, include_in_schema=False)
async def run_page(
    request: Request[Any, Any, Any],
    run: FromPath[str],
    console: NamedDependency[Console],
    painter: NamedDependency[Painter],
) -> Response[str]:
    """The page; it shows the same whenever it is opened."""
    t = painter.words(request)
    found = await console.runbook.runner.get(run)
    if found is None:
        model = ErrorPage(status=404, title=t("runs.unknown"), detail=t("runs.unknown_detail"))
        return await painter.page(request, console, "", model, template="error.html", status=404)
    kind = console.runbook.kinds.by_name.get(found.request.action)
    log, cut = await asyncio.to_thread(_end_of, console, found.id)
    details = found.result.details if found.result else {}
    page = RunPage(
        run=found,
        title=title_of(kind, t) if kind else found.request.action,
        verdict=verdict_of(found),
        elapsed_s=_elapsed(found, console.runbook.clock.wall_ns()),
        figures=list(_figures(details)),
        json=json.dumps(details, indent=2, ensure_ascii=False, default=str) if found.result else "",
        log=log,
        can_cancel=found.state is not RunState.DONE
        and kind is not None
        and not by_rank(kind, found.request, signed_in(request).role),
        cut=cut,
    )
    return await painter.page(request, console, "", page, template="run.html")


@post("/runs/{run:str}/cancel", opt={"role": Role.VIEWER}, include_in_schema=False, status_code=303)
async def cancel_run(
    request: Request[Any, Any, Any], run: FromPath[str], console: NamedDependency[Console]
) -> Redirect:
    """Cancel it, as Ctrl-C does at a terminal, and show it again. Who may is who may ask for the action."""
    sent = await request.form()
    await cancelled(console, signed_in(request), run, str(sent.get("reason", "")).strip())
    root = request.scope.get("root_path", "").rstrip("/")
    return Redirect(f"{root}/runs/{run}", status_code=303)


def verdict_of(run: Run) -> Verdict:
    """How it ended; neutral while it goes on."""
    if run.exit_code is None:
        return "neutral"
    if run.exit_code == Exit.OK:
        return "good"
    return "warning" if run.exit_code == Exit.WARNING else "critical"


def _elapsed(run: Run, now_ns: int) -> float | None:
    if not run.started:
        return None
    began = datetime.fromisoformat(run.started).timestamp()
    ended = datetime.fromisoformat(run.finished).timestamp() if run.finished else now_ns / 1e9
    return ended - began if run.finished or run.state is not RunState.DONE else None


def _figures(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    plain = (str, int, float, bool)
    return [(key, str(value)) for key, value in details.items() if isinstance(value, plain) and value not in ("", None)]


def _end_of(console: Console, run: str) -> tuple[str, bool]:
    """The last part of the log, whole lines; blocks."""
    try:
        with console.runbook.runner.log_of(run).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            data = file.read(_LOG_BYTES)
    except OSError:
        return "", False
    cut = size > _LOG_BYTES
    if cut:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", "replace"), cut
