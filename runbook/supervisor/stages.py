"""The stages of a start: each with its own exit code, time limit and tries, then escalation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import FeedgateError
from runbook.model import Exit
from runbook.settings import RunbookSettings
from runbook.supervisor.escalation import Escalate
from runbook.supervisor.keeper import ProcessFailed
from runbook.supervisor.timers import Timers

Tell = Callable[[str, str, Mapping[str, Any]], None]
"""``tell(stage, text, fields)``: how far it is."""

_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a start."""

    name: str
    exit_code: Exit
    do: Callable[[int, float], Awaitable[str]]
    """``do(attempt, limit_s)``: returns how it went, in words; raises FeedgateError or TimeoutError."""
    next_step: str
    """What somebody does when it failed."""
    tries: int | None = None
    """None: as the settings say."""
    unready: Callable[[], str] = str
    """Why it took too long, as far as is known."""


class StageFailed(FeedgateError):  # noqa: N818 - an event, told as it is
    """A stage failed for good."""

    code = "stage"

    def __init__(self, stage: Stage, exit_code: int, tries: int, why: str) -> None:
        times = f"after {tries} tries" if tries > 1 else "at once"
        super().__init__(f"{stage.name} failed {times}: {why}\nnext: {stage.next_step}", stage=stage.name)
        self.stage = stage
        self.exit_code = exit_code


class StageRunner:
    """Runs stages in order. ``passed`` has a row for each that did."""

    def __init__(self, timers: Timers, rules: RunbookSettings, escalate: Escalate, tell: Tell) -> None:
        self.passed: list[dict[str, Any]] = []
        self._timers, self._rules, self._escalate, self._tell = timers, rules, escalate, tell

    async def run(self, stage: Stage) -> None:
        """Raises StageFailed after the last try and the escalation."""
        clock = self._timers.clock
        limit = self._rules.start.stage_timeout_s
        tries = stage.tries or self._rules.start.tries
        began = clock.monotonic()
        for attempt in range(1, tries + 1):
            self._tell(stage.name, f"{stage.name}: try {attempt} of {tries}", {"attempt": attempt, "limit_s": limit})
            try:
                # the work keeps to the limit itself and says more when it does not; this is for what hangs in it
                text = await stage.do(attempt, limit)
            except (FeedgateError, TimeoutError) as error:
                why = str(error) or f"not done within {limit:g} s: {stage.unready()}"
                hopeless = isinstance(error, ProcessFailed) and error.hopeless
                settings = getattr(error, "ended_with", None) == Exit.ENVIRONMENT or (
                    getattr(error, "exit_code", None) == Exit.ENVIRONMENT
                )
                code = Exit.ENVIRONMENT if settings else stage.exit_code
                fields = {"attempt": attempt, "exit_code": int(code)}
                self._tell(stage.name, f"{stage.name}: try {attempt} of {tries} failed: {why}", fields)
                if hopeless or settings or attempt == tries:
                    await self._give_up(stage, int(code), attempt, why)
                await self._timers.sleep(_PAUSE_S * attempt)
            else:
                seconds = round(clock.monotonic() - began, 3)
                self.passed.append({"stage": stage.name, "text": text, "tries": attempt, "seconds": seconds})
                self._tell(stage.name, f"{stage.name}: {text}", {"attempt": attempt, "seconds": seconds})
                return

    async def _give_up(self, stage: Stage, code: int, tries: int, why: str) -> None:
        told = await self._escalate(f"start_{stage.name}_failed", code)
        self._tell("escalation", told, {"marker": "event=start_escalation", "stage": stage.name, "exit_code": code})
        raise StageFailed(stage, code, tries, why)
