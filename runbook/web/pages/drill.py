"""Drill control: start a drill or a health check, see what goes on, and how the last ones ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency

from runbook.model import Role
from runbook.runner.run import Run, RunState
from runbook.web.console import Console
from runbook.web.pages.actions import title_of
from runbook.web.pages.rendering import Painter
from runbook.web.pages.runs import verdict_of
from runbook.web.pages.sentence import Verdict

_RECENT: Final = 100
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in a list."""

    run: Run
    title: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillStage:
    """One stage of the last drill, with what was looked at."""

    name: str
    ok: bool
    findings: Sequence[tuple[str, bool, str]]
    """Check, whether it passed, words with the figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPage:
    """Everything about drills."""

    going_on: Run | None
    """The action that runs now, whatever it is."""
    going_on_title: str
    last: Run | None
    """The last drill that is over."""
    last_verdict: Verdict
    stages: Sequence[DrillStage]
    thresholds: Sequence[tuple[str, str]]
    recent: Sequence[RunRow]
    can_kill: bool
    """Whether there is an action ``kill-line``: the demo brings one."""


@get("/drill", opt={"role": Role.VIEWER}, include_in_schema=False)
async def drill(
    request: Request[Any, Any, Any], console: NamedDependency[Console], painter: NamedDependency[Painter]
) -> Response[str]:
    """The page."""
    t = painter.words(request)
    kinds = console.runbook.kinds.by_name
    runs = await console.runbook.runner.runs(limit=_RECENT)
    going_on = next((run for run in runs if run.state is RunState.RUNNING), None)
    last = next((run for run in runs if run.request.action == "drill" and run.result and not run.refused), None)
    details = last.result.details if last and last.result else {}

    def titled(run: Run) -> str:
        kind = kinds.get(run.request.action)
        return title_of(kind, t) if kind else run.request.action

    model = DrillPage(
        going_on=await console.runbook.runner.get(going_on.id) if going_on else None,
        going_on_title=titled(going_on) if going_on else "",
        last=last,
        last_verdict=verdict_of(last) if last else "neutral",
        stages=[_stage(one) for one in details.get("stages", ())],
        thresholds=[(key, str(value)) for key, value in (details.get("thresholds") or {}).items()],
        can_kill="kill-line" in kinds,
        recent=[RunRow(run=run, title=titled(run), verdict=verdict_of(run)) for run in runs[:_SHOWN]],
    )
    return await painter.page(request, console, "drill", model)


def _stage(stage: Any) -> DrillStage:
    findings = [
        (str(one.get("check", "")), bool(one.get("ok")), str(one.get("text", ""))) for one in stage.get("findings", ())
    ]
    return DrillStage(name=str(stage.get("name", "")), ok=all(ok for _, ok, _ in findings), findings=findings)
