"""The action ``stop``: everything down, backwards, by the supervisor."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind, NoParameters
from runbook.model import ActionResult, Exit
from runbook.supervisor.link import NoSupervisorError, SupervisorLink
from runbook.supervisor.place import Place

_TIMEOUT_S = 300.0


async def stop(context: ActionContext, _parameters: NoParameters, /) -> ActionResult:
    """Subscriptions, gateway, NATS; an external NATS is not touched. Where nothing runs there is nothing to do (0)."""
    link = SupervisorLink(Place(context.runbook.state_dir))
    try:
        if context.request.dry_run:
            status = await link.status()
            text = f"the environment is {status['state']}; would stop it"
            return ActionResult(exit_code=Exit.OK, message=text, details=status)
        return await link.order("stop", context.tell)
    except NoSupervisorError:  # where there is none, nothing of it lives: children die with their supervisor
        return ActionResult(exit_code=Exit.OK, message="nothing runs")


def _build() -> Action:
    return stop


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``stop``."""
    return [ActionKind(name="stop", title="Stop the environment", build=_build, timeout_s=_TIMEOUT_S)]
