"""Enforce: ask again for what is missing, wait until it is confirmed, measure again; then call for people."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.client import Client
from gateway.errors import FeedgateError
from runbook.context import ActionContext
from runbook.health.escalate import MARKER, escalate
from runbook.health.report import HealthReport
from runbook.model import Exit
from runbook.runner.run import shanghai

log = logging.getLogger(__name__)

CHUNK: Final = 2000
"""Names of one request; far below the size of a message."""
_POLL_S: Final = 0.5
_AGAIN_S: Final = 2.0
"""Before the next look at a gateway that did not answer."""
_LISTED: Final = 50
"""Names that an attempt lists; it counts all."""

Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """How far enforce goes."""

    attempts: int
    confirm_s: float
    """An attempt waits so long for confirmations."""
    budget_s: float
    """No attempt begins later than this, so that there is time left to escalate."""
    command: str | None
    """Escalation; None: nobody is called."""
    command_s: float


class Enforcer:
    """One enforce. ``look`` measures anew; it must not raise for a gateway that is away."""

    def __init__(
        self,
        context: ActionContext,
        remedy: Remedy,
        look: Callable[[], Awaitable[HealthReport]],
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._context = context
        self._remedy = remedy
        self._look = look
        self._sleep = sleep

    async def run(self, report: HealthReport) -> HealthReport:
        """The report after all that was tried, with ``remediation`` filled.

        Escalates when it ends in error or with contracts missing.
        """
        if report.exit_code == Exit.OK:
            return replace(report, remediation={"mode": "enforce", "outcome": "not_needed", "attempts": []})
        first, attempts = report, list[dict[str, Any]]()
        clock = self._context.clock
        until = clock.monotonic() + self._remedy.budget_s
        while self._helps(report) and len(attempts) < self._remedy.attempts and clock.monotonic() < until:
            attempt = await self._attempt(len(attempts) + 1, report)
            report = await self._look()
            attempt["exit_code_after"] = int(report.exit_code)
            attempt["missing_after"] = len(report.missing_contracts) if report.measured else None
            attempts.append(attempt)
            self._tell(attempt, report)
        left = set(report.missing_contracts)
        remediation: dict[str, Any] = {
            "mode": "enforce",
            "outcome": _outcome(first, report, attempts),
            "attempts": attempts,
            "healed_contracts": [one for one in first.missing_contracts if one not in left] if report.measured else [],
            "escalation": None,
        }
        if report.exit_code == Exit.ERROR or report.missing_contracts:
            remediation["escalation"] = await self._escalate(report)
            if error := remediation["escalation"]["error"]:
                report = report.with_warning(f"escalation: {error}")
        return replace(report, remediation=remediation)

    @staticmethod
    def _helps(report: HealthReport) -> bool:
        """Whether another attempt can change anything: a stalled contract is subscribed already."""
        return not report.measured or bool(report.missing_contracts)

    async def _attempt(self, number: int, report: HealthReport) -> dict[str, Any]:
        missing = report.missing_contracts
        started = self._context.clock.monotonic()
        told: dict[str, Any] = {
            "attempt": number,
            "at": shanghai(self._context.clock.wall_ns()),
            "asked": len(missing),
            "asked_names": missing[:_LISTED],
            "accepted": 0,
            "unknown": 0,
            "confirmed_all": False,
            "error": "",
        }
        if not report.measured:
            told["error"] = "; ".join(report.errors)
            await self._sleep(_AGAIN_S)
        else:
            try:
                async with self._context.connect() as client:
                    await self._subscribe(client, missing, told)
                    told["confirmed_all"] = await self._confirmed(client)
            except FeedgateError as error:
                told["error"] = str(error)
        told["took_s"] = round(self._context.clock.monotonic() - started, 3)
        return told

    async def _subscribe(self, client: Client, missing: Sequence[str], told: dict[str, Any]) -> None:
        for start in range(0, len(missing), CHUNK):
            reply = await client.subscribe(*missing[start : start + CHUNK])
            told["accepted"] += reply.accepted
            told["unknown"] += reply.unknown
            if reply.unknown_names:
                named = told.setdefault("unknown_names", [])
                named += reply.unknown_names[: _LISTED - len(named)]

    async def _confirmed(self, client: Client) -> bool:
        """Wait until nothing wanted is missing. False at the limit, or once all answers are in and some refuse."""
        until = self._context.clock.monotonic() + self._remedy.confirm_s
        settled_before = False
        while True:
            if not sum(feed.missing_count for feed in await client.coverage()):
                return True
            up = [line for line in (await client.status()).lines if line.state.is_up]
            settled = bool(up) and all(line.confirmed + line.failed == line.wanted for line in up)
            if (settled and settled_before) or self._context.clock.monotonic() >= until:
                return False
            settled_before = settled
            await self._sleep(_POLL_S)

    def _tell(self, attempt: Mapping[str, Any], report: HealthReport) -> None:
        text = f"attempt {attempt['attempt']} of {self._remedy.attempts}: asked for {attempt['asked']} contracts"
        fields = {"missing_after": attempt["missing_after"], "exit_code_after": int(report.exit_code)}
        self._context.tell("remediation", text, fields)

    async def _escalate(self, report: HealthReport) -> dict[str, Any]:
        remedy, code = self._remedy, int(report.exit_code)
        log.error("event=%s exit_code=%d missing=%d", MARKER, code, len(report.missing_contracts))
        fields: dict[str, Any] = {"exit_code": code, "missing": len(report.missing_contracts)}
        self._context.tell("escalation", f"event={MARKER}", fields)
        if remedy.command is None:
            return {
                "program": "",
                "marker": MARKER,
                "exit_code": code,
                "returned": None,
                "timed_out": False,
                "output": "",
                "error": "no escalation command is set, so nobody was called; give --escalation-command",
            }
        profile = self._context.request.profile
        return await escalate(remedy.command, exit_code=code, timeout_s=remedy.command_s, profile=profile)


def _outcome(first: HealthReport, report: HealthReport, attempts: Sequence[object]) -> str:
    """``healed``, ``better``, ``failed``, or ``nothing_to_subscribe`` when no attempt could help."""
    if report.exit_code == Exit.OK:
        return "healed"
    if not attempts:
        return "nothing_to_subscribe"
    if not report.measured:
        return "failed"
    better = not first.measured or len(report.missing_contracts) < len(first.missing_contracts)
    return "better" if better or report.exit_code < first.exit_code else "failed"
