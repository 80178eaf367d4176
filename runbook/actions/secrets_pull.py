"""The action ``secrets-pull``: the operators' variables from Vault into the runtime file, mode 0600."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind, NoParameters
from runbook.model import ActionResult
from runbook.secrets import pull

_TIMEOUT_S = 120.0


async def secrets_pull(context: ActionContext, _parameters: NoParameters, /) -> ActionResult:
    """0 or 11 (Vault or the file); a dry run reads and checks only. The result names variables, never values."""
    vault = context.runbook.vault
    context.tell("vault", f"reading {vault.mount}/{vault.path}", {})
    return await asyncio.to_thread(pull, vault, context.clock, dry_run=context.request.dry_run)


def _build() -> Action:
    return secrets_pull


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``secrets-pull``."""
    return [
        ActionKind(name="secrets-pull", title="Pull secrets from Vault", build=_build, timeout_s=_TIMEOUT_S),
    ]
