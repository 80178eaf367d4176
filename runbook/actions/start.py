"""The action ``start``: NATS, gateway, subscriptions, health, T-5, brought up by the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, Field

from gateway.errors import FeedgateError
from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit
from runbook.supervisor.figures import push_startup
from runbook.supervisor.launch import Launch, running_supervisor
from runbook.supervisor.link import NoSupervisorError, SupervisorLink
from runbook.supervisor.picture import picture
from runbook.supervisor.place import Place

_TIMEOUT_S = 3600.0
"""Four stages with time limits of their own, each tried several times; a hung supervisor is what this is for."""
_RACES = 20
_RACE_S = 0.1


class StartParameters(BaseModel, extra="forbid", frozen=True):
    """The window comes with the request."""

    debug: bool = Field(False, description="The gateway logs at DEBUG")


@dataclass(frozen=True, slots=True)
class StartAction:
    """Starts a supervisor in the background when none runs, then has it bring everything up."""

    launch: Launch = field(default_factory=Launch)

    async def __call__(self, context: ActionContext, parameters: StartParameters, /) -> ActionResult:
        """A cancelled one undoes what it began. Exit codes 11 to 16 are those of the stages."""
        state_dir = context.runbook.state_dir
        if context.request.dry_run:
            return await _dry_run(SupervisorLink(Place(state_dir)))
        began = context.clock.monotonic()
        # the mock environment shares its audit with the real one, and has no business in its figures
        recorded = context.request.mode != "mock"
        launch = replace(self.launch, recorded=recorded, profile=context.request.profile)
        context.tell("supervisor", "looking for the supervisor", {"state_dir": str(state_dir)})
        for _ in range(_RACES):
            link = await running_supervisor(launch, state_dir, context.log_dir)
            # between the answer and the order it may end, because somebody has just stopped it
            with contextlib.suppress(NoSupervisorError):
                result = await link.order("start", context.tell, window=context.request.window, debug=parameters.debug)
                result = await _agreed(context, link, result)
                result = await _figured(context, result, began) if recorded else result
                return await _pictured(context, result)
            await asyncio.sleep(_RACE_S)
        text = "the supervisor ends again and again; see supervisor.log"
        return ActionResult(exit_code=Exit.GATEWAY, message=text)


async def _agreed(context: ActionContext, link: SupervisorLink, result: ActionResult) -> ActionResult:
    """A warning when what ran before, and was not started again, says that it is for something else."""
    if result.exit_code not in (Exit.OK, Exit.WARNING):
        return result
    wanted = runs = context.request.profile
    with contextlib.suppress(FeedgateError):
        runs = (await link.status()).get("profile", wanted)
    if runs == wanted:
        return result
    said = f"the gateway runs with profile {runs}, not {wanted}: `runbook stop`, then start it again"
    return replace(result, exit_code=Exit.WARNING, message=f"{result.message}; {said}")


async def _pictured(context: ActionContext, result: ActionResult) -> ActionResult:
    """``YYYYMMDD_startup.png`` in the log directory; a start without one says why."""
    name, failed = await picture(context, result)
    if failed:
        context.tell("picture", failed, {})
        return replace(result, message=f"{result.message}; {failed}", details={**result.details, "picture": ""})
    return replace(result, details={**result.details, "picture": name}, output=name) if name else result


async def _figured(context: ActionContext, result: ActionResult, began: float) -> ActionResult:
    """``md_session_startup_duration_s`` of a start that is ready, and started something itself."""
    if result.exit_code not in (Exit.OK, Exit.WARNING) or not result.details.get("started"):
        return result
    seconds = round(context.clock.monotonic() - began, 3)
    request, rules = context.request, context.runbook.metrics
    if failed := await push_startup(rules, window=request.window, profile=request.profile, seconds=seconds):
        context.tell("metrics", failed, {})
    return replace(result, details={**result.details, "startup_s": seconds})


async def _dry_run(link: SupervisorLink) -> ActionResult:
    try:
        status = await link.status()
    except NoSupervisorError:
        return ActionResult(exit_code=Exit.OK, message="would start a supervisor, then NATS and the gateway")
    text = f"the environment is {status['state']}; would check every stage and start what does not run"
    return ActionResult(exit_code=Exit.OK, message=text, details=status)


class StartActions:
    """For a command that was given files with settings: register this object in place of the module."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    @hookimpl(optionalhook=True)
    def runbook_actions(self) -> Sequence[ActionKind]:
        """The action ``start``."""
        return [_kind(self._launch)]


def _kind(launch: Launch) -> ActionKind:
    return ActionKind(
        name="start",
        title="Start the environment",
        build=lambda: StartAction(launch),
        parameters=StartParameters,
        timeout_s=_TIMEOUT_S,
    )


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``start``, with settings from the environment alone."""
    return [_kind(Launch())]
