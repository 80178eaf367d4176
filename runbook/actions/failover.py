"""The action ``failover``: leave the active line of a feed."""

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
"""A switch may take 30 s, and the connection before it some more."""


class FailoverParameters(BaseModel, extra="forbid", frozen=True):
    """Where to; ``--config`` names the account when ``to`` is unset."""

    feed: Word | None = Field(None, description="Feed to switch; unset: the only one of the gateway")
    to: str | None = Field(
        None,
        pattern=r"^[^:\s]+:[^:\s]+$",
        description="Line to go to, such as ctp:backup; unset: the account of --config, or else the next line",
    )


async def failover(context: ActionContext, parameters: FailoverParameters) -> ActionResult:
    """0 done · 1 done, slower than ``drill.latency_limit_ms`` · 2 failed, the line before was kept · 75 busy.

    ``--config backup`` goes to the backup account, and is refused by the gateway when that is active already.
    ``--config primary``, which is also what nobody asked for, goes to the primary account, or to the next line in the
    router's order when the primary is the one to leave.
    """

    async def ask(client: Client) -> Switch | ActionResult:
        to = parameters.to or await _target(client, context.request.config, parameters.feed)
        if context.request.dry_run:
            return await _would(client, parameters.feed, to)
        return await client.failover(reason_of(context), feed=parameters.feed, to=to, operator=context.request.operator)

    return await order(context, "failover", ask)


async def _target(client: Client, config: str, feed: str | None) -> str | None:
    """None: the next line in the router's order."""
    feeds = [one for one in (await client.status()).feeds if feed in (None, one.feed)]
    if len(feeds) != 1:
        return None  # the gateway says which feeds there are
    line = f"{feeds[0].feed}:{config}"
    return None if config == "primary" and line == feeds[0].active else line


async def _would(client: Client, feed: str | None, to: str | None) -> ActionResult:
    status = await client.status()
    active = {one.feed: one.active for one in status.feeds if feed in (None, one.feed)}
    if to is not None and to not in {line.line for line in status.lines}:
        there = ", ".join(line.line for line in status.lines)
        return ActionResult(exit_code=Exit.USAGE, message=f"there is no line {to}; the lines are: {there}")
    if len(active) != 1:
        there = ", ".join(active) or "none"
        return ActionResult(exit_code=Exit.USAGE, message=f"say which feed (--feed); the gateway runs: {there}")
    (now,) = active.values()
    text = f"dry run: {now} is active and would be left for {to or 'the next line'}; nothing was switched"
    return ActionResult(exit_code=Exit.OK, message=text, details={"active": now, "to": to})


def _build() -> Any:
    return failover


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``failover``."""
    return [
        ActionKind(
            name="failover",
            title="Fail over",
            build=_build,
            parameters=FailoverParameters,
            timeout_s=_TIMEOUT_S,
        )
    ]
