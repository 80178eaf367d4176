"""Jobs: what runs by itself, when next, how it went last; pause, resume, run now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.di import NamedDependency

from runbook.model import Role
from runbook.schedule.rows import JobRow
from runbook.web.console import Console
from runbook.web.pages.rendering import Painter


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPage:
    """All jobs, the next to run first."""

    rows: Sequence[JobRow]
    queries: Sequence[str]
    """For each row, the query that fills in the confirmation of its action."""
    warning: str
    """About the calendar's end."""
    serving: bool
    """Whether this process runs the jobs in time."""


@get("/jobs", opt={"role": Role.VIEWER}, include_in_schema=False)
async def jobs(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page."""
    desk = console.jobs
    rows = (
        sorted(await desk.rows(), key=lambda row: (row.next is None, row.next.moment.isoformat() if row.next else ""))
        if desk
        else []
    )
    model = JobsPage(
        rows=rows,
        queries=[_query(row) for row in rows],
        warning=(desk.windows.end_warning(desk.now()) or "") if desk else "",
        serving=desk is not None,
    )
    return await painter.page(request, console, "jobs", model)


def _query(row: JobRow) -> str:
    values: dict[str, object] = {
        key: value for key, value in row.job.parameters.items() if isinstance(value, str | int | float)
    }
    return urlencode(values | ({"mode": "mock"} if row.job.mode == "mock" else {}))
