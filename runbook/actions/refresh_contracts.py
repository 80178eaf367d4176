"""The action ``refresh-contracts``: the contracts anew, also in the running gateway; a bad list changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, Field

from gateway.client import Client
from gateway.errors import FeedgateError
from gateway.hookspecs import hookimpl
from gateway.model import Contract
from gateway.settings.fields import FilePath
from gateway.sources.catalogue_file import read_contracts
from runbook.context import ActionContext
from runbook.drill.orders import reason_of
from runbook.health.contracts import Changes, ContractList, ContractStore, UnreadableListError, changes, day_of
from runbook.health.judge import some
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit
from runbook.runner.run import shanghai
from runbook.settings.fields import Ratio

log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 240.0
"""A counter lists its contracts in pages."""
FILE: Final = "contracts.json"
_LISTED: Final = 500
"""Names in the details; the totals are whole."""


class RefreshParameters(BaseModel, extra="forbid", frozen=True):
    """Where the list comes from, and when it is not believed."""

    source: FilePath | None = Field(
        None, description="Contract list to read (CSV or JSON, also gzipped); unset: the gateway takes its list anew"
    )
    min_share: Ratio = Field(
        0.5, description="A list with less than this share of the last good one is not believed; that one is kept"
    )
    accept_smaller: bool = Field(False, description="Believe a much smaller list this time")


async def refresh_contracts(context: ActionContext, parameters: RefreshParameters) -> ActionResult:
    """0: taken anew. 1: the last good list was kept, or the kept one was unreadable. 14: there is no list at all.

    Without ``source`` the running gateway reads its catalogue again first: it subscribes what is new and wanted, and
    lets go what has expired. With a source, and in a dry run, the gateway stays as it is.
    """
    store = ContractStore(context.runbook.state_dir / FILE)
    warnings: list[str] = []
    last = await _last(store, warnings)
    source = str(parameters.source) if parameters.source else f"gateway {context.settings.name}"
    try:
        found = await _found(context, parameters, warnings)
    except FeedgateError as error:
        return _kept(last, source, f"the source failed: {error}")
    if why := _unbelievable(last, found, parameters):
        return _kept(last, source, why)
    changed = changes(last, found, day_of(context.clock.wall_ns()))
    message = f"{len(found)} contracts, {len(changed.added)} added, {len(changed.expired)} expired"
    if changed.removed:
        message += f", {len(changed.removed)} gone before their last day ({some(list(changed.removed))})"
    taken = ContractList(taken_at=shanghai(context.clock.wall_ns()), source=source, contracts=tuple(found))
    details = _details(taken, changed, kept=False, warnings=warnings)
    if context.request.dry_run:
        return ActionResult(exit_code=Exit.OK, message=f"would keep {message}", details=details)
    try:
        await asyncio.to_thread(store.keep, taken)
    except OSError as error:
        text = f"the list cannot be written to {store.path}: {error.strerror or error}; make room or correct it"
        return ActionResult(exit_code=Exit.ERROR, message=text, details=details)
    context.tell("contracts", message, {"added": len(changed.added), "expired": len(changed.expired)})
    if warnings:
        return ActionResult(exit_code=Exit.WARNING, message=f"{message}; {warnings[0]}", details=details)
    return ActionResult(exit_code=Exit.OK, message=message, details=details)


async def _last(store: ContractStore, warnings: list[str]) -> ContractList | None:
    try:
        return await asyncio.to_thread(store.load)
    except (OSError, UnreadableListError) as error:
        warnings.append(f"the last good list could not be read, so nothing was compared: {error}")
        log.warning("%s", warnings[-1])
        return None


async def _found(context: ActionContext, parameters: RefreshParameters, warnings: list[str]) -> Sequence[Contract]:
    """Raises FeedgateError."""
    if parameters.source is not None:
        return await asyncio.to_thread(read_contracts, parameters.source)
    async with context.connect() as client:
        if not context.request.dry_run:
            await _reload(context, parameters, client, warnings)
        return await client.contracts()


async def _reload(context: ActionContext, parameters: RefreshParameters, client: Client, warnings: list[str]) -> None:
    rows = await client.reload_catalogue(
        reason_of(context),
        min_share=parameters.min_share,
        accept_smaller=parameters.accept_smaller,
        operator=context.request.operator,
    )
    for row in rows:
        if not row.ok:
            warnings.append(f"feed {row.feed} keeps its {row.total} contracts: {row.error}")
            continue
        said = f"feed {row.feed}: {row.subscribed} contracts subscribed, {row.unsubscribed} expired ones unsubscribed"
        context.tell("reload", said, {"feed": row.feed, "added": row.added, "expired": row.expired})
        if row.removed:
            some_names = some(row.removed_names)
            warnings.append(
                f"feed {row.feed}: {row.removed} contracts are gone before their last day ({some_names}); they stay as "
                "they were, ask the counter"
            )


def _unbelievable(last: ContractList | None, found: Sequence[Contract], parameters: RefreshParameters) -> str:
    """Why this list is not taken; empty: it is."""
    if not found:
        return "the source lists no contract"
    least = parameters.min_share * len(last.contracts) if last else 0
    if last is None or len(found) >= least or parameters.accept_smaller:
        return ""
    return (
        f"the source lists {len(found)} contracts where the last good list has {len(last.contracts)}; "
        "if that is right, run it with --accept-smaller"
    )


def _kept(last: ContractList | None, source: str, why: str) -> ActionResult:
    if last is None:
        return ActionResult(
            exit_code=Exit.SUBSCRIPTIONS,
            message=f"there is no list of contracts: {why}; and no last good one: mend {source}, then run it again",
        )
    text = f"the last good list of {last.taken_at} ({len(last.contracts)} contracts) is kept: {why}"
    log.warning("%s", text)
    unchanged = Changes(added=(), expired=(), removed=(), overdue=())
    details = _details(last, unchanged, kept=True, warnings=[why])
    return ActionResult(exit_code=Exit.WARNING, message=text, details=details)


def _details(shown: ContractList, changed: Changes, *, kept: bool, warnings: list[str]) -> dict[str, Any]:
    """``shown`` is the list that is good from now on."""
    details: dict[str, Any] = {
        "kept_last_good": kept,
        "taken_at": shown.taken_at,
        "source": shown.source,
        "total": len(shown.contracts),
        "warnings": list(warnings),
    }
    for name in ("added", "expired", "removed", "overdue"):
        names = getattr(changed, name)
        details[f"{name}_total"] = len(names)
        details[name] = list(names[:_LISTED])
    return details


def _build() -> Any:
    return refresh_contracts


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``refresh-contracts``."""
    return [
        ActionKind(
            name="refresh-contracts",
            title="Refresh the contracts",
            build=_build,
            parameters=RefreshParameters,
            exclusive=False,  # neither a drill nor a start has to wait for a counter's list
            timeout_s=_TIMEOUT_S,
        )
    ]
