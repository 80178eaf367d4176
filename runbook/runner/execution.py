"""One run from the request to its pushed exit code. Used by the runner alone."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final

from pydantic import BaseModel

from gateway.client import Client
from gateway.clock import Clock
from gateway.settings import Settings
from runbook.context import ActionContext
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, AuditRecord, Exit
from runbook.runner.access import Access, RefusedError, check_reason, parameters_of
from runbook.runner.acting import Outcome, act
from runbook.runner.auditing import Event
from runbook.runner.kinds import Kinds, UnknownActionError
from runbook.runner.live import LiveRun
from runbook.runner.lock import ExclusiveLock, Holder
from runbook.runner.masking import Masker
from runbook.runner.records import Records
from runbook.runner.recovery import exit_code_of
from runbook.runner.run import RunState, shanghai
from runbook.runner.waiting import to_the_end
from runbook.settings import RunbookSettings

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_TRIES: Final = 10
_HOLDER_S: Final = 0.02
"""Between two looks at who holds the lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every run of a runner shares."""

    kinds: Kinds
    settings: Settings
    runbook: RunbookSettings
    connect: Callable[[], AbstractAsyncContextManager[Client]]
    clock: Clock
    masker: Masker
    access: Access


class Execution:
    """The steps, in their order. ``runs`` are those that this process knows."""

    def __init__(self, around: Surroundings, records: Records, runs: Mapping[str, LiveRun]) -> None:
        self.stragglers: set[asyncio.Task[ActionResult]] = set()
        """Actions that did not stop although they had to."""
        self._around = around
        self._records = records
        self._runs = runs
        self._clock = around.clock
        self._accepting = asyncio.Lock()

    async def go(self, live: LiveRun) -> None:
        """From the request to the pushed exit code. Whatever happens, nothing stays held and somebody is answered."""
        try:
            try:
                async with self._accepting:
                    kind, parameters = await self._accept(live)
                if live.replays is not None:
                    return
                await self._start(live)
            except RefusedError as refused:
                await to_the_end(self._refuse(live, refused))
                return
            except asyncio.CancelledError:
                if not live.run.started:
                    never = RefusedError(Exit.ERROR, f"cancelled{_by(live)} before it began; nothing was done")
                    await to_the_end(self._refuse(live, never))
                    raise
                # cancelled while its start was written down: it has begun, so it needs an end
                text = f"cancelled{_by(live)} right after its start; nothing was done"
                result = ActionResult(exit_code=Exit.ERROR, message=text)
                await to_the_end(self._end(live, Outcome("exception", result)))
                raise
            if not live.accepted.done():
                live.accepted.set_result(None)
            outcome = await self._act(live, kind, parameters)
            await to_the_end(self._end(live, outcome))
            if outcome.raises is not None:
                raise outcome.raises
        finally:
            self._let_go(live)
            if not live.accepted.done():
                live.accepted.set_result(None)

    async def _accept(self, live: LiveRun) -> tuple[ActionKind, BaseModel]:
        """All checks, in order, and everything a run has to hold. Raises RefusedError."""
        await self._records.recover()
        request = live.request
        try:
            kind = self._around.kinds.get(request.action)
        except UnknownActionError as unknown:
            raise RefusedError(Exit.USAGE, str(unknown)) from None
        parameters = parameters_of(kind, request)
        check_reason(kind, request)
        if why := self._around.access(kind, request, live.role):
            raise RefusedError(Exit.NOT_ALLOWED, why)
        going_on = sum(other.opened is not None for other in self._runs.values())
        if going_on >= _AT_ONCE:
            raise RefusedError(Exit.BUSY, f"{going_on} actions are running; wait for one to end")
        try:
            await to_the_end(self._records.in_thread(self._hold, live, kind))
        except OSError as error:
            raise RefusedError(
                Exit.ENVIRONMENT,
                f"{kind.name}: its record cannot be written: {error.strerror or error} ({error.filename or 'state'}); "
                "nothing was done; make room or correct the permissions",
            ) from None
        if kind.exclusive and live.lock is None and live.replays is None:
            raise RefusedError(Exit.BUSY, f"busy: {await self._holder()}; wait for its end, or cancel it first")
        return kind, parameters

    def _hold(self, live: LiveRun, kind: ActionKind) -> None:
        """In a thread: the record of going on, the idempotency key, the lock."""
        live.opened = self._records.store.open(live.run)
        if live.request.idempotency_key and not self._reserve(live, kind):
            return
        if kind.exclusive:
            lock = ExclusiveLock(self._around.runbook.lock_file)
            holder = Holder(
                pid=os.getpid(),
                run=live.run.id,
                action=kind.name,
                operator=live.run.request.operator,
                since=shanghai(self._clock.wall_ns()),
            )
            if lock.acquire(holder):
                live.lock = lock

    def _reserve(self, live: LiveRun, kind: ActionKind) -> bool:
        """Whether the key is this run's; otherwise ``live.replays`` is set."""
        store, key = self._records.store, live.request.idempotency_key
        for _ in range(_TRIES):
            owner = store.reserve(kind.name, key, live.run.id)
            if owner == live.run.id:
                live.key_reserved = True
                return True
            live.replays = self._runs.get(owner) or store.get(owner)
            if live.replays is not None:
                return False
            # the first one was refused between the two looks, and its key is free now
        raise OSError(0, "the first run of this idempotency key has no readable record", owner)

    async def _start(self, live: LiveRun) -> None:
        """Into the audit before anything is done. Raises RefusedError when that is impossible."""
        now = self._clock.wall_ns()
        started = shanghai(now)
        record = self._records.maker.make("start", live.run.id, live.request, now, started_at=started)
        live.began_at = self._clock.monotonic()

        async def append() -> None:
            await self._records.append(record)
            live.change(started=started, state=RunState.RUNNING)
            opened = live.opened
            if opened is not None:
                try:
                    await self._records.in_thread(opened.write, live.run)
                except OSError as error:  # the first line of the record is enough to find it
                    log.warning("run %s: its record cannot be written: %s", live.run.id, error.strerror)

        try:
            await to_the_end(append())
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise RefusedError(
                Exit.ENVIRONMENT,
                f"{live.request.action}: its start cannot be written into the audit ({said}); nothing was done; "
                "make room on the disk or correct the permissions, then try again",
            ) from error

    async def _act(self, live: LiveRun, kind: ActionKind, parameters: BaseModel) -> Outcome:
        request = live.request
        live.tell("start", f"{kind.name} begins", {"dry_run": request.dry_run, "operator": request.operator})
        context = ActionContext(
            run=live.run.id,
            request=request,
            settings=self._around.settings,
            runbook=self._around.runbook,
            clock=self._clock,
            log_dir=self._around.runbook.log_dir,
            connect=self._around.connect,
            tell=live.tell,
        )
        outcome = await act(
            kind, context, parameters, grace_s=self._around.runbook.cancel_grace_s, masker=self._around.masker
        )
        if live.cancelled_by and outcome.raises is not None:
            told = outcome.result.message.replace(" was cancelled", f" was cancelled{_by(live)}", 1)
            outcome.result = replace(outcome.result, message=told)
        if outcome.straggler is not None:
            self._keep_straggler(outcome.straggler, live)
        return outcome

    def _keep_straggler(self, task: asyncio.Task[ActionResult], live: LiveRun) -> None:
        """An action that does not stop keeps the lock: another one beside it would be worse than waiting."""
        lock, live.lock = live.lock, None
        self.stragglers.add(task)

        def ended(task: asyncio.Task[ActionResult]) -> None:
            self.stragglers.discard(task)
            if not task.cancelled():
                task.exception()
            if lock is not None:
                lock.release()

        task.add_done_callback(ended)

    # -- ends --------------------------------------------------------------------------------------------------

    async def _refuse(self, live: LiveRun, refused: RefusedError) -> None:
        result = ActionResult(exit_code=refused.exit_code, message=self._around.masker.text(str(refused)))
        now = self._clock.wall_ns()
        if live.key_reserved:
            await self._records.quietly(
                live.run.id, self._records.store.release, live.request.action, live.request.idempotency_key, live.run.id
            )
        self._let_go(live)
        log.warning("run %s refused (%d): %s", live.run.id, result.exit_code, result.message)
        try:
            await self._records.append(
                self._records.maker.make("refused", live.run.id, live.request, now, result=result)
            )
        except Exception as error:  # noqa: BLE001 - nothing was done, and the answer says why
            log.error("run %s: its refusal cannot be recorded: %s", live.run.id, error)  # noqa: TRY400 - masked text
        live.end(result, refused=True, finished=shanghai(now))
        if not live.accepted.done():
            live.accepted.set_result(None)
        if refused.exit_code == Exit.ENVIRONMENT:
            await self._records.pusher.push(exit_code_of(live.run, result.exit_code, 0.0, now))

    async def _end(self, live: LiveRun, outcome: Outcome) -> None:
        """Into the audit, the store, the log and the Pushgateway, in this order of importance."""
        now = self._clock.wall_ns()
        took = self._clock.monotonic() - live.began_at
        result, event = outcome.result, outcome.event
        if outcome.trace:
            live.tell("traceback", outcome.trace, {})
        done = replace(live.run, state=RunState.DONE, result=result, finished=shanghai(now))
        stored = await self._records.quietly(live.run.id, self._records.store.finish, done)
        try:
            await self._records.append(self._ending(event, live, now, result))
        except Exception as error:  # noqa: BLE001 - the run ends in any case
            text = self._around.masker.text(f"{result.message}; its end cannot be written into the audit: {error}")
            result = replace(result, exit_code=result.exit_code or Exit.ERROR, message=text)
            log.error("run %s: its end cannot be recorded: %s", live.run.id, text)  # noqa: TRY400 - masked text
            stored = await self._records.quietly(live.run.id, self._records.store.finish, replace(done, result=result))
            opened, live.opened = live.opened, None
            if opened is not None:
                opened.close(forget=False)  # the next runner finds it and records its end
        if not stored and live.opened is not None:
            log.warning("run %s: a second request with its key will not find it", live.run.id)
        live.tell("end", result.message, {"exit_code": result.exit_code})
        live.journal.close()
        self._let_go(live)
        live.end(result, finished=shanghai(now))
        await self._records.pusher.push(exit_code_of(live.run, result.exit_code, took, now))

    def _ending(self, event: Event, live: LiveRun, now: int, result: ActionResult) -> AuditRecord:
        at = shanghai(now)
        return self._records.maker.make(
            event, live.run.id, live.request, now, started_at=live.run.started, finished_at=at, result=result
        )

    def _let_go(self, live: LiveRun) -> None:
        """Whatever it still holds. Idempotent."""
        lock, live.lock = live.lock, None
        opened, live.opened = live.opened, None
        if lock is not None:
            lock.release()
        if opened is not None:
            opened.close(forget=True)
        live.journal.close()

    async def _holder(self) -> str:
        lock = ExclusiveLock(self._around.runbook.lock_file)
        for _ in range(5):
            if holder := await self._records.in_thread(lock.holder):
                return str(holder)
            await asyncio.sleep(_HOLDER_S)  # taken this moment, not written yet
        return "another action (it has not said which)"


def _by(live: LiveRun) -> str:
    """For a message."""
    return f" by {live.cancelled_by}" if live.cancelled_by else ""
