"""The action ``notify``: a message to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit
from runbook.notify import Message, Notifier, Sent
from runbook.notify.message import Severity
from runbook.runner.masking import Masker
from runbook.settings import secrets_of

_TIMEOUT_S = 600.0


class NotifyParameters(BaseModel, extra="forbid", frozen=True):
    """What the message says."""

    tag: str = Field("runbook", min_length=1, max_length=200, description="Marker of what happened")
    code: int = Field(0, ge=0, le=255, description="Exit code of what happened; 0: good news, 1: a warning")
    message: str = Field("", max_length=4000, description="More words; empty: the tag and the code alone")


async def notify(context: ActionContext, parameters: NotifyParameters) -> ActionResult:
    """Exit code 0: sent to all, or a repetition; 1: some failed, or too many; 2: nobody took it; 11: no address."""
    masker = Masker(secrets_of(context.settings) | secrets_of(context.runbook))
    severity: Severity = "success" if parameters.code == Exit.OK else "failure"
    if parameters.code == Exit.WARNING:
        severity = "warning"
    title = f"{parameters.tag} (exit code {parameters.code})"
    message = Message(title=masker.text(title), text=masker.text(parameters.message or title), severity=severity)
    notifier = Notifier(context.runbook.notify, context.runbook.state_dir, context.clock)
    if not notifier.addresses:
        return ActionResult(
            exit_code=Exit.ENVIRONMENT, message="no address to notify is configured; set RUNBOOK_NOTIFY__URLS"
        )
    if context.request.dry_run:
        return ActionResult(
            exit_code=Exit.OK, message=f"dry run: would tell {notifier.addresses} addresses: {message.title}"
        )
    return _result(await notifier.send(message))


def _result(sent: Sent) -> ActionResult:
    if sent.left_out:
        code = Exit.WARNING if sent.limited else Exit.OK
        return ActionResult(exit_code=code, message=f"not sent: {sent.left_out}", details={"left_out": sent.left_out})
    failed = [f"{answer.address} {answer.error}" for answer in sent.answers if answer.error]
    code = Exit.OK if not failed else Exit.WARNING if sent.taken else Exit.ERROR
    said = f"{sent.taken} of {len(sent.answers)} addresses took the message"
    if failed:
        said += f"; address {'; address '.join(failed)}: check it in RUNBOOK_NOTIFY__URLS"
    return ActionResult(
        exit_code=code,
        message=said,
        details={"addresses": [{"address": answer.address, "error": answer.error} for answer in sent.answers]},
    )


def _build() -> Any:
    return notify


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``notify``."""
    return [
        ActionKind(
            name="notify",
            title="Notify people",
            build=_build,
            parameters=NotifyParameters,
            # escalation calls it in the middle of other actions
            changes=False,
            exclusive=False,
            timeout_s=_TIMEOUT_S,
        )
    ]
