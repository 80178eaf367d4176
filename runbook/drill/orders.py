"""Orders to the gateway that runs, as actions: failover and failback, and what their answers mean for an exit code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.client import Client
from gateway.control.events import Switch
from gateway.errors import BusError, ControlError, FeedgateError
from runbook.context import ActionContext
from runbook.drill.report import switch_json
from runbook.model import ActionResult, Exit

_CODES: Final = {
    "busy": Exit.BUSY,
    "no_responder": Exit.GATEWAY,
    "timeout": Exit.GATEWAY,
    "disconnected": Exit.NATS,
    "control": Exit.USAGE,
}
_NEXT: Final = {
    "busy": "wait for its end, then try again",
    "no_responder": "start the gateway (runbook start), then try again",
    "timeout": "it may still be carried out: look at the gateway's log and status before trying again",
    "disconnected": "it may still be carried out: bring NATS back, then look at the gateway's status",
    "control": "correct the request",
}


def refused(what: str, error: FeedgateError) -> ActionResult:
    """What the error of a request means: 75 busy, 12 no NATS, 13 no gateway, 64 a wrong request, 2 anything else."""
    reply = "disconnected" if isinstance(error, BusError) else str(error.fields.get("reply_code", error.code))
    code = _CODES.get(reply, Exit.ERROR)
    follows = "start NATS (runbook start)" if isinstance(error, BusError) else _NEXT.get(reply, "look at its log")
    return ActionResult(
        exit_code=code, message=f"{what}: {error}; {follows}", details={"reply_code": reply, "ok": False}
    )


def answered(switch: Switch, limit_ms: float) -> ActionResult:
    """0 done; 1 done, and slower than the limit; 2 failed, and the line before was kept.

    A latency that could not be measured (no market open) does not make a switch that was done a failure.
    """
    details: dict[str, Any] = switch_json(switch) | {"latency_limit_ms": limit_ms}
    way = f"{switch.kind} of {switch.feed}: {switch.source} → {switch.target}"
    if not switch.ok:
        kept = switch.source or "no line"
        text = f"{way} failed: {switch.error or 'no reason given'}; {kept} was kept; look at both lines, then try again"
        return ActionResult(exit_code=Exit.ERROR, message=text, details=details | {"kept": switch.source})
    if switch.latency_ms is None:
        text = f"{way} done at {details['finished']}; latency not measured: no tick around it"
        return ActionResult(exit_code=Exit.OK, message=text, details=details)
    took = f"latency {switch.latency_ms:.1f} ms over {switch.measured} contracts"
    if switch.latency_ms >= limit_ms:
        text = f"{way} done at {details['finished']}, too slow: {took}, limit {limit_ms:g} ms; look at the gaps"
        return ActionResult(exit_code=Exit.WARNING, message=text, details=details)
    return ActionResult(exit_code=Exit.OK, message=f"{way} done at {details['finished']}, {took}", details=details)


async def order(
    context: ActionContext, what: str, ask: Callable[[Client], Awaitable[Switch | ActionResult]]
) -> ActionResult:
    """Connect, ask once (never again by itself), and say what came of it. NATS and other lines are not touched."""
    try:
        async with context.connect() as client:
            context.tell(what, f"the gateway is asked for {what}", {})
            answer = await ask(client)
    except (BusError, ControlError) as error:
        return refused(what, error)
    if isinstance(answer, ActionResult):
        return answer
    return answered(answer, context.runbook.drill.latency_limit_ms)


def reason_of(context: ActionContext) -> str:
    """The gateway wants one, always."""
    return context.request.reason.strip() or f"{context.request.action} by {context.request.trigger.value}"
