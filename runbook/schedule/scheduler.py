"""The timer of the jobs: APScheduler wakes them, a heartbeat notices suspends and stepped clocks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, Self

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]  # the package has no types
from apscheduler.triggers.date import DateTrigger  # type: ignore[import-untyped]  # the package has no types

from gateway.calendar import CalendarError
from gateway.clock import Clock
from gateway.model import SHANGHAI
from runbook.schedule.desk import JobDesk
from runbook.schedule.jobs import Job
from runbook.schedule.jump import JumpWatch
from runbook.schedule.timetable import next_moment
from runbook.schedule.trigger import CalendarTrigger

log = logging.getLogger(__name__)

_LAST_WORDS_S: Final = 10.0
_RETRY: Final = ":retry"
_DAY_S: Final = 86400.0


class JobScheduler:
    """Runs a desk's jobs in time, from ``start`` to ``aclose``, on one event loop.

    APScheduler only wakes a job up: what is due is decided from the calendar and from what was decided before, so
    neither a lost nor a doubled wake-up can lose or double a run. It reads the machine's clock itself; ``clock`` is
    for the heartbeat, which after a suspend or a step plans all jobs anew and attends to what passed meanwhile.
    """

    def __init__(self, desk: JobDesk, *, clock: Clock) -> None:
        self.desk = desk
        self._clock = clock
        self._timer = AsyncIOScheduler(timezone=SHANGHAI)
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        self._warned_at = clock.monotonic()

    async def start(self) -> None:
        """Catch up with what was missed while nobody was here (by the misfire rules), then go on by the calendar."""
        if self._task is not None or self._closing:
            raise RuntimeError("a job scheduler is started once; make another one")
        if not self.desk.settings.enabled:
            log.warning("jobs are switched off (schedule.enabled = false); nothing runs by itself")
            return
        await self.desk.prepare()
        self._timer.start()
        self._plan()
        self._due.update(self.desk.jobs)
        self._wake.set()
        self._task = asyncio.create_task(self._work(JumpWatch(self._clock)), name="job scheduler")

    async def aclose(self) -> None:
        """Stop. What is being handed to the runner gets 10 s; what the runner runs is the runner's. Idempotent."""
        self._closing = True
        self._wake.set()
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait({task}, timeout=_LAST_WORDS_S)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._timer.running:
            self._timer.shutdown(wait=False)
            await asyncio.sleep(0)  # its shutdown runs on the loop's next turn

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- the timer ----------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        for job in self.desk.jobs.values():
            self._timer.add_job(
                self._fire,
                CalendarTrigger(partial(self._after, job)),
                args=(job.name,),
                id=job.name,
                name=job.title,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
                replace_existing=True,
            )

    def _after(self, job: Job, after: datetime) -> datetime | None:
        """For the trigger: never raises; says once why a job has no further moment."""
        try:
            return next_moment(job, after)
        except CalendarError as error:
            if job.name not in self._told:
                self._told.add(job.name)
                log.error("job %s has no further moment: %s; then restart the runbook", job.name, error)  # noqa: TRY400 - the message says it all
            return None

    async def _fire(self, name: str) -> None:
        self._due.add(name)
        self._wake.set()

    # -- the work -----------------------------------------------------------------------------------------------

    async def _work(self, watch: JumpWatch) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.desk.settings.heartbeat_s):
                    await self._wake.wait()
            self._wake.clear()
            if self._closing:
                return
            if jump := watch.look():
                self._jumped(jump)
            self._warn_daily()
            names, self._due = [name for name in self.desk.jobs if name in self._due], set()
            answers = await self.desk.attend(names)
            for name, answer in answers.items():
                if answer == "again":
                    self._again(name)

    def _jumped(self, seconds: float) -> None:
        what = "forward, or the machine was suspended" if seconds > 0 else "back"
        log.warning("the clock went %.0f s %s; all jobs are planned anew", abs(seconds), what)
        self._plan()
        self._due.update(self.desk.jobs)

    def _again(self, name: str) -> None:
        at = self.desk.now() + timedelta(seconds=self.desk.settings.retry_s)
        self._timer.add_job(
            self._fire,
            DateTrigger(at, SHANGHAI),
            args=(name,),
            id=name + _RETRY,
            misfire_grace_time=None,
            replace_existing=True,
        )

    def _warn_daily(self) -> None:
        now = self._clock.monotonic()
        if now - self._warned_at < _DAY_S:
            return
        self._warned_at = now
        if warning := self.desk.windows.end_warning(self.desk.now()):
            log.warning("%s", warning)
