"""The action ``rotate-credentials``: new logins from Vault, the backup line first, then the primary, no tick lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, Field

from gateway.client import Client
from gateway.control import StatusReply
from gateway.errors import BusError, ControlError, SettingsError
from gateway.hookspecs import hookimpl
from gateway.secrets.references import is_reference
from gateway.settings.fields import Count, Seconds, Word
from gateway.settings.process import process_environment
from runbook.context import ActionContext
from runbook.drill.orders import reason_of, refused
from runbook.hookspecs import ActionKind
from runbook.maintenance.rotating import FeedRotation, RotationStoppedError
from runbook.model import ActionResult, Exit
from runbook.secrets import (
    NewCredentials,
    Place,
    RuntimeFileError,
    VaultError,
    VaultSession,
    new_credentials,
    operators_place,
    origin_of,
    pull,
)
from runbook.secrets.rotation import variable_of

_TIMEOUT_S: Final = 900.0
"""Each line may log in twice, and a failover and a failback may stand between them."""
_IDENTITY: Final = ("broker_id", "user_id", "app_id")
"""A password belongs to these; a running line keeps the old ones."""


class RotateParameters(BaseModel, extra="forbid", frozen=True):
    """Which feeds, and what they run on now."""

    feed: Word | None = Field(None, description="Feed to rotate; unset: every feed of the gateway, one after the other")
    since: Count | None = Field(
        None, description="Version of the secret that the gateway runs on; unset: that of the runtime file"
    )
    patience: Seconds = Field(
        15.0, le=120, description="Seconds; confirmations and ticks of the new login must come within"
    )


@dataclass(slots=True)
class _Course:
    """What was found out, and how far it came."""

    place: Place
    since: int
    file: bool
    """Whether the next start takes the login from the runtime file."""
    version: int = 0
    fresh: dict[str, list[NewCredentials]] = field(default_factory=dict)
    """By feed."""
    feeds: list[FeedRotation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        return {
            "source": str(self.place),
            "since": self.since,
            "version": self.version,
            "lines": [held.as_json() for feed in self.feeds for held in feed.held.values()],
            "warnings": list(self.warnings),
        }

    def lines_text(self) -> str:
        return "; ".join(held.text() for feed in self.feeds for held in feed.held.values())


async def rotate_credentials(context: ActionContext, parameters: RotateParameters) -> ActionResult:
    """0 rotated, or nothing is new · 1 with warnings · 2 a line refused or was not verified · 11 Vault, runtime file.

    12, 13, 64, 75: as ``failover``. A failure leaves the other lines publishing; the result says which line has which
    login. A dry run reads Vault and asks the gateway, and changes nothing. No secret is in any of it.
    """
    course = await asyncio.to_thread(_begun, context, parameters)
    try:
        async with context.connect() as client:
            answer = await _rotated(context, parameters, course, client)
    except RotationStoppedError as stopped:
        return _stopped(course, str(stopped), Exit.ERROR)
    except (BusError, ControlError) as error:
        what = refused("rotate-credentials", error)
        return _stopped(course, what.message, what.exit_code)
    return answer or await _for_the_next_start(context, course)


async def _rotated(
    context: ActionContext, parameters: RotateParameters, course: _Course, client: Client
) -> ActionResult | None:
    """None: every line has its new login. Raises what the lines and the gateway raise."""
    status = await client.status()
    if unknown := _unknown(parameters.feed, status):
        return unknown
    context.tell("vault", f"{course.place}: comparing version {course.since} with the current one", {})
    await asyncio.to_thread(_compare, context, course, parameters.feed, status)
    if not course.fresh:
        return _nothing(course)
    _plan(context, course, parameters, client, status)
    if context.request.dry_run:
        return _would(course)
    for feed in course.feeds:
        await feed.run()
    return None


async def _for_the_next_start(context: ActionContext, course: _Course) -> ActionResult:
    if not course.file:
        return _done(course, "the settings refer to Vault, so the next start takes the same; no runtime file is needed")
    try:
        pulled = await asyncio.to_thread(pull, context.runbook.vault, context.clock, version=course.version)
    except (VaultError, RuntimeFileError) as error:
        text = f"every line has the new login, and the next start would not: {' '.join(str(error).split())}"
        return _stopped(course, f"{text}; correct it, then: runbook secrets pull", Exit.ENVIRONMENT)
    context.tell("pull", pulled.message, {})
    return _done(course, pulled.message)


# -- before anything is done -------------------------------------------------------------------------------------


def _begun(context: ActionContext, parameters: RotateParameters) -> _Course:
    """Blocks. Raises SettingsError (11)."""
    vault = context.runbook.vault
    place, origin = operators_place(vault), origin_of(vault.runtime_file)
    if origin is not None and origin[0] != str(place):
        raise SettingsError([f"{vault.runtime_file} is from {origin[0]}, not from {place}; runbook secrets pull first"])
    since = parameters.since or (origin[1] if origin else 0)
    if not since:
        raise SettingsError(
            [f"there is no {vault.runtime_file}, so it is not known what the gateway runs on; give --since VERSION"]
        )
    return _Course(place, since, file=origin is not None)


def _unknown(feed: str | None, status: StatusReply) -> ActionResult | None:
    there = [one.feed for one in status.feeds]
    if feed is None or feed in there:
        return None
    return ActionResult(exit_code=Exit.USAGE, message=f"there is no feed {feed}; the gateway runs: {', '.join(there)}")


def _compare(context: ActionContext, course: _Course, only: str | None, status: StatusReply) -> None:
    """Blocks. Raises VaultError (11), also for what a running line cannot take."""
    with VaultSession(context.runbook.vault, context.clock) as session:
        for line in status.lines:
            feed, _, account = line.line.partition(":")
            if only in (None, feed):
                found = new_credentials(session, course.place, feed, account, since=course.since)
                course.fresh.setdefault(feed, []).append(found)
    versions = {one.version for found in course.fresh.values() for one in found}
    if len(versions) > 1:
        raise VaultError("version", f"{course.place} was written while it was read; run it again")
    course.version = max(versions, default=course.since)
    environ = process_environment()
    for found in (one for each in course.fresh.values() for one in each):
        _consider(context, course, found, environ)
    course.fresh = {feed: found for feed, found in course.fresh.items() if any(found)}


def _consider(context: ActionContext, course: _Course, found: NewCredentials, environ: Mapping[str, str]) -> None:
    """What else changed, and where the next start would take the login from."""
    other = {variable_of(found.feed, found.account, name) for name in _IDENTITY} & set(found.restart)
    if found and other:
        raise VaultError(
            "content",
            f"{', '.join(sorted(other))} changed too, and a running line keeps the old one, so the new login cannot "
            "work there; when the market is closed: runbook secrets pull, then runbook restart",
        )
    if found.restart:
        course.warnings.append(f"only a new start takes {', '.join(found.restart)} in: runbook restart")
    feed = context.settings.feeds.get(found.feed)
    account = feed.accounts.get(found.account) if feed is not None else None
    for name in found.references:
        variable = variable_of(found.feed, found.account, name)
        written = getattr(account, name).get_secret_value() if account is not None else ""
        if not is_reference(written):
            course.file = True
        elif "?version=" in written:
            course.warnings.append(f"{variable} refers to one version; write the new one into the settings")
        if variable in environ and not is_reference(environ[variable]):
            course.warnings.append(f"{variable} is set in the environment and would win at the next start; unset it")


def _plan(
    context: ActionContext, course: _Course, parameters: RotateParameters, client: Client, status: StatusReply
) -> None:
    """Raises RotationStoppedError."""
    course.feeds += [
        FeedRotation(
            client,
            status,
            feed,
            found,
            reason=reason_of(context),
            operator=context.request.operator,
            patience_s=parameters.patience,
            tell=context.tell,
        )
        for feed, found in course.fresh.items()
    ]
    for feed in course.feeds:
        feed.check()


# -- results -----------------------------------------------------------------------------------------------------


def _nothing(course: _Course) -> ActionResult:
    text = f"{course.place} version {course.version} has no new password or AuthCode against version {course.since}"
    if course.warnings:
        return ActionResult(exit_code=Exit.WARNING, message=f"{text}; {course.warnings[0]}", details=course.details())
    return ActionResult(exit_code=Exit.OK, message=f"{text}; nothing to do", details=course.details())


def _would(course: _Course) -> ActionResult:
    order = [name for feed in course.feeds for name in feed.order]
    text = f"dry run: {course.place} version {course.version} would go to {', then '.join(order)}"
    text += ", then into the runtime file" if course.file else ""
    if course.warnings:
        text += f"; {'; '.join(course.warnings)}"
    code = Exit.WARNING if course.warnings else Exit.OK
    return ActionResult(exit_code=code, message=text, details=course.details() | {"order": order})


def _stopped(course: _Course, why: str, code: int) -> ActionResult:
    held = course.lines_text()
    message = f"{why}. Now: {held}" if held else why
    return ActionResult(exit_code=code, message=message, details=course.details() | {"ok": False})


def _done(course: _Course, last: str) -> ActionResult:
    message = f"{course.lines_text()}; {last}"
    if course.warnings:
        message += f"; {'; '.join(course.warnings)}"
    code = Exit.WARNING if course.warnings else Exit.OK
    return ActionResult(exit_code=code, message=message, details=course.details() | {"ok": True})


def _build() -> Any:
    return rotate_credentials


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``rotate-credentials``."""
    return [
        ActionKind(
            name="rotate-credentials",
            title="Rotate credentials",
            build=_build,
            parameters=RotateParameters,
            timeout_s=_TIMEOUT_S,
        )
    ]
