"""The only way to act: for pages, API, CLI, scheduler and watchdog alike."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.client import Client
from gateway.clock import Clock, SystemClock
from gateway.settings import Settings
from runbook.model import ActionRequest, ActionResult, Exit, Role
from runbook.runner.access import Access, by_rank
from runbook.runner.auditing import Audit, RecordMaker
from runbook.runner.execution import Execution, Surroundings
from runbook.runner.journal import RunJournal, read_stages
from runbook.runner.kinds import Kinds
from runbook.runner.live import LiveRun
from runbook.runner.masking import Masker
from runbook.runner.pushing import ExitCodePusher
from runbook.runner.records import Records
from runbook.runner.run import Run, RunState, Stage, new_run_id, replay_of, shanghai
from runbook.runner.store import RunStore
from runbook.runner.waiting import to_the_end
from runbook.settings import RunbookSettings, secrets_of

log = logging.getLogger(__name__)

_REMEMBERED: Final = 200
_STAGES: Final = 500
_LOOK_S: Final = 0.2
"""Between two looks at a run of another process."""
_ID: Final = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}(?:[0-9a-f]{5})?")


class ActionRunner:
    """Runs actions, one exclusive one at a time across processes, each written into the audit before and after.

    For one event loop. The answer to every request is a :class:`Run`, refusals included: 64 wrong action, parameters
    or no reason, 77 not allowed, 75 busy, 11 when the start cannot be recorded (nothing is done then). Nothing that an
    action does raises out of here, except that a cancelled :meth:`run` is a cancelled await. ``aclose`` cancels what
    is under way and waits for its records; it is idempotent.
    """

    def __init__(
        self,
        kinds: Kinds,
        audit: Audit,
        *,
        settings: Settings,
        runbook: RunbookSettings,
        connect: Callable[[], AbstractAsyncContextManager[Client]],
        session: Callable[[int], str],
        clock: Clock | None = None,
        masker: Masker | None = None,
        access: Access = by_rank,
    ) -> None:
        """``session`` names the session at a moment (Unix nanoseconds): ``day``, ``night`` or ``closed``."""
        self.kinds = kinds
        self.masker = masker or Masker()
        self.masker.add(*secrets_of(settings), *secrets_of(runbook))
        self.pusher = ExitCodePusher(
            runbook.metrics.pushgateway_url, runbook.state_dir / "unsent", timeout_s=runbook.metrics.push_timeout_s
        )
        self._settings = settings
        self._runbook = runbook
        self._clock: Clock = clock or SystemClock()
        self._records = Records(
            audit,
            RecordMaker(self.masker, session),
            RunStore(runbook.state_dir, keep=runbook.retention.runs),
            self.pusher,
            self._clock,
        )
        self._runs: OrderedDict[str, LiveRun] = OrderedDict()
        around = Surroundings(
            kinds=kinds,
            settings=settings,
            runbook=runbook,
            connect=connect,
            clock=self._clock,
            masker=self.masker,
            access=access,
        )
        self._execution = Execution(around, self._records, self._runs)
        self._tasks: set[asyncio.Task[None]] = set()
        self._going: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    # -- asking ------------------------------------------------------------------------------------------------

    async def run(self, request: ActionRequest, *, role: Role = Role.OPERATOR) -> Run:
        """Do it and wait for the end. Cancelling this cancels the action, and returns once that is recorded."""
        live, task = self._launch(request, role)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            asked = asyncio.current_task()
            if not task.done():
                task.cancel()
                await to_the_end(asyncio.wait({task}))
            elif asked is None or not asked.cancelling():
                return live.seen()  # the runner was closed, and this caller was not cancelled
            raise
        return await self._answer(live, wait=True)

    async def submit(self, request: ActionRequest, *, role: Role = Role.OPERATOR) -> Run:
        """Have it done: returns as soon as it is refused or about to begin. The runner owns what follows."""
        live, _ = self._launch(request, role)
        await asyncio.shield(live.accepted)
        return await self._answer(live, wait=False)

    def cancel(self, run: str, by: str, reason: str = "") -> bool:
        """Cancel a run of this process, as Ctrl-C does at a terminal; False: it is none, or it is over.

        Returns at once; the run ends when its action has stopped, and the audit says who cancelled it and why. What an
        action has asked the gateway for already, the gateway finishes.
        """
        live, task = self._runs.get(run), self._going.get(run)
        if live is None or task is None or live.run.state is RunState.DONE:
            return False
        if not live.cancelled_by:
            live.cancelled_by = self.masker.text(f"{by}: {reason}" if reason else by)
            live.tell("cancel", f"cancelled by {live.cancelled_by}", {})
            task.cancel()
        return True

    async def recover(self) -> list[Run]:
        """Find runs that died with their process, record and close them. Every request does it first, too."""
        return await self._records.recover()

    # -- looking -----------------------------------------------------------------------------------------------

    async def runs(self, limit: int = 50, *, before: str = "") -> list[Run]:
        """The latest runs, newest first: of this process with their stages, and the begun ones of others.

        ``before`` is a run's id: only older ones, for the next page.
        """
        stored = await self._records.in_thread(self._records.store.runs, limit, before)
        here = {run: live.seen() for run, live in self._runs.items() if not before or run < before}
        found = {run.id: run for run in stored} | here
        return sorted(found.values(), key=lambda run: run.id, reverse=True)[:limit]

    async def get(self, run: str) -> Run | None:
        """One run, of this process or another; None when there is none."""
        if live := self._runs.get(run):
            return live.seen()
        return await self._records.in_thread(self._stored, run) if _ID.fullmatch(run) else None

    def _stored(self, run: str) -> Run | None:
        found = self._records.store.get(run)
        return found and replace(found, stages=tuple(deque(read_stages(self.log_of(run)), _STAGES)))

    async def watch(self, run: str) -> AsyncIterator[Stage]:
        """The stages of a run, from the first, until it is done; of another process's run from its log."""
        if live := self._runs.get(run):
            async for stage in live.watch():
                yield stage
            return
        seen = 0
        while _ID.fullmatch(run):
            going_on = await self._records.in_thread(self._records.store.is_open, run)
            stages = await self._records.in_thread(lambda: list(read_stages(self.log_of(run))))
            for stage in stages[seen:]:
                yield stage
            seen = len(stages)
            if not going_on:
                return
            await asyncio.sleep(_LOOK_S)

    def log_of(self, run: str) -> Path:
        """Path of a run's log."""
        return self._runbook.log_dir / "runs" / f"{run}.log"

    # -- life --------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Cancel what is under way, wait until it is recorded. Idempotent."""
        self._closed = True
        stragglers = self._execution.stragglers
        for task in (*self._tasks, *stragglers):
            task.cancel()
        if self._tasks:
            await to_the_end(asyncio.wait(set(self._tasks)))
        if stragglers:
            await to_the_end(asyncio.wait(set(stragglers), timeout=self._runbook.cancel_grace_s))
        await self._records.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- one run -----------------------------------------------------------------------------------------------

    def _launch(self, request: ActionRequest, role: Role) -> tuple[LiveRun, asyncio.Task[None]]:
        if self._closed:
            raise RuntimeError("the runner is closed")
        now = self._clock.wall_ns()
        run = Run(id=new_run_id(now), request=self._masked(request), state=RunState.QUEUED)
        labels = {
            "run": run.id,
            "action": run.request.action,
            "session": self._records.maker.session(now),
            "config": request.config,
            "active_feed": self._settings.active,
            "account": self._account(),
        }
        journal = RunJournal(self.log_of(run.id), clock=self._clock, masker=self.masker, labels=labels)
        live = LiveRun(run, request, role, journal)
        self._runs[run.id] = live
        task = asyncio.create_task(self._go(live), name=f"run {run.id}")
        self._tasks.add(task)
        self._going[run.id] = task
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _task: self._going.pop(run.id, None))
        return live, task

    async def _go(self, live: LiveRun) -> None:
        try:
            await self._execution.go(live)
        except Exception as error:
            # an error of ours, or of an access rule; the request must have an answer all the same
            log.exception("run %s: the runner failed", live.run.id)
            text = f"the runner itself failed ({type(error).__name__}); see the log of the runbook"
            live.end(ActionResult(exit_code=Exit.ERROR, message=text), finished=shanghai(self._clock.wall_ns()))
        finally:
            if live.replays is not None:
                self._runs.pop(live.run.id, None)
            self._forget_oldest()

    async def _answer(self, live: LiveRun, *, wait: bool) -> Run:
        first = live.replays
        if first is None:
            return live.seen()
        if isinstance(first, LiveRun):
            if wait:
                await first.wait()
            return replay_of(first.seen())
        while wait and first.state is not RunState.DONE:
            await asyncio.sleep(_LOOK_S)
            await self.recover()
            found = await self._records.in_thread(self._records.store.get, first.id)
            if found is None:  # refused there, so nothing is kept of it
                text = "the first request with this key was refused in another process; ask again"
                first = replace(
                    first, state=RunState.DONE, refused=True, result=ActionResult(exit_code=Exit.BUSY, message=text)
                )
            else:
                first = found
        return replay_of(first)

    def _forget_oldest(self) -> None:
        done = [run for run, live in self._runs.items() if live.run.state is RunState.DONE]
        for run in done[: max(0, len(done) - _REMEMBERED)]:
            del self._runs[run]

    def _masked(self, request: ActionRequest) -> ActionRequest:
        mask = self.masker.text
        return replace(
            request,
            action=mask(request.action),
            parameters=self.masker.mapping(request.parameters),
            operator=mask(request.operator),
            reason=mask(request.reason),
            idempotency_key=mask(request.idempotency_key),
        )

    def _account(self) -> str:
        """The preferred account, masked, of the first feed that has it."""
        name = self._settings.active
        for feed in self._settings.feeds.values():
            if name in feed.accounts:
                return feed.accounts[name].account(name).masked
        return name
