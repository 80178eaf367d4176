"""The action ``restart``: the gateway anew, consumers stay connected, by the supervisor."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind
from runbook.model import ActionResult, Exit
from runbook.supervisor.link import SupervisorLink
from runbook.supervisor.place import Place

_TIMEOUT_S = 3600.0


class RestartParameters(BaseModel, extra="forbid", frozen=True):
    """How the gateway comes back."""

    debug: bool = Field(False, description="The gateway logs at DEBUG")


async def restart(context: ActionContext, parameters: RestartParameters, /) -> ActionResult:
    """Stop the gateway in order, start it, wait for subscriptions and health. NATS is never touched."""
    link = SupervisorLink(Place(context.runbook.state_dir))
    if context.request.dry_run:
        status = await link.status()
        text = f"the environment is {status['state']}; would restart the gateway"
        return ActionResult(exit_code=Exit.OK, message=text, details=status)
    return await link.order("restart", context.tell, debug=parameters.debug)


def _build() -> Action:
    return restart


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``restart``."""
    return [
        ActionKind(
            name="restart",
            title="Restart the gateway",
            build=_build,
            parameters=RestartParameters,
            timeout_s=_TIMEOUT_S,
        )
    ]
