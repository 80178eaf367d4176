"""What the runner puts into the audit, and the little it asks of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, Literal, Protocol

from runbook.model import ActionRequest, ActionResult, AuditRecord
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai

Event = Literal["start", "stop", "exception", "refused", "note"]
_LARGEST: Final = 16_384
"""Characters of parameters in a record; more are left out and said to be."""


class Audit(Protocol):
    """Where records go. Blocking: the runner calls it in a thread, never two at once."""

    def append(self, record: AuditRecord, /) -> object:
        """Returns once the record is on disk. Raises when it is not."""
        ...


class RecordMaker:
    """Makes records of runs, masked."""

    def __init__(self, masker: Masker, session: Callable[[int], str]) -> None:
        self._masker = masker
        self._session = session

    def session(self, wall_ns: int) -> str:
        """``day``, ``night`` or ``closed``; ``unknown`` when the calendar cannot say, because that stops no action."""
        try:
            return self._session(wall_ns)
        except Exception:  # noqa: BLE001 - a calendar that ends must not keep a failover from being recorded
            return "unknown"

    def make(
        self,
        event: Event,
        run: str,
        request: ActionRequest,
        wall_ns: int,
        *,
        started_at: str = "",
        finished_at: str = "",
        result: ActionResult | None = None,
    ) -> AuditRecord:
        """A record as of ``wall_ns``."""
        mask = self._masker.text
        parameters = self._masker.mapping(request.parameters)
        if (size := len(json.dumps(parameters))) > _LARGEST:
            parameters = {"left_out": f"{size} characters"}
        return AuditRecord(
            run=run,
            event=event,
            at=shanghai(wall_ns),
            action=mask(request.action),
            operator=mask(request.operator),
            trigger=request.trigger.value,
            session=self.session(wall_ns),
            window=request.window or "",
            profile=request.profile,
            config=request.config,
            mode=request.mode,
            reason=mask(request.reason),
            parameters=parameters,
            dry_run=request.dry_run,
            started_at=started_at,
            finished_at=finished_at,
            exit_code=result.exit_code if result else None,
            message=mask(result.message) if result else "",
            output=mask(result.output) if result else "",
        )
