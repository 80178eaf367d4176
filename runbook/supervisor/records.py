"""What the supervisor notices and does by itself, for the audit and the Pushgateway.

What somebody asks for goes through the action runner, which records it. This is for the rest: stages that fail (in the
file that the operators' contract, §9, names for each), processes that die or freeze, and the start and stop of a
supervisor in the foreground, which nobody asked through the runner.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateway.clock import Clock
from gateway.errors import FeedgateError
from gateway.settings import Settings
from runbook.audit import open_audit
from runbook.model import ActionRequest, ActionResult, AuditRecord, Trigger, Window
from runbook.runner import Masker
from runbook.runner.auditing import Event, RecordMaker
from runbook.runner.pushing import ExitCode, ExitCodePusher
from runbook.runner.run import new_run_id, shanghai
from runbook.settings import RunbookSettings
from runbook.supervisor.figures import push_startup

log = logging.getLogger(__name__)

COMMAND: Final = "supervisor"
"""Label of the exit codes that are pushed for what it notices by itself."""
STAGE_ACTIONS: Final = {
    "environment": "start-environment",
    "nats": "start-nats",
    "gateway": "health-gateway",
    "subscriptions": "subscribe-start",
    "health": "start-metrics",
    "t5": "t5-start",
}
"""Names in the audit, which say in which log file a note is shown (:data:`runbook.audit.views.VIEWS`)."""
PROCESS_ACTIONS: Final = {"nats": "start-nats", "gateway": "health-gateway"}
_OPERATOR: Final = "supervisor"


class Records:
    """Everything here waits for the disk or the network and never raises for it: it is logged instead."""

    def __init__(
        self, settings: Settings, runbook: RunbookSettings, clock: Clock, masker: Masker, session: Callable[[int], str]
    ) -> None:
        key = runbook.audit_key
        self._audit = open_audit(
            runbook.audit_directory,
            clock,
            key=key.get_secret_value().encode() if key else None,
            log_dir=runbook.log_dir,
        )
        self._maker = RecordMaker(masker, session)
        self._pusher = ExitCodePusher(
            runbook.metrics.pushgateway_url,
            runbook.state_dir / "unsent-supervisor",
            timeout_s=runbook.metrics.push_timeout_s,
        )
        self._settings, self._metrics, self._clock = settings, runbook.metrics, clock
        self._writing = asyncio.Lock()

    def close(self) -> None:
        """Waits for a push under way. Idempotent."""
        self._pusher.close()

    async def note(self, action: str, exit_code: int, text: str, window: Window | None = None) -> None:
        """A note that is no run of its own. Call it from the loop's thread; it may be awaited by many."""
        now = self._clock.wall_ns()
        await self._append("note", _id(now), self._request(action, window), now, exit_code, text)

    async def push(self, exit_code: int) -> None:
        """``md_runbook_exit_code{command="supervisor"}``: how the processes are; 0 once they are well again."""
        await self._push(COMMAND, "none", exit_code, 0.0)

    async def began(self, name: str, window: Window | None) -> str:
        """An operation that nobody asked through the runner begins. Gives its run."""
        now = self._clock.wall_ns()
        run = _id(now)
        await self._append("start", run, self._request(name, window), now, None, "")
        return run

    async def ended(self, run: str, name: str, window: Window | None, began_ns: int, result: ActionResult) -> None:
        """It ended."""
        now = self._clock.wall_ns()
        await self._append(
            "stop", run, self._request(name, window), now, int(result.exit_code), result.message, began_ns
        )
        await self._push(name, window or "none", int(result.exit_code), (now - began_ns) / 1e9)

    async def push_startup(self, window: Window | None, seconds: float) -> None:
        """``md_session_startup_duration_s`` of a start that nobody asked through the runner."""
        failed = await push_startup(self._metrics, window=window, profile=self._settings.profile, seconds=seconds)
        if failed:
            log.warning("%s", failed)

    def _request(self, action: str, window: Window | None) -> ActionRequest:
        return ActionRequest(
            action=action,
            operator=_OPERATOR,
            trigger=Trigger.WATCHDOG,
            reason="by the supervisor itself",
            window=window,
            profile=self._settings.profile,
            config="backup" if self._settings.active == "backup" else "primary",
        )

    async def _append(
        self,
        event: Event,
        run: str,
        request: ActionRequest,
        now: int,
        exit_code: int | None,
        text: str,
        began_ns: int | None = None,
    ) -> None:
        result = None if exit_code is None else ActionResult(exit_code=exit_code, message=text)
        started = shanghai(began_ns if began_ns is not None else now)
        ended = "" if exit_code is None else shanghai(now)
        record: AuditRecord = self._maker.make(
            event, run, request, now, started_at=started, finished_at=ended, result=result
        )
        try:
            async with self._writing:
                await asyncio.to_thread(self._audit.append, record)
        except (FeedgateError, OSError) as error:
            log.error("the audit does not take %s of %s: %s", event, request.action, error)  # noqa: TRY400 - its text says all

    async def _push(self, command: str, window: str, exit_code: int, seconds: float) -> None:
        await self._pusher.push(
            ExitCode(
                command=command,
                window=window,
                profile=self._settings.profile,
                exit_code=exit_code,
                duration_s=seconds,
                finished_s=self._clock.wall_ns() / 1e9,
            )
        )


def _id(now: int) -> str:
    return new_run_id(now)
