"""Processes, programs and a gateway that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any

from gateway.errors import FeedgateError
from gateway.testing.clock import ManualClock
from runbook.notify import Escalated
from runbook.supervisor.children import Child, Command, SpawnError
from runbook.supervisor.keeper import Keeper
from runbook.supervisor.restarts import CRITICAL, RestartClass
from runbook.supervisor.timers import Timers


class FakeChild:
    def __init__(self, pid: int, *, stubborn: bool = False, exit_on_term: int = 0) -> None:
        self.pid = pid
        self.signals: list[int] = []
        self.stubborn, self.exit_on_term = stubborn, exit_on_term
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)

    def signal(self, number: int) -> None:
        self.signals.append(number)
        if number == signal.SIGKILL:
            self.dies(-9)
        elif not self.stubborn:
            self.dies(self.exit_on_term)

    def dies(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def last_words(self) -> str:
        return f"last words of {self.pid}"


class FakeProgram:
    def __init__(self, name: str, restart: RestartClass = CRITICAL) -> None:
        self.name, self.restart = name, restart
        self.ready_s, self.stop_s = 60.0, 10.0
        self.hopeless = frozenset({11})
        self.plan: deque[str] = deque()
        """What the next starts do: ``ready``, ``never``, ``exit 7``, ``spawn``, ``refuse``; afterwards ``ready``."""
        self.children: list[FakeChild] = []
        self.stubborn = False
        self.exit_on_term = 0
        self._does = "ready"

    def command(self) -> Command:
        self._does = self.plan.popleft() if self.plan else "ready"
        return Command(argv=[self.name], env={}, log=f"{self.name}.log")

    def make(self, pid: int) -> FakeChild:
        if self._does == "spawn":
            raise SpawnError("no such program")
        child = FakeChild(pid, stubborn=self.stubborn, exit_on_term=self.exit_on_term)
        if self._does.startswith("exit"):
            child.dies(int(self._does.split()[1]))
        self.children.append(child)
        return child

    async def ready(self, _child: Child, /) -> None:
        if self._does == "refuse":
            raise FeedgateError("it will never be")
        if self._does == "deaf":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        if self._does != "ready":
            await asyncio.Event().wait()

    def unready(self) -> str:
        return "it sleeps"


class Stage:
    """Clock, programs, and everything that was said."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.timers = Timers(self.clock, self.clock.sleep)
        self.programs: dict[str, FakeProgram] = {}
        self.said: list[tuple[str, str, dict[str, Any], str]] = []
        self.troubled: list[tuple[str, int, str]] = []
        self._pids = 100

    async def spawn(self, command: Command, /) -> Child:
        self._pids += 1
        return self.programs[command.argv[0]].make(self._pids)

    def say(self, event: str, text: str, fields: Mapping[str, Any], level: str) -> None:
        self.said.append((event, text, dict(fields), level))

    def events(self) -> list[str]:
        return [event for event, *_ in self.said]

    def keeper(self, name: str = "gateway", restart: RestartClass = CRITICAL, troubled: Any = None) -> Keeper:
        program = self.programs[name] = FakeProgram(name, restart)

        def note(keeper: Keeper) -> None:
            self.troubled.append((keeper.name, keeper.failures, keeper.state.value))
            if troubled is not None:
                troubled(keeper)

        return Keeper(program, self.spawn, self.timers, self.say, note)

    async def passes(self, seconds: float, step: float = 0.25) -> None:
        """Turn the clock in small steps: each gives the tasks time to hand over to each other."""
        for _ in range(round(seconds / step)):
            await self.clock.advance(step)
            await self.clock.settle()
            await self.clock.settle()

    async def drive(self, task: asyncio.Task[Any], step: float = 0.5) -> Any:
        """Turn the clock until the task is done; threads get a moment of real time each turn."""
        for _ in range(20_000):
            if task.done():
                return task.result()
            await self.clock.advance(step)
            await asyncio.wait({task}, timeout=0.001)
        raise AssertionError(f"{task} does not end")


class FakeEscalation:
    """Counts as the real one does, and runs nothing."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.told: list[tuple[str, int]] = []
        self.texts: list[str] = []
        self.failures: dict[str, int] = {}

    async def failed(
        self, stage: str, exit_code: int, *, marker: str = "", text: str = "", told: bool = False
    ) -> Escalated:
        failures = self.failures[stage] = self.failures.get(stage, 0) + 1
        if told or failures < self.after:
            return Escalated(failures=failures)
        return await self.tell(stage, failures, exit_code, marker=marker, text=text)

    async def tell(self, stage: str, failures: int, exit_code: int, *, marker: str = "", text: str = "") -> Escalated:
        self.told.append((marker or stage, exit_code))
        self.texts.append(text)
        return Escalated(failures=failures, due=True)

    def succeeded(self, stage: str) -> None:
        self.failures.pop(stage, None)


class FakeClient:
    """A gateway with one feed of ten contracts."""

    def __init__(self) -> None:
        self.wanted = 10
        self.missing: tuple[str, ...] = ()
        self.calls: list[str] = []
        self.deaf = False
        """Unsubscribing changes nothing."""
        self.reachable: Callable[[], None] = lambda: None

    async def coverage(self) -> list[Any]:
        self.calls.append("coverage")
        return [
            SimpleNamespace(feed="sim", wanted=self.wanted, missing_count=len(self.missing), missing=list(self.missing))
        ]

    async def status(self) -> Any:
        return SimpleNamespace(lines=[])

    async def subscribe(self, *names: str) -> None:
        self.calls.append(f"subscribe {' '.join(names)}")

    async def unsubscribe(self, *patterns: str) -> None:
        self.calls.append(f"unsubscribe {' '.join(patterns)}")
        if not self.deaf:
            self.wanted = 0

    async def subscriptions(self, **_how: Any) -> Any:
        return SimpleNamespace(lines=[SimpleNamespace(line="sim:primary", wanted=self.wanted)])

    def connect(self) -> AbstractAsyncContextManager[Any]:
        @asynccontextmanager
        async def connected() -> Any:
            self.reachable()
            yield self

        return connected()
