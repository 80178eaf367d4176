"""The life of the supervisor's process: lock, log, socket, signals, children, and their orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.calendar import Calendar, CalendarError, load_calendar
from gateway.clock import Clock, SystemClock
from gateway.errors import FeedgateError
from gateway.settings import Settings
from runbook.model import ActionResult, Exit, Window
from runbook.runner.lock import ExclusiveLock, Holder
from runbook.runner.masking import Masker
from runbook.runner.run import shanghai
from runbook.runner.sessions import session_namer
from runbook.runner.waiting import to_the_end
from runbook.settings import RunbookSettings, secrets_of
from runbook.supervisor.bringup import Order
from runbook.supervisor.children import Spawner
from runbook.supervisor.environment import Environment
from runbook.supervisor.escalation import escalation_of
from runbook.supervisor.logfiles import LogBridge, SupervisorLog
from runbook.supervisor.operations import Operations
from runbook.supervisor.place import Place
from runbook.supervisor.probes import MeasuredHealth
from runbook.supervisor.reaping import Reaper
from runbook.supervisor.records import Records
from runbook.supervisor.server import SupervisorServer
from runbook.supervisor.site import Parts
from runbook.supervisor.systemd import Notifier
from runbook.supervisor.timers import Timers, ended
from runbook.supervisor.watching import Watch

_IDLE_S: Final = 60.0
"""A supervisor in the background that owns nothing and is asked for nothing ends after so long."""
_TURN_S: Final = 1.0


class SupervisorBusyError(FeedgateError):
    """Another one owns this state directory."""

    code = "busy"
    exit_code = Exit.BUSY


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What the process was started with."""

    config: Path | None
    env_files: tuple[Path, ...]
    nats_server: Path | None
    environment: dict[str, str] = field(repr=False)
    load: Callable[[], tuple[Settings, RunbookSettings]]
    recorded: bool = True
    """Whether what it does by itself goes into the audit and to the Pushgateway."""


async def supervise(
    settings: Settings,
    runbook: RunbookSettings,
    files: Files,
    foreground: tuple[Window | None, bool] | None,
    ready: Callable[[int, str], None],
) -> int:
    """Until told to end. ``foreground`` (window, debug): start everything now. ``ready(0, "")`` once it listens.

    Installs signal handlers: SIGTERM and SIGINT end everything in order, a second one without ceremony. Raises
    SupervisorBusyError when another supervisor owns the state directory.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        _take_lock(stack, runbook, clock)
        masker = Masker((*secrets_of(settings), *secrets_of(runbook)))
        calendar = await _calendar(settings)
        echo = _print if foreground is not None else None
        log = SupervisorLog(runbook.log_dir / "supervisor.log", clock, masker, _labels(settings, calendar, clock), echo)
        stack.callback(log.close)
        bridge = LogBridge(log, asyncio.get_running_loop())
        logging.getLogger().addHandler(bridge)
        stack.callback(logging.getLogger().removeHandler, bridge)

        def load() -> tuple[Settings, RunbookSettings]:
            fresh, fresh_runbook = files.load()
            masker.add(*secrets_of(fresh), *secrets_of(fresh_runbook))
            return fresh, fresh_runbook

        def say(event: str, text: str, fields: Mapping[str, Any], level: str) -> None:
            log.write(event, text, fields, level)
            if level == "critical":
                notifier.say(f"STATUS={text.splitlines()[0]}")

        def loaded_calendar() -> Calendar:
            return calendar or load_calendar(settings.calendar.overrides, cache=settings.calendar.cache_directory)

        notifier = Notifier(files.environment)
        timers = Timers(clock)
        spawner = Spawner(runbook.log_dir, masker)
        stack.callback(spawner.close)
        records = None
        if files.recorded:
            records = Records(settings, runbook, clock, masker, _session(calendar))
            stack.push_async_callback(asyncio.to_thread, records.close)
        environment = Environment(
            Parts(
                settings=settings,
                runbook=runbook,
                load=load,
                spawn=spawner,
                timers=timers,
                say=say,
                escalation=escalation_of(runbook, runbook.state_dir, clock, settings.profile, files.environment),
                records=records,
                health=MeasuredHealth(),
                calendar=loaded_calendar,
                config=files.config,
                env_files=files.env_files,
                environment=files.environment,
                nats_server=files.nats_server,
            )
        )
        stack.push_async_callback(environment.aclose)
        operations = Operations(environment, timers, say)
        watching = asyncio.create_task(Watch(environment.site).run(), name="watch")
        stack.push_async_callback(ended, watching)
        about = {"pid": os.getpid(), "since": shanghai(clock.wall_ns()), "log_dir": str(runbook.log_dir)}
        await stack.enter_async_context(SupervisorServer(Place(runbook.state_dir), operations, log, about))
        say("supervisor_started", f"supervisor runs as process {os.getpid()}", {}, "info")
        alone = _Alone(operations, records, clock)
        code = await _serve(alone, clock, foreground, notifier, ready)
        say("supervisor_ended", f"the supervisor ends with {code}", {"exit_code": code}, "info")
        return code


class _Alone:
    """Operations that nobody asked for through the action runner: they have their records all the same."""

    def __init__(self, operations: Operations, records: Records | None, clock: Clock) -> None:
        self.operations = operations
        self._records, self._clock = records, clock

    async def run(self, name: str, order: Order) -> ActionResult:
        """See :meth:`Operations.run`."""
        if self._records is None:
            return await self.operations.run(name, order, lambda *_: None)
        began_ns = self._clock.wall_ns()
        run = await self._records.began(name, order.window)
        result = ActionResult(exit_code=Exit.ERROR, message=f"{name} was cancelled")
        try:
            result = await self.operations.run(name, order, lambda *_: None)
        finally:
            await to_the_end(self._records.ended(run, name, order.window, began_ns, result))
        if name == "start" and result.details.get("started"):
            await self._records.push_startup(order.window, result.details["startup_s"])
        return result


async def _serve(
    alone: _Alone,
    clock: Clock,
    foreground: tuple[Window | None, bool] | None,
    notifier: Notifier,
    ready: Callable[[int, str], None],
) -> int:
    operations = alone.operations
    stop = asyncio.Event()
    hurry = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    reaper = Reaper(enabled=os.getpid() == 1)
    signalled = asyncio.create_task(stop.wait(), name="signals")
    tasks: list[asyncio.Task[Any]] = [signalled]
    try:
        ready(0, "")
        if foreground is not None:
            tasks.append(asyncio.create_task(_start(alone, foreground, notifier), name="first start"))
        while not stop.is_set() and not operations.over.done():
            waits: set[asyncio.Future[Any]] = {signalled, operations.over}
            await asyncio.wait(waits, timeout=_TURN_S, return_when=asyncio.FIRST_COMPLETED)
            reaper.look()
            if notifier.watchdog_s:
                notifier.say("WATCHDOG=1")
            idle = not operations.current and not operations.environment.running
            if foreground is None and idle and clock.monotonic() - operations.idle_since > _IDLE_S:
                return Exit.OK
        notifier.say("STOPPING=1")
        if operations.over.done():
            return operations.over.result()
        return await _end(alone, hurry)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _start(alone: _Alone, foreground: tuple[Window | None, bool], notifier: Notifier) -> None:
    window, debug = foreground
    result = await alone.run("start", Order(window=window, debug=debug))
    if alone.operations.environment.running:
        notifier.say("READY=1", f"STATUS={result.message.splitlines()[0]}")


async def _end(alone: _Alone, hurry: asyncio.Event) -> int:
    """After a signal: what runs is cancelled, everything is stopped in order, unless there is another signal."""
    operations = alone.operations
    await operations.cancel()
    if operations.over.done() and not operations.environment.running:
        return Exit.OK
    stopping = asyncio.create_task(alone.run("stop", Order()), name="stop after a signal")
    hurrying = asyncio.create_task(hurry.wait(), name="second signal")
    await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    if not stopping.done():
        for keeper in operations.environment.site.keepers:
            keeper.kill()
    return (await stopping).exit_code


def _take_lock(stack: AsyncExitStack, runbook: RunbookSettings, clock: Clock) -> None:
    lock = ExclusiveLock(Place(runbook.state_dir).lock)
    me = Holder(pid=os.getpid(), run="", action="supervisor", operator="", since=shanghai(clock.wall_ns()))
    if not lock.acquire(me):
        holder = lock.holder()
        who = f"process {holder.pid} since {holder.since}" if holder else "another process"
        raise SupervisorBusyError(f"a supervisor runs already for {runbook.state_dir} ({who}); ask it, or stop it")
    stack.callback(lock.release)


async def _calendar(settings: Settings) -> Calendar | None:
    """None when it cannot be had: the T-5 stage then says why; everything else goes on."""
    with contextlib.suppress(CalendarError):
        days = settings.calendar
        return await asyncio.to_thread(load_calendar, days.overrides, cache=days.cache_directory)
    return None


def _session(calendar: Calendar | None) -> Callable[[int], str]:
    """Names the session of a moment; ``unknown`` without a calendar."""
    return session_namer(calendar) if calendar is not None else lambda _wall_ns: "unknown"


def _labels(settings: Settings, calendar: Calendar | None, clock: Clock) -> Callable[[], dict[str, str]]:
    namer = session_namer(calendar) if calendar is not None else None
    accounts = [feed.accounts.get(settings.active) for feed in settings.feeds.values()]
    account = next((one.account(settings.active).masked for one in accounts if one is not None), settings.active)

    def labels() -> dict[str, str]:
        session = "unknown"
        if namer is not None:
            with contextlib.suppress(CalendarError):
                session = namer(clock.wall_ns())
        return {"session": session, "config": settings.active, "account": account, "active_feed": settings.active}

    return labels


def _print(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
