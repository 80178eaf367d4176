"""The action ``restart-line``: end one line in order and start it anew; done when it is up again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, Field

from gateway.client import Client, EventStream
from gateway.control.events import LineStateChanged, Switch
from gateway.hookspecs import hookimpl
from gateway.model import LineState, LineStatus
from gateway.settings.fields import Seconds
from runbook.context import ActionContext
from runbook.drill.orders import order, reason_of
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit
from runbook.runner.run import shanghai

_TIMEOUT_S: Final = 150.0


class RestartLineParameters(BaseModel, extra="forbid", frozen=True):
    """Which line."""

    line: str = Field(pattern=r"^[^:\s]+:[^:\s]+$", description="Line to restart, such as ctp:primary")
    within: Seconds = Field(30.0, le=120, description="Seconds; the line must be up again within")


async def restart_line(context: ActionContext, parameters: RestartLineParameters) -> ActionResult:
    """0 when the line went down and came up again · 2 when it did not in time · 64 for a line that is not there."""
    line = parameters.line

    async def ask(client: Client) -> Switch | ActionResult:
        before = await _status(client, line)
        if context.request.dry_run and before is not None:
            text = f"dry run: {line} is {before.state.value} and would be restarted; nothing was done"
            return ActionResult(exit_code=Exit.OK, message=text, details={"line": line, "state": before.state.value})
        async with client.events("line_state") as events:
            began = context.clock.monotonic()
            await client.restart_line(line, reason_of(context), operator=context.request.operator)
            context.tell("restart-line", f"{line} is being restarted", {})
            try:
                async with asyncio.timeout(parameters.within):
                    await _up_again(events, line)
            except TimeoutError:
                now = await _status(client, line)
                state = f"{now.state.value} {now.reason}".strip() if now else "gone"
                text = f"{line} was not up again within {parameters.within:g} s; it is {state}; look at its front"
                return ActionResult(exit_code=Exit.ERROR, message=text, details={"line": line, "state": state})
        took = context.clock.monotonic() - began
        at = shanghai(context.clock.wall_ns())
        return ActionResult(
            exit_code=Exit.OK,
            message=f"{line} is up again at {at}, after {took:.1f} s",
            details={"line": line, "up_at": at, "took_s": round(took, 3)},
        )

    return await order(context, "restart-line", ask)


async def _up_again(events: EventStream, line: str) -> None:
    """Down first: the order is taken over before the line has stopped."""
    was_down = False
    async for event in events:
        if isinstance(event, LineStateChanged) and event.line == line:
            up = LineState(event.state).is_up
            if up and was_down:
                return
            was_down = was_down or not up


async def _status(client: Client, line: str) -> LineStatus | None:
    return next((one for one in (await client.status()).lines if one.line == line), None)


def _build() -> Any:
    return restart_line


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``restart-line``."""
    return [
        ActionKind(
            name="restart-line",
            title="Restart a line",
            build=_build,
            parameters=RestartLineParameters,
            timeout_s=_TIMEOUT_S,
        )
    ]
