"""The action ``alert-smoke``: whether an exit code that is pushed arrives in Prometheus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, Field

from gateway.hookspecs import hookimpl
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.maintenance.probe import ProbeError, push_value, read_values
from runbook.model import ActionResult, Exit
from runbook.runner.pushing import NO_WINDOW
from runbook.runner.waiting import to_the_end

log = logging.getLogger(__name__)

COMMAND: Final = "alert-smoke"
NOT_SEEN: Final = 3
"""Exit code. Source: the operators' contract, §1."""
_POLL_S: Final = 0.2
_LONGEST_S: Final = 300.0
_FIRST: Final = 1000
"""Above every exit code, so that a probe is never taken for one."""
_DIFFERENT: Final = 1_000_000


class SmokeParameters(BaseModel, extra="forbid", frozen=True):
    """How patient it is."""

    wait_seconds: float = Field(
        3.0,
        ge=0,
        le=_LONGEST_S,
        description="Seconds in which Prometheus must have it; longer than its scrape interval",
    )


async def alert_smoke(context: ActionContext, parameters: SmokeParameters) -> ActionResult:
    """Exit code 0: seen and reset; 2: it could not be pushed or not be reset; 3: not seen through Prometheus.

    The value is reset in any case, also when this is cancelled. It differs from run to run, so that an old one is
    never taken for the new one. Labels: ``command="alert-smoke"``, by which alert rules can leave it out.
    """
    metrics = context.runbook.metrics
    if metrics.pushgateway_url is None:
        return _failed(Exit.ERROR, "nothing was pushed: PUSHGATEWAY_URL is not set")
    if context.request.dry_run:
        there = metrics.prometheus_url or "nothing, because OPS_PROMETHEUS_URL is not set"
        said = f"dry run: would push to {metrics.pushgateway_url} and read back from {there}"
        return ActionResult(exit_code=Exit.OK, message=said)
    labels = {"command": COMMAND, "window": context.request.window or NO_WINDOW, "profile": context.request.profile}
    value = float(_FIRST + context.clock.wall_ns() // 1_000_000 % _DIFFERENT)
    push = metrics.pushgateway_url, labels
    reset: list[str] = []
    context.tell("push", f"pushing {value:g} to {metrics.pushgateway_url}", {"value": value, **labels})
    pushing = asyncio.create_task(asyncio.to_thread(push_value, *push, value, metrics.push_timeout_s))
    try:
        try:
            await asyncio.shield(pushing)
        except ProbeError as error:
            result = _failed(Exit.ERROR, str(error))
        else:
            result = await _look(context, parameters, labels, value)
    finally:
        # to the end: whoever cancels this must not leave a value behind that pages somebody, nor one on its way
        await to_the_end(_take_back(pushing, *push, metrics.push_timeout_s, reset))
    if reset:
        code = Exit.ERROR
        said = f"{result.message}; and the probe value {value:g} could not be taken back: {reset[0]}"
        return ActionResult(exit_code=code, message=said, details={**result.details, "reset": False})
    context.tell("reset", "the value is 0 again", {})
    return ActionResult(
        exit_code=result.exit_code, message=result.message, details={**result.details, "value": value, "reset": True}
    )


async def _look(
    context: ActionContext, parameters: SmokeParameters, labels: dict[str, str], value: float
) -> ActionResult:
    url = context.runbook.metrics.prometheus_url
    if url is None:
        return _failed(NOT_SEEN, "pushed, but not read back: OPS_PROMETHEUS_URL is not set")
    context.tell("read", f"asking Prometheus at {url}", {"wait_seconds": parameters.wait_seconds})
    loop = asyncio.get_running_loop()
    until = loop.time() + parameters.wait_seconds
    last = ""
    while True:
        final = loop.time() >= until
        try:
            found = await asyncio.to_thread(read_values, url, labels, context.runbook.metrics.push_timeout_s)
        except ProbeError as error:
            last = str(error)
        else:
            if value in found:
                return ActionResult(
                    exit_code=Exit.OK, message=f"the value {value:g} was pushed, seen through Prometheus, and reset"
                )
            last = f"it has {found[0]:g}" if found else "it has no such figure"
        if final:
            return _failed(
                NOT_SEEN,
                f"the value {value:g} was not seen through Prometheus within {parameters.wait_seconds:g} s ({last}); "
                "check that it scrapes the Pushgateway, and wait longer than its scrape interval (--wait-seconds)",
            )
        await asyncio.sleep(_POLL_S)


async def _take_back(
    pushing: asyncio.Task[None], url: str, labels: dict[str, str], timeout_s: float, problems: list[str]
) -> None:
    await asyncio.wait({pushing})
    pushing.exception()  # told already, or nobody waits for it any more
    await asyncio.to_thread(_reset, url, labels, timeout_s, problems)


def _reset(url: str, labels: dict[str, str], timeout_s: float, problems: list[str]) -> None:
    try:
        push_value(url, labels, 0.0, timeout_s)
    except ProbeError as error:
        problems.append(str(error))
        log.error("the probe value of alert-smoke could not be taken back: %s", error)  # noqa: TRY400 - the text says it all


def _failed(code: int, message: str) -> ActionResult:
    return ActionResult(exit_code=code, message=message)


def _build() -> Any:
    return alert_smoke


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``alert-smoke``."""
    return [
        ActionKind(
            name=COMMAND,
            title="Smoke-test alerts",
            build=_build,
            parameters=SmokeParameters,
            changes=False,
            exclusive=False,
            timeout_s=_LONGEST_S + 60.0,
        )
    ]
