"""The stages of a start: each with its own exit code, time limit and tries, a remedy, and then escalation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import FeedgateError
from runbook.model import Exit
from runbook.notify import Escalates
from runbook.settings import RunbookSettings
from runbook.supervisor.keeper import ProcessFailed
from runbook.supervisor.timers import Timers

Tell = Callable[[str, str, Mapping[str, Any]], None]
"""``tell(stage, text, fields)``: how far it is."""

_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Remedy:
    """What was done, or is to be done, once a stage has failed too often."""

    text: str
    """For people; names the command to type when nothing could be done here."""
    again: bool = False
    """Whether it may have helped, so that one more try is worth it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a start. What follows a failure: the operators' contract, §9."""

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
    at_once: Callable[[], Awaitable[str]] | None = None
    """Between a failed try and the next: does what can be done at once, and says what."""
    remedy: Callable[[], Awaitable[Remedy]] | None = None
    """Once for each start, when the stage has failed as often as ``escalation.after`` says; never raises."""


class StageFailed(FeedgateError):  # noqa: N818 - an event, told as it is
    """A stage failed for good."""

    code = "stage"

    def __init__(self, stage: Stage, exit_code: int, tries: int, why: str, remedy: str = "") -> None:
        times = f"after {tries} tries" if tries > 1 else "at once"
        then = f"\n{remedy}" if remedy else ""
        super().__init__(f"{stage.name} failed {times}: {why}{then}\nnext: {stage.next_step}", stage=stage.name)
        self.stage = stage
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class _Trouble:
    why: str
    exit_code: int
    hopeless: bool
    """Another try as things are would change nothing."""


class StageRunner:
    """Runs stages in order. ``passed`` has a row for each that did.

    Each failed try counts, over starts, until the stage passes. From the one of ``escalation.after`` on, a start
    escalates once, and the stage's remedy is tried.
    """

    def __init__(self, timers: Timers, rules: RunbookSettings, escalation: Escalates, tell: Tell) -> None:
        self.passed: list[dict[str, Any]] = []
        self._timers, self._rules, self._escalation, self._tell = timers, rules, escalation, tell

    async def run(self, stage: Stage) -> None:
        """Raises StageFailed after the last try."""
        clock = self._timers.clock
        limit = self._rules.start.stage_timeout_s
        tries = stage.tries or self._rules.start.tries
        began = clock.monotonic()
        attempt, told, remedied = 0, False, ""
        while True:
            attempt += 1
            self._tell(stage.name, f"{stage.name}: try {attempt} of {tries}", {"attempt": attempt, "limit_s": limit})
            try:
                # the work keeps to the limit itself and says more when it does not; this is for what hangs in it
                text = await stage.do(attempt, limit)
            except (FeedgateError, TimeoutError) as error:
                trouble = _trouble(stage, error, limit)
                fields = {"attempt": attempt, "exit_code": trouble.exit_code}
                self._tell(stage.name, f"{stage.name}: try {attempt} of {tries} failed: {trouble.why}", fields)
                if not told and await self._counted(stage, trouble):
                    told = True
                    remedy = await self._remedied(stage, trouble)
                    remedied = remedy.text
                    tries = attempt + 1 if remedy.again else tries
                elif told:
                    await self._escalation.failed(stage.name, trouble.exit_code, told=True)
                if trouble.hopeless or attempt >= tries:
                    raise StageFailed(stage, trouble.exit_code, attempt, trouble.why, remedied) from error
                if stage.at_once is not None:
                    self._tell(stage.name, f"{stage.name}: {await stage.at_once()}", {"at_once": True})
                await self._timers.sleep(_PAUSE_S * attempt)
            else:
                self._escalation.succeeded(stage.name)
                seconds = round(clock.monotonic() - began, 3)
                self.passed.append({"stage": stage.name, "text": text, "tries": attempt, "seconds": seconds})
                self._tell(stage.name, f"{stage.name}: {text}", {"attempt": attempt, "seconds": seconds})
                return

    async def _counted(self, stage: Stage, trouble: _Trouble) -> bool:
        """Whether it was one failure too many."""
        escalated = await self._escalation.failed(
            stage.name, trouble.exit_code, marker=f"start_{stage.name}_failed", text=trouble.why
        )
        if not escalated.due:
            return False
        marker = {"marker": "event=start_escalation", "stage": stage.name, "exit_code": trouble.exit_code}
        self._tell("escalation", f"{stage.name} {escalated.said}", marker)
        return True

    async def _remedied(self, stage: Stage, trouble: _Trouble) -> Remedy:
        if stage.remedy is None or (trouble.hopeless and stage.exit_code != trouble.exit_code):
            return Remedy("")  # settings that were refused are no matter of this stage
        remedy = await stage.remedy()
        self._tell(stage.name, f"{stage.name}: {remedy.text}", {"remedy": True})
        return remedy


def _trouble(stage: Stage, error: FeedgateError | TimeoutError, limit: float) -> _Trouble:
    why = str(error) or f"not done within {limit:g} s: {stage.unready()}"
    refused = Exit.ENVIRONMENT in (getattr(error, "ended_with", None), getattr(error, "exit_code", None))
    code = Exit.ENVIRONMENT if refused else stage.exit_code
    # settings are read anew by their own stage alone; whatever else finds them wrong finds them wrong again
    hopeless = (refused and stage.exit_code != Exit.ENVIRONMENT) or (
        isinstance(error, ProcessFailed) and error.hopeless
    )
    return _Trouble(why, int(code), hopeless)
