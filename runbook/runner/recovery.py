"""Runs whose process died in the middle: found by the next runner, written into the audit, and closed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.clock import Clock
from runbook.model import ActionRequest, ActionResult, AuditRecord, Exit, Trigger
from runbook.runner.auditing import RecordMaker
from runbook.runner.pushing import ExitCode
from runbook.runner.run import Run, RunState, shanghai
from runbook.runner.store import OpenRun, RunStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run that was found dead, and what to push for it."""

    run: Run
    code: ExitCode


def recover(
    store: RunStore, append: Callable[[AuditRecord], object], records: RecordMaker, clock: Clock
) -> list[Recovered]:
    """Close every dead run. Blocking. One that cannot be recorded stays for the next time; raises nothing."""
    found = []
    for opened in store.dead():
        forget = False
        try:
            recovered = _close(opened, store, append, records, clock)
            forget = True
        except Exception as error:  # noqa: BLE001 - a full disk now must not hide the run for ever
            log.error("run %s died and cannot be recorded now: %s", opened.id, error)  # noqa: TRY400 - retried, no trace
        else:
            found.append(recovered)
        finally:
            opened.close(forget=forget)
    return found


def _close(
    opened: OpenRun, store: RunStore, append: Callable[[AuditRecord], object], records: RecordMaker, clock: Clock
) -> Recovered:
    now = clock.wall_ns()
    run = opened.last or _unreadable(opened.id)
    kept = store.get(run.id)
    if kept is not None and kept.state is RunState.DONE and kept.result is not None:
        # it ended; what failed was to say so, or its process died right then
        result = replace(kept.result, message=f"its end may not have been recorded at the time: {kept.result.message}")
        append(
            records.make(
                "note", run.id, kept.request, now, started_at=kept.started, finished_at=kept.finished, result=result
            )
        )
        return Recovered(kept, _code(kept, kept.result.exit_code, now))
    when = "" if run.started else ", before or right after its start was recorded"
    message = f"the run died: its process ended in the middle of {run.request.action}{when}; check what it left behind"
    result = ActionResult(exit_code=Exit.ERROR, message=message)
    at = shanghai(now)
    append(records.make("exception", run.id, run.request, now, started_at=run.started, finished_at=at, result=result))
    dead = replace(run, state=RunState.DONE, result=result, finished=at, died=True)
    store.finish(dead)
    log.warning("run %s: %s", run.id, message)
    return Recovered(dead, _code(dead, result.exit_code, now))


def _code(run: Run, exit_code: int, now: int) -> ExitCode:
    return exit_code_of(run, exit_code, 0.0, now)


def exit_code_of(run: Run, exit_code: int, duration_s: float, wall_ns: int) -> ExitCode:
    """What to push for a run. A dry run has a command label of its own, so that it never hides the real one's code."""
    request = run.request
    return ExitCode(
        command=f"{request.action}-dry-run" if request.dry_run else request.action,
        window=request.window or "none",
        profile=request.profile,
        exit_code=exit_code,
        duration_s=duration_s,
        finished_s=wall_ns / 1e9,
    )


def _unreadable(run: str) -> Run:
    """For a file that was cut off in its first line."""
    request = ActionRequest(action="unknown", operator="unknown", trigger=Trigger.CLI)
    return Run(id=run, request=request, state=RunState.RUNNING)
