"""The action ``failback``: go back to the first line of the feed's settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from gateway.client import Client
from gateway.control.events import Switch
from gateway.hookspecs import hookimpl
from gateway.settings.fields import Word
from runbook.context import ActionContext
from runbook.drill.orders import order, reason_of
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit

_TIMEOUT_S = 90.0


class FailbackParameters(BaseModel, extra="forbid", frozen=True):
    """A failback has no choice of line."""

    feed: Word | None = Field(None, description="Feed to switch back; unset: the only one of the gateway")


async def failback(context: ActionContext, parameters: FailbackParameters) -> ActionResult:
    """As ``failover``. Goes to the feed's first line, whatever it is called.

    ``--config backup`` contradicts that unless the backup is the first line (``ACTIVE_FEED=backup``): exit code 64.
    """

    async def ask(client: Client) -> Switch | ActionResult:
        status = await client.status()
        feeds = [one for one in status.feeds if parameters.feed in (None, one.feed)]
        if len(feeds) == 1:  # otherwise the gateway says which there are
            first = next((line.line for line in status.lines if line.line.startswith(f"{feeds[0].feed}:")), None)
            if context.request.config == "backup" and first != f"{feeds[0].feed}:backup":
                text = f"a failback goes to {first}, not to the backup; leave --config out, or use failover"
                return ActionResult(exit_code=Exit.USAGE, message=text)
            if context.request.dry_run:
                text = f"dry run: {feeds[0].active} is active and would be left for {first}; nothing was switched"
                return ActionResult(exit_code=Exit.OK, message=text, details={"active": feeds[0].active, "to": first})
        elif context.request.dry_run:
            there = ", ".join(one.feed for one in status.feeds) or "none"
            return ActionResult(exit_code=Exit.USAGE, message=f"say which feed (--feed); the gateway runs: {there}")
        return await client.failback(reason_of(context), feed=parameters.feed, operator=context.request.operator)

    return await order(context, "failback", ask)


def _build() -> Any:
    return failback


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``failback``."""
    return [
        ActionKind(
            name="failback",
            title="Fail back",
            build=_build,
            parameters=FailbackParameters,
            timeout_s=_TIMEOUT_S,
        )
    ]
