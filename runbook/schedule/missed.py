"""How a missed moment gets into the audit and onto the exit-code metric: under its action's own name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel, Field, create_model

from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind
from runbook.model import ActionResult
from runbook.schedule.jobs import Job

PARAMETER: Final = "missed"


def accept_missed(kinds: Iterable[ActionKind], jobs: Iterable[Job]) -> list[ActionKind]:
    """The kinds, where those of jobs that have a ``missed_exit`` also take the parameter ``missed``.

    With it (the moment that was missed) a run does nothing and ends with that exit code: the audit says that the T-5
    checkpoint was missed (16), the metric of that command says it too, and the next real run takes the metric back.
    Such a run still needs the lock of an exclusive action. Kinds of other jobs are handed on as they are.
    """
    exits = {job.action: job for job in jobs if job.missed_exit is not None}
    return [_wrapped(kind, exits[kind.name]) if kind.name in exits else kind for kind in kinds]


def _wrapped(kind: ActionKind, job: Job) -> ActionKind:
    parameters: type[BaseModel] = create_model(
        f"{kind.parameters.__name__}OrMissed",
        __base__=kind.parameters,
        missed=(str, Field("", description="Set by the scheduler: the moment that passed without a run")),
    )
    return replace(kind, parameters=parameters, build=lambda: _OrMissed(kind, int(job.missed_exit or 0)))


class _OrMissed:
    """The real action, unless there is only a missed moment to record."""

    def __init__(self, kind: ActionKind, missed_exit: int) -> None:
        self._kind = kind
        self._exit = missed_exit

    async def __call__(self, context: ActionContext, parameters: Any, /) -> ActionResult:
        if not parameters.missed:
            action: Action = self._kind.build()
            plain = self._kind.parameters(**parameters.model_dump(exclude={PARAMETER}, exclude_unset=True))
            return await action(context, plain)
        message = f"{context.request.reason}; nothing was done: check the state, and run it by hand if it is needed"
        details = {PARAMETER: parameters.missed}
        context.tell(PARAMETER, message, details)
        return ActionResult(exit_code=self._exit, message=message, details=details)
