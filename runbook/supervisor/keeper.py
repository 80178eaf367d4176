"""Keeps one process: starts it, notices its end, restarts it with patience, stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.errors import FeedgateError
from runbook.runner.run import shanghai
from runbook.runner.waiting import to_the_end
from runbook.supervisor.children import Child, Command, Spawn
from runbook.supervisor.restarts import BackOff, RestartClass
from runbook.supervisor.timers import Timers, ended

Say = Callable[[str, str, Mapping[str, Any], str], None]
"""``say(event, text, fields, level)``: into the supervisor's log."""


class ProcessState(enum.StrEnum):
    """How a process is."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It ended by itself and is started again after a pause."""
    DEGRADED = "degraded"
    """It ended by itself and is not started again by itself."""
    STOPPING = "stopping"


class ProcessFailed(FeedgateError):  # noqa: N818 - an event, told as it is
    """A process ended, or did not get ready. ``hopeless``: trying again would change nothing."""

    code = "process"

    def __init__(self, message: str, *, exit_code: int | None, hopeless: bool) -> None:
        super().__init__(message)
        self.ended_with = exit_code
        self.hopeless = hopeless


class Program(Protocol):
    """What a keeper runs."""

    name: str
    restart: RestartClass
    ready_s: float
    """It must be ready within, when it is restarted."""
    stop_s: float
    """It gets this long to stop by itself."""
    hopeless: frozenset[int]
    """Exit codes that say: do not try again as things are."""

    def command(self) -> Command:
        """What to start now. Raises FeedgateError when there is nothing to start."""
        ...

    async def ready(self, child: Child, /) -> None:
        """Return once it serves. May raise FeedgateError for what time will not mend."""
        ...

    def unready(self) -> str:
        """Why it is not ready yet, as far as is known."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended that was asked to."""

    exit_code: int | None
    """None: it did not run."""
    forced: bool
    """It had to be killed."""
    words: str = ""

    @property
    def graceful(self) -> bool:
        return not self.forced and self.exit_code in (None, 0)


class Keeper:
    """One process. For one event loop; one caller at a time may start and stop."""

    def __init__(
        self,
        program: Program,
        spawn: Spawn,
        timers: Timers,
        say: Say,
        troubled: Callable[[Keeper], None] = lambda _keeper: None,
    ) -> None:
        """``troubled`` is told after each failed restart, and when it is left alone (state DEGRADED)."""
        self.program = program
        self.state = ProcessState.OFF
        self.reason = ""
        self.restarts = 0
        """Since it was started by hand."""
        self._since_ns = timers.clock.wall_ns()
        self._spawn, self._timers, self._say, self._troubled = spawn, timers, say, troubled
        self._back_off = BackOff(program.restart)
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def failures(self) -> int:
        """In a row."""
        return self._back_off.failures

    def status(self) -> dict[str, Any]:
        """For people and pages. Holds no secret."""
        return {
            "name": self.name,
            "class": self.program.restart.name,
            "state": self.state.value,
            "pid": self._child.pid if self._child else None,
            "since": shanghai(self._since_ns),
            "restarts": self.restarts,
            "failures": self.failures,
            "reason": self.reason,
        }

    async def start(self, limit_s: float) -> None:
        """Return when it serves; nothing when it does already. Raises ProcessFailed, and then nothing of it runs."""
        if self.state is ProcessState.RUNNING:
            return
        await self._end_watch()
        self._back_off.forget()
        self.restarts = 0
        try:
            child = await self._launch(limit_s)
        except BaseException as error:
            self._set(ProcessState.OFF, _first_line(error) if isinstance(error, FeedgateError) else "cancelled")
            raise
        self._watch = asyncio.create_task(self._keep(child), name=f"keeper of {self.name}")

    async def stop(self) -> Ending:
        """End it: SIGTERM, then SIGKILL after ``stop_s``. Idempotent; not cut short by a cancellation."""
        await self._end_watch()
        child = self._child
        if child is None:
            self._set(ProcessState.OFF, "")
            return Ending(None, forced=False)
        self._set(ProcessState.STOPPING, "")
        ending = await to_the_end(self._halt(child))
        self._set(ProcessState.OFF, "")
        return ending

    def kill(self) -> None:
        """SIGKILL, for somebody in a hurry; whoever waits for its end goes on waiting."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    # -- inside ------------------------------------------------------------------------------------------------

    async def _launch(self, limit_s: float) -> Child:
        self._set(ProcessState.STARTING, "")
        try:
            command = self.program.command()
            child = await self._spawn(command)
        except (FeedgateError, OSError) as error:
            hopeless = getattr(error, "exit_code", None) in self.program.hopeless
            raise ProcessFailed(f"{self.name} cannot be started: {error}", exit_code=None, hopeless=hopeless) from error
        self._child = child
        self._back_off.started(self._timers.clock.monotonic())
        self._say("process_started", f"{self.name} runs as process {child.pid}", {"pid": child.pid}, "info")
        try:
            await self._timers.within(limit_s, self._until_ready(child))
        except TimeoutError:
            ending = await to_the_end(self._halt(child))
            raise ProcessFailed(
                f"{self.name} was not ready within {limit_s:g} s: {self.program.unready()}; it said:\n{ending.words}",
                exit_code=None,
                hopeless=False,
            ) from None
        except BaseException:
            await to_the_end(self._halt(child))
            raise
        self._set(ProcessState.RUNNING, "")
        self._say("process_ready", f"{self.name} is ready", {"pid": child.pid}, "info")
        return child

    async def _until_ready(self, child: Child) -> None:
        dying = asyncio.ensure_future(child.wait())
        greeting = asyncio.ensure_future(self.program.ready(child))
        try:
            await asyncio.wait({dying, greeting}, return_when=asyncio.FIRST_COMPLETED)
            if dying.done():
                code = dying.result()
                raise ProcessFailed(
                    f"{self.name} ended at once ({told(code)}); it said:\n{child.last_words()}",
                    exit_code=code,
                    hopeless=code in self.program.hopeless,
                )
            try:
                greeting.result()
            except FeedgateError as error:
                raise ProcessFailed(str(error), exit_code=None, hopeless=True) from error
        finally:
            await ended(dying, greeting)
            if not greeting.cancelled():
                greeting.exception()

    async def _halt(self, child: Child) -> Ending:
        forced = False
        child.signal(signal.SIGTERM)
        try:
            code = await self._timers.within(self.program.stop_s, child.wait())
        except TimeoutError:
            text = f"{self.name} did not stop within {self.program.stop_s:g} s; killing process {child.pid}"
            self._say("process_killed", text, {"pid": child.pid}, "error")
            forced = True
            child.signal(signal.SIGKILL)
            code = await child.wait()
        self._child = None
        self._say("process_stopped", f"{self.name} ended ({told(code)})", {"exit_code": code}, "info")
        return Ending(code, forced, child.last_words())

    async def _keep(self, child: Child) -> None:
        """Until it is left alone; cancelled when somebody stops or starts it."""
        while True:
            settling = asyncio.create_task(self._settle())
            try:
                code = await child.wait()
            finally:
                settling.cancel()
                await asyncio.wait({settling})
            self._child = None
            self._say(
                "process_died",
                f"{self.name} ended by itself ({told(code)}); it said:\n{child.last_words()}",
                {"exit_code": code, "pid": child.pid},
                "critical",
            )
            hopeless = code in self.program.hopeless
            why = f"ended by itself ({told(code)}): {child.last_words().splitlines()[-1]}"
            while True:
                wait = self._back_off.ended(self._timers.clock.monotonic())
                if hopeless or wait is None:
                    self._leave(why, hopeless=hopeless)
                    return
                self._set(ProcessState.WAITING, why)
                self._troubled(self)
                self._say("process_waits", f"{self.name} is started again in {wait:g} s", {"wait_s": wait}, "warning")
                await self._timers.sleep(wait)
                self.restarts += 1
                try:
                    child = await self._launch(self.program.ready_s)
                except ProcessFailed as error:
                    hopeless, why = error.hopeless, _first_line(error)
                    self._say("process_failed", str(error), {"exit_code": error.ended_with}, "critical")
                else:
                    break

    async def _settle(self) -> None:
        """After ten stable minutes the record is clean, also for those who look at it before the next failure."""
        while not self._back_off.settled(self._timers.clock.monotonic()):
            await self._timers.sleep(60.0)

    def _leave(self, why: str, *, hopeless: bool) -> None:
        again = "trying again would change nothing" if hopeless else f"{self.failures} failures in a row"
        self._set(ProcessState.DEGRADED, why)
        self._say(
            "process_degraded",
            f"DEGRADED: {self.name} stays off ({again}): {why}; mend the cause, then run `runbook start`",
            {"failures": self.failures},
            "critical",
        )
        self._troubled(self)

    async def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await to_the_end(_ended(watch))

    def _set(self, state: ProcessState, reason: str) -> None:
        if state is not self.state:
            self._since_ns = self._timers.clock.wall_ns()
        self.state, self.reason = state, reason


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1:
        return f"{lines[0]} … {lines[-1].strip()}"
    return lines[0] if lines else type(error).__name__


def told(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
