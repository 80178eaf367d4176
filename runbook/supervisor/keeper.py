"""Keeps a process of one program: starts it, notices its end, restarts it with patience, stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable
from typing import Any

from gateway.cancellation import to_the_end
from gateway.errors import FeedgateError
from runbook.runner.run import shanghai
from runbook.supervisor.children import Spawn
from runbook.supervisor.process import Ending, Process, ProcessFailed, Program, Say, spawned, told
from runbook.supervisor.restarts import BackOff
from runbook.supervisor.timers import Timers

__all__ = ["Ending", "Keeper", "ProcessFailed", "ProcessState", "Program", "Say", "told"]


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
        self._process: Process | None = None
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
            "pid": self._process.pid if self._process else None,
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
            process = await self._launch(limit_s)
        except BaseException as error:
            self._set(ProcessState.OFF, _first_line(error) if isinstance(error, FeedgateError) else "cancelled")
            raise
        self._watch = asyncio.create_task(self._keep(process), name=f"keeper of {self.name}")

    async def stop(self) -> Ending:
        """End it: SIGTERM, then SIGKILL after ``stop_s``. Idempotent; not cut short by a cancellation."""
        await self._end_watch()
        process = self._process
        if process is None:
            self._set(ProcessState.OFF, "")
            return Ending(None, forced=False)
        self._set(ProcessState.STOPPING, "")
        ending = await to_the_end(self._halt(process))
        self._set(ProcessState.OFF, "")
        return ending

    def kill(self) -> None:
        """SIGKILL, for somebody in a hurry; whoever waits for its end goes on waiting."""
        if self._process is not None:
            self._process.kill()

    # -- inside ------------------------------------------------------------------------------------------------

    async def _launch(self, limit_s: float) -> Process:
        self._set(ProcessState.STARTING, "")
        process = self._process = await spawned(self.program, self._spawn, self._timers, self._say)
        self._back_off.started(self._timers.clock.monotonic())
        try:
            await process.ready_within(limit_s)
        except BaseException:
            self._process = None
            raise
        self._set(ProcessState.RUNNING, "")
        self._say("process_ready", f"{self.name} is ready", {"pid": process.pid}, "info")
        return process

    async def _halt(self, process: Process) -> Ending:
        ending = await process.halt()
        self._process = None
        return ending

    async def _keep(self, process: Process) -> None:
        """Until it is left alone; cancelled when somebody stops or starts it."""
        while True:
            settling = asyncio.create_task(self._settle())
            try:
                code = await process.wait()
            finally:
                settling.cancel()
                await asyncio.wait({settling})
            self._process = None
            self._say(
                "process_died",
                f"{self.name} ended by itself ({told(code)}); it said:\n{process.last_words()}",
                {"exit_code": code, "pid": process.pid},
                "critical",
            )
            hopeless = code in self.program.hopeless
            why = f"ended by itself ({told(code)}): {process.last_words().splitlines()[-1]}"
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
                    process = await self._launch(self.program.ready_s)
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
