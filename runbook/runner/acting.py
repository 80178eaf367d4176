"""Calls an action and makes a result of whatever happens."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

from gateway.errors import FeedgateError
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit
from runbook.runner.masking import Masker
from runbook.runner.waiting import done_within

_LARGEST_CODE: Final = 255


@dataclass(slots=True)
class Outcome:
    """How an action ended."""

    event: Literal["stop", "exception"]
    result: ActionResult
    """Masked."""
    trace: str = ""
    """Masked, for the run's log alone."""
    raises: BaseException | None = None
    """What the runner's caller has to get after everything is written down: a cancellation, KeyboardInterrupt."""
    straggler: asyncio.Task[ActionResult] | None = field(default=None)
    """The action, if it did not stop although it had to."""


async def act(  # noqa: PLR0911 - one return for each way to end
    kind: ActionKind, context: ActionContext, parameters: BaseModel, *, grace_s: float, masker: Masker
) -> Outcome:
    """Run it within its time limit. Raises nothing."""
    task = asyncio.create_task(_call(kind, context, parameters), name=f"action {kind.name} {context.run}")

    def failed(exit_code: int, message: str, **more: Any) -> Outcome:
        details = masker.mapping(more.pop("details", {}))
        return Outcome(
            "exception", ActionResult(exit_code=exit_code, message=masker.text(message), details=details), **more
        )

    cancelled: BaseException | None = None
    try:
        await asyncio.wait({task}, timeout=kind.timeout_s)
    except asyncio.CancelledError as error:
        cancelled = error
    if not task.done():
        task.cancel()
        ended = await done_within(task, grace_s)
        how = "" if ended else f"; it did not stop within {grace_s:g} s and may still be at work"
        straggler = None if ended else task
        if cancelled is not None:
            text = f"{kind.name} was cancelled{how}; check what it left behind"
            return failed(Exit.ERROR, text, raises=cancelled, straggler=straggler, trace=_late(task, masker))
        text = f"{kind.name} did not end within {kind.timeout_s:g} s{how}; see its log for the last stage"
        return failed(Exit.TIMED_OUT, text, straggler=straggler, trace=_late(task, masker))
    if task.cancelled():
        return failed(Exit.ERROR, f"{kind.name} cancelled itself; see its log", raises=cancelled)
    raised = task.exception()
    if raised is None:
        try:
            return Outcome("stop", _checked(kind, task.result(), masker), raises=cancelled)
        except FeedgateError as wrong:
            return failed(Exit.ERROR, str(wrong), raises=cancelled)
    trace = masker.text("".join(traceback.format_exception(raised)))
    if isinstance(raised, FeedgateError):
        code = raised.exit_code if 0 < raised.exit_code <= _LARGEST_CODE else Exit.ERROR
        return failed(code, str(raised), details=raised.fields, trace=trace, raises=cancelled)
    if not isinstance(raised, Exception):
        return failed(Exit.ERROR, f"{kind.name} was interrupted ({type(raised).__name__})", trace=trace, raises=raised)
    text = f"{kind.name} failed: {type(raised).__name__}: {_line(raised)}; its log has the traceback"
    return failed(Exit.ERROR, text, trace=trace, raises=cancelled)


async def _call(kind: ActionKind, context: ActionContext, parameters: BaseModel) -> ActionResult:
    try:
        return await kind.build()(context, parameters)
    except SystemExit as error:
        # it would end the whole process, with other runs in it
        raise RuntimeError(f"it tried to exit with {error.code!r}") from error


def _checked(kind: ActionKind, result: object, masker: Masker) -> ActionResult:
    if not isinstance(result, ActionResult):
        raise FeedgateError(
            f"{kind.name} returned {type(result).__name__} in place of ActionResult; correct the action"
        )
    code = result.exit_code
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= _LARGEST_CODE:
        raise FeedgateError(f"{kind.name} returned an exit code that is none (0 to 255); correct the action")
    return ActionResult(
        exit_code=int(code),
        message=masker.text(str(result.message)),
        details=masker.mapping(result.details),
        output=masker.text(str(result.output)),
    )


def _late(task: asyncio.Task[ActionResult], masker: Masker) -> str:
    """What a cancelled action raised in place of stopping quietly."""
    if not task.done() or task.cancelled() or (error := task.exception()) is None:
        return ""
    return masker.text("".join(traceback.format_exception(error)))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no message"
