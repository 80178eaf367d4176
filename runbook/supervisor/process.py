"""One process of a program: started, ready or not, ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.cancellation import to_the_end
from gateway.errors import FeedgateError
from runbook.supervisor.children import Child, Command, Spawn
from runbook.supervisor.restarts import RestartClass
from runbook.supervisor.timers import Timers, ended

Say = Callable[[str, str, Mapping[str, Any], str], None]
"""``say(event, text, fields, level)``: into the supervisor's log."""


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


class Process:
    """Made by :func:`spawned`; it runs until it ends or :meth:`halt` has ended it. For one event loop."""

    def __init__(self, program: Program, child: Child, timers: Timers, say: Say) -> None:
        self._program, self._child, self._timers, self._say = program, child, timers, say

    @property
    def pid(self) -> int:
        return self._child.pid

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self._child.last_words()

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        return await self._child.wait()

    def kill(self) -> None:
        """SIGKILL; whoever waits for its end goes on waiting."""
        self._child.signal(signal.SIGKILL)

    async def ready_within(self, limit_s: float) -> None:
        """Return when it serves. Raises ProcessFailed, and then it has ended; so it has after a cancellation."""
        try:
            await self._timers.within(limit_s, self._until_ready())
        except TimeoutError:
            ending = await to_the_end(self.halt())
            raise ProcessFailed(
                f"{self._program.name} was not ready within {limit_s:g} s: {self._program.unready()}; "
                f"it said:\n{ending.words}",
                exit_code=None,
                hopeless=False,
            ) from None
        except BaseException:
            await to_the_end(self.halt())
            raise

    async def _until_ready(self) -> None:
        dying = asyncio.ensure_future(self._child.wait())
        greeting = asyncio.ensure_future(self._program.ready(self._child))
        try:
            await asyncio.wait({dying, greeting}, return_when=asyncio.FIRST_COMPLETED)
            if dying.done():
                code = dying.result()
                raise ProcessFailed(
                    f"{self._program.name} ended at once ({told(code)}); it said:\n{self.last_words()}",
                    exit_code=code,
                    hopeless=code in self._program.hopeless,
                )
            try:
                greeting.result()
            except FeedgateError as error:
                raise ProcessFailed(str(error), exit_code=None, hopeless=True) from error
        finally:
            await ended(dying, greeting)
            if not greeting.cancelled():
                greeting.exception()

    async def halt(self) -> Ending:
        """End it: SIGTERM, then SIGKILL after the program's ``stop_s``."""
        forced = False
        name, child = self._program.name, self._child
        child.signal(signal.SIGTERM)
        try:
            code = await self._timers.within(self._program.stop_s, child.wait())
        except TimeoutError:
            text = f"{name} did not stop within {self._program.stop_s:g} s; killing process {child.pid}"
            self._say("process_killed", text, {"pid": child.pid}, "error")
            forced = True
            child.signal(signal.SIGKILL)
            code = await child.wait()
        self._say("process_stopped", f"{name} ended ({told(code)})", {"exit_code": code}, "info")
        return Ending(code, forced, child.last_words())


async def spawned(program: Program, spawn: Spawn, timers: Timers, say: Say) -> Process:
    """A process of the program, not ready yet. Raises ProcessFailed."""
    try:
        child = await spawn(program.command())
    except (FeedgateError, OSError) as error:
        hopeless = getattr(error, "exit_code", None) in program.hopeless
        raise ProcessFailed(f"{program.name} cannot be started: {error}", exit_code=None, hopeless=hopeless) from error
    say("process_started", f"{program.name} runs as process {child.pid}", {"pid": child.pid}, "info")
    return Process(program, child, timers, say)


def told(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
