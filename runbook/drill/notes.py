"""What a drill is to do, and the record of it while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.clock import Clock
from runbook.drill.faults import DrillFault
from runbook.drill.report import DrillReport, Finding, StageReport
from runbook.model import Exit
from runbook.runner.run import shanghai

Tell = Callable[[str, str, Mapping[str, Any]], None]

_AGAIN_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a drill is to do and by what it is judged. Times in seconds."""

    mode: Literal["live", "mock"]
    feed: str | None = None
    """None: the only one of the gateway."""
    to: str | None = None
    """The line to fail over to; None: the next."""
    reason: str
    operator: str = ""
    expect_feed: str | None = None
    expect_account: str | None = None
    """A name of the settings or a masked account."""
    threshold: int = 2000
    latency_limit_ms: float = 5000
    patience_s: float = 15.0
    """Each check may pass within; at the end of it the last look counts."""
    observe_s: float = 2.0
    """Each stage is watched for so long before its metrics are judged."""
    fault: DrillFault | None = None
    fault_wait_s: float = 30.0
    """The gateway must leave the line within."""
    dry_run: bool = False


class StageFailedError(Exception):
    """A stage did not pass; the finding is in the report."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Notes:
    """Findings as they come: into the report and to whoever watches. One at a time."""

    def __init__(self, plan: Plan, clock: Clock, tell: Tell) -> None:
        self._plan, self._clock, self.tell = plan, clock, tell
        self.stage = StageReport(name="beginning", began="")
        self.code: int = Exit.DRILL_PRIMARY_HEALTH
        """What it means when the gateway cannot be asked at this point."""
        self.began_ns = clock.wall_ns()
        self.report = DrillReport(
            mode=plan.mode,
            dry_run=plan.dry_run,
            feed=plan.feed or "",
            home="",
            reason=plan.reason,
            operator=plan.operator,
            fault=plan.fault.name if plan.fault else None,
            began=shanghai(self.began_ns),
            thresholds={
                "consumer_backlog_messages": plan.threshold,
                "latency_ms": plan.latency_limit_ms,
                "patience_s": plan.patience_s,
            },
        )

    def now(self) -> str:
        """Shanghai."""
        return shanghai(self._clock.wall_ns())

    def begin(self, name: str, code: Exit) -> None:
        """A stage, and what it means when the gateway cannot be asked in it."""
        self.stage = StageReport(name=name, began=self.now())
        self.code = code
        self.report.stages.append(self.stage)
        self.tell(name, f"stage {name} begins", {})

    def finish(self, line: str) -> None:
        """The stage has passed on this line."""
        self.stage.active = line
        self.tell(self.stage.name, f"stage {self.stage.name} passed on {line}", {})

    def found(
        self, check: str, ok: bool, text: str, figures: Mapping[str, Any] | None = None, *, measured: bool = True
    ) -> Finding:
        """Not in the report yet."""
        return Finding(check=check, ok=ok, measured=measured, text=text, at=self.now(), figures=figures or {})

    def note(self, check: str, ok: bool, text: str, *, measured: bool = True) -> None:
        """Into the report, whatever it is."""
        self.stage.findings.append(self.found(check, ok, text, measured=measured))
        self.tell(self.stage.name, f"{check}: {text}", {"ok": ok})

    def check(
        self,
        check: str,
        ok: bool,
        text: str,
        code: int,
        *,
        measured: bool = True,
        figures: Mapping[str, Any] | None = None,
    ) -> None:
        """As :meth:`add`."""
        self.add(self.found(check, ok, text, figures, measured=measured), code)

    def add(self, finding: Finding, code: int) -> None:
        """Into the report. Raises StageFailedError when it is not ok."""
        self.stage.findings.append(finding)
        self.tell(self.stage.name, f"{finding.check}: {finding.text}", {"ok": finding.ok})
        if not finding.ok:
            raise StageFailedError(code, finding.text)

    async def patiently(self, look: Callable[[], Awaitable[Finding]], limit_s: float | None = None) -> Finding:
        """The first look that is ok, or the last one within the patience."""
        ends = self._clock.monotonic() + (self._plan.patience_s if limit_s is None else limit_s)
        while True:
            finding = await look()
            if finding.ok or self._clock.monotonic() >= ends:
                return finding
            await asyncio.sleep(_AGAIN_S)
