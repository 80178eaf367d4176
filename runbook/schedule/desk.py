"""The jobs at work, without a timer: what is due goes to the runner, and operators list, run, pause and resume."""

from __future__ import annotations

import asyncio
import difflib
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from gateway.calendar import CalendarError
from gateway.clock import Clock
from gateway.model import SHANGHAI
from runbook.model import ActionRequest, Exit, Role, Trigger, Window
from runbook.runner.run import Run
from runbook.schedule.asking import RunAs, Runner, UnknownJobError
from runbook.schedule.jobs import Job, build_jobs
from runbook.schedule.misfire import Decision, decide
from runbook.schedule.rows import JobRow, job_row
from runbook.schedule.saying import reason_for
from runbook.schedule.state import FILE, JobStateStore
from runbook.schedule.timetable import due
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JobSettings

log = logging.getLogger(__name__)

OPERATOR: Final = "schedule"
_STEP_BACK: Final = timedelta(minutes=2)
"""A clock so far behind what is already decided was set back; less is left to pass by itself."""

Attended = Literal["nothing", "done", "again"]

_NOTHING_WAS_DONE: Final = (Exit.BUSY, Exit.ENVIRONMENT)
"""Refusals that pass by themselves: another action runs, or the start could not be written down (full disk)."""


class JobDesk:
    """All that the scheduler, the API and the pages do with jobs. For one event loop; files are touched in threads.

    For people: :meth:`rows` (each job with its next moment, its last one and what came of it, its pause, and in words
    what happens when it is missed; ``JobRow.as_json`` is what the API answers), :meth:`run_now`, :meth:`pause` and
    :meth:`resume`. Those three are requests to the runner and answer with its :class:`Run`: look at ``refused`` and
    ``exit_code`` (75 busy, 77 the role may not, 64 no reason in profile live, 11 not recorded). They raise
    UnknownJobError for a name that is no job, or one that is disabled.

    What the desk knows is in a file that other processes read and write as well: a pause that somebody typed holds for
    the desk of ``runbook serve`` from its next moment on, and ``runbook jobs`` shows what that desk did. Reading may
    raise JobStateError.
    """

    def __init__(
        self,
        windows: MarketWindows,
        settings: JobSettings,
        runner: Runner,
        *,
        state_dir: Path,
        clock: Clock,
        run_as: RunAs | None = None,
        jobs: Iterable[Job] | None = None,
    ) -> None:
        """``jobs`` in place of those of the settings is for whoever has jobs of their own."""
        self.windows = windows
        self.settings = settings
        self.jobs = {job.name: job for job in (build_jobs(windows, settings) if jobs is None else jobs)}
        self.store = JobStateStore(state_dir / FILE)
        self._runner = runner
        self._clock = clock
        self._run_as = run_as or RunAs()
        self._one_at_a_time = asyncio.Lock()

    def now(self) -> datetime:
        """Aware, Shanghai, to the microsecond below."""
        seconds, ns = divmod(self._clock.wall_ns(), 1_000_000_000)
        return datetime.fromtimestamp(seconds, SHANGHAI).replace(microsecond=ns // 1000)

    async def prepare(self) -> None:
        """Before anything else: new jobs begin now, disabled ones are forgotten. Warns of a calendar that ends."""
        await asyncio.to_thread(self.store.prepare, self.jobs, self.now())
        if warning := self.windows.end_warning(self.now()):
            log.warning("%s", warning)

    async def attend(self, names: Iterable[str] | None = None) -> dict[str, Attended]:
        """Decide about everything that is due, of all jobs unless named; ``again``: ask once more after ``retry_s``.

        In the order of the moments; one caller at a time. An error of one job keeps no other from its turn.
        """
        answers: dict[str, Attended] = {}
        async with self._one_at_a_time:
            decided: list[tuple[Job, Decision]] = []
            for name in self.jobs if names is None else names:
                answers[name] = "nothing"
                with self._tried_again(name, answers):
                    decided += [(self.jobs[name], found) for found in await self._decide(self.jobs[name])]
            for job, decision in sorted(decided, key=lambda pair: pair[1].occurrence.moment):
                with self._tried_again(job.name, answers):
                    answers[job.name] = await self._carry_out(job, decision)
        return answers

    # -- what operators do --------------------------------------------------------------------------------------

    async def rows(self) -> list[JobRow]:
        """All jobs with their next and last moment, in the order of a day."""
        states = await asyncio.to_thread(self.store.states)
        return [job_row(job, states.get(job.name), self.now()) for job in self.jobs.values()]

    async def run_now(
        self,
        name: str,
        *,
        operator: str,
        trigger: Trigger,
        reason: str = "",
        role: Role = Role.OPERATOR,
        idempotency_key: str = "",
    ) -> Run:
        """Ask the runner for a job's action once more, now; its planned moments stay as they are, pauses too.

        Returns as soon as it is refused (75 while another action runs) or about to begin.
        """
        job, now = self._job(name), self.now()
        key = idempotency_key or f"{name}@now:{now.isoformat()}:{secrets.token_hex(4)}"
        ahead = job_row(job, None, now).next
        window = self._window_at(now) or (ahead.window if ahead else None)
        said = reason or f"job {name}, run by hand"
        more = {"window": window, "mode": job.mode, "idempotency_key": key}
        request = self._by_hand(job.action, job.parameters, operator, trigger, said, **more)
        return await self._runner.submit(request, role=role)

    async def pause(
        self, name: str, *, operator: str, trigger: Trigger, reason: str = "", role: Role = Role.OPERATOR
    ) -> Run:
        """Its moments pass without a run until it is resumed, also after a restart. Returns when that is on record."""
        return await self._decided("job-pause", name, operator, trigger, reason, role)

    async def resume(
        self, name: str, *, operator: str, trigger: Trigger, reason: str = "", role: Role = Role.OPERATOR
    ) -> Run:
        """Go on with the next moment; what fell into the pause is not made up for. Returns when that is on record."""
        return await self._decided("job-resume", name, operator, trigger, reason, role)

    async def _decided(self, action: str, name: str, operator: str, trigger: Trigger, reason: str, role: Role) -> Run:
        job = self._job(name)
        request = self._by_hand(action, {"job": job.name}, operator, trigger, reason)
        run = await self._runner.run(request, role=role)
        if run.result is not None and run.result.ok:
            log.warning("%s of %s by %s: %s", action, name, operator, reason or "no reason given")
        return run

    def _by_hand(
        self, action: str, parameters: Mapping[str, Any], operator: str, trigger: Trigger, reason: str, **more: Any
    ) -> ActionRequest:
        return ActionRequest(
            action=action,
            parameters=parameters,
            operator=operator,
            trigger=trigger,
            reason=reason,
            profile=self._run_as.profile,
            config=self._run_as.config,
            **more,
        )

    # -- one job ------------------------------------------------------------------------------------------------

    @staticmethod
    @contextmanager
    def _tried_again(name: str, answers: dict[str, Attended]) -> Iterator[None]:
        """An error of one job must not silence the others; nothing is recorded for it, so it asks again."""
        try:
            yield
        except Exception:
            log.exception("job %s could not be attended to; it is tried again", name)
            answers[name] = "again"

    async def _decide(self, job: Job) -> list[Decision]:
        """One decision, or none."""
        now = self.now()
        state = (await asyncio.to_thread(self.store.states)).get(job.name)
        if state is None:  # the file was moved away while we run
            state = (await asyncio.to_thread(self.store.prepare, self.jobs, now))[job.name]
        if state.handled_until > now + _STEP_BACK:
            log.warning(
                "job %s is decided up to %s, but it is %s: the clock was set back; its moments come again, and those "
                "that had a run are not run twice",
                job.name,
                state.handled_until.isoformat(),
                now.isoformat(timespec="seconds"),
            )
            await asyncio.to_thread(self.store.rewind, job.name, now)
            return []
        decision = decide(due(job, state.handled_until, now), now)
        if decision is None or state.pause is None:
            return [] if decision is None else [decision]
        note = f"paused by {state.pause.by}" + (f": {state.pause.reason}" if state.pause.reason else "")
        log.warning("job %s of %s is left out, %s", job.name, decision.occurrence.moment.isoformat(), note)
        await self._record(job, decision, "paused", note=note)
        return []

    async def _carry_out(self, job: Job, decision: Decision) -> Attended:
        return await (self._run(job, decision) if decision.do == "run" else self._miss(job, decision))

    async def _run(self, job: Job, decision: Decision) -> Attended:
        late = decision.late(self.settings.on_time_s)
        text = reason_for(job, decision)
        if late:
            log.warning("%s", text)
        run = await self._runner.submit(self._request(job, decision, text, {}))
        return await self._answered(job, decision, run, "late" if late else "run", text if late else "")

    async def _miss(self, job: Job, decision: Decision) -> Attended:
        text = reason_for(job, decision)
        log.warning("%s", text)
        if job.missed_exit is None:
            await self._record(job, decision, "missed", note=text)
            return "done"
        told = {"missed": decision.occurrence.moment.isoformat()}
        run = await self._runner.submit(self._request(job, decision, text, told))
        return await self._answered(job, decision, run, "missed", text)

    async def _answered(self, job: Job, decision: Decision, run: Run, outcome: str, note: str) -> Attended:
        if run.refused and run.exit_code in _NOTHING_WAS_DONE:
            log.warning("job %s waits: %s", job.name, run.result.message if run.result else "the runner is busy")
            return "again"
        if run.refused:
            outcome, note = "refused", (run.result.message if run.result else "refused by the runner")
            log.error("job %s was refused: %s", job.name, note)
        elif run.replayed:
            outcome, note = "run", "it had its run before: the clock was set back, or the runbook died in between"
        await self._record(job, decision, outcome, run=run.id, note=note)
        return "done"

    async def _record(self, job: Job, decision: Decision, outcome: str, *, run: str = "", note: str = "") -> None:
        moment = decision.occurrence.moment
        await asyncio.to_thread(
            self.store.record, job.name, moment=moment, at=self.now(), outcome=outcome, run=run, note=note
        )

    def _request(self, job: Job, decision: Decision, reason: str, more: dict[str, str]) -> ActionRequest:
        return ActionRequest(
            action=job.action,
            parameters={**job.parameters, **more},
            operator=OPERATOR,
            trigger=Trigger.SCHEDULE,
            reason=reason,
            window=decision.occurrence.window,
            profile=self._run_as.profile,
            config=self._run_as.config,
            mode=job.mode,
            idempotency_key=decision.occurrence.key,
        )

    def _window_at(self, now: datetime) -> Window | None:
        try:
            found = [self.windows.day(now.date()), self.windows.night(now.date() - timedelta(days=1))]
            found.append(self.windows.night(now.date()))
        except CalendarError:
            return None
        return next((each.window for each in found if each and each.opens <= now < each.closes), None)

    def _job(self, name: str) -> Job:
        if name in self.jobs:
            return self.jobs[name]
        if name in self.settings.disabled:
            raise UnknownJobError(f"job {name} is disabled; take it out of schedule.disabled", job=name)
        near = difflib.get_close_matches(name, self.jobs, n=1)
        guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.jobs)}"
        raise UnknownJobError(f"there is no job {name!r}; {guess}", job=name)
