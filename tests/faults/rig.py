"""A real gateway in this process, on a real nats-server, with a consumer that has a NATS connection of its own."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from gateway import Gateway, Settings
from gateway.bus.nats import NatsBus
from gateway.client import Client
from gateway.clock import Clock, SystemClock
from gateway.model import LineState, LineStatus
from gateway.settings import BusSettings, LedgerSettings, MetricsSettings, SubscriptionSettings
from gateway.testing.nats import NatsServer
from tests.faults.front import Front
from tests.faults.market import Consumer
from tests.faults.sim_rig import SimFront
from tests.faults.source import Source
from tests.faults.witness import Witness, until

_TGKILL = 234
"""The system call, x86-64."""


class Rig:
    """What a fault is done to, and what watches. Made by :func:`running`."""

    def __init__(self, source: Source, gw: Gateway, server: NatsServer, consumer: Consumer, witness: Witness) -> None:
        self.source, self.gw, self.server, self.consumer, self.witness = source, gw, server, consumer, witness
        self.clock: SteppingClock | None = None
        self.injected_ns = 0
        """When the fault was there."""
        self.tasks: list[asyncio.Task[None]] = []
        """What faults started; ended with the rig."""

    def line(self, account: str) -> str:
        """``ctp:primary``."""
        return f"{self.source.market.feed}:{account}"

    def front(self, account: str) -> Front:
        """The front of a line."""
        return self.source.fronts[account]

    def status(self, account: str) -> LineStatus:
        """A line as the gateway sees it now."""
        return next(one for one in self.gw.lines() if one.line == self.line(account))

    def carries_all(self, account: str) -> bool:
        """Streaming, and every contract confirmed."""
        status, wanted = self.status(account), len(self.source.market.contracts)
        return status.state is LineState.STREAMING and status.confirmed == status.wanted == wanted

    def could_deliver(self, moment_ns: int) -> bool:
        """Whether any line was able to deliver a tick of that moment."""
        return any(front.ability.could_deliver(moment_ns) for front in self.source.fronts.values())

    async def aclose(self) -> None:
        """End the tasks of faults."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    # -- faults of a line's process

    def pid(self, account: str) -> int:
        """Of the line's process."""
        pid = self.gw.line_pid(self.line(account))
        if pid is None:
            raise RuntimeError(f"{self.line(account)} has no process")
        return pid

    def kill(self, account: str, how: signal.Signals) -> None:
        """A signal to the whole process; it delivers no more until it has logged in anew."""
        self.front(account).ability.impair(until_session=True)
        os.kill(self.pid(account), how)

    def go_on(self, account: str) -> None:
        """SIGCONT."""
        os.kill(self.pid(account), signal.SIGCONT)
        self.front(account).ability.repair()

    def crash_in_callback_thread(self, account: str) -> None:
        """SIGSEGV in a thread that is not the main one: the vendor's own, or in ``sim`` a real null pointer."""
        front = self.front(account)
        if isinstance(front, SimFront):
            front.crash()
            return
        front.ability.impair(until_session=True)
        pid = self.pid(account)
        vendor = max(int(name) for name in os.listdir(f"/proc/{pid}/task"))
        if vendor == pid:
            raise RuntimeError("the vendor library has no thread")
        if ctypes.CDLL(None).syscall(_TGKILL, pid, vendor, signal.SIGSEGV):
            raise OSError(f"no signal to thread {vendor}")


class SteppingClock(SystemClock):
    """A machine whose wall clock somebody sets."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self.wall_ns = lambda: time.time_ns() + self._offset_ns

    def step(self, seconds: float) -> None:
        """Set the clock."""
        self._offset_ns += round(seconds * 1e9)


def settings(source: Source, server: NatsServer, ledger: Path, **feed: Any) -> Settings:
    """As shipped, but for what keeps the test on its own ports, and more logins a minute than one fault needs."""
    return Settings(
        feeds={source.market.feed: source.feed(**feed)},
        bus=BusSettings(urls=[server.url]),
        subscriptions=SubscriptionSettings(login_per_minute=60),
        metrics=MetricsSettings(enabled=False),
        ledger=LedgerSettings(path=ledger),
    )


@asynccontextmanager
async def running(
    source: Source, ledger: Path, *, clock: Clock | None = None, before: Callable[[], Any] | None = None, **feed: Any
) -> AsyncIterator[Rig]:
    """The whole thing. ``before`` is awaited when the fronts listen and the gateway does not run yet."""
    witness = Witness()
    log = logging.getLogger("gateway")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(NatsServer())
        await stack.enter_async_context(source.running())
        consuming = NatsBus([server.url], name="consumer", queue_limit=1_000_000)
        await consuming.start()
        stack.push_async_callback(consuming.aclose)
        consumer = Consumer(Client(consuming), source.key)
        stack.push_async_callback(consumer.aclose)
        log.addHandler(witness)
        stack.callback(log.removeHandler, witness)
        await witness.read(consuming)
        stack.push_async_callback(witness.aclose)
        if before is not None:
            await before()
        gw = Gateway(settings(source, server, ledger, **feed), plugins=(*source.plugins, witness), clock=clock)
        rig = Rig(source, gw, server, consumer, witness)
        if isinstance(clock, SteppingClock):
            rig.clock = clock
        stack.push_async_callback(rig.aclose)
        rig.injected_ns = time.time_ns()
        await stack.enter_async_context(gw)
        await consumer.start()
        yield rig


async def flowing(rig: Rig, accounts: tuple[str, ...]) -> None:
    """Return when these lines carry everything and the consumer has seen every contract."""
    wanted = set(rig.source.market.contracts)
    await until(lambda: all(map(rig.carries_all, accounts)), 40, f"start of {', '.join(accounts)}")
    await until(
        lambda: all(rig.front(one).ability.able for one in accounts), 40, "the fronts' view that the lines are served"
    )
    await until(lambda: {key[0] for key in rig.consumer.seen} >= wanted, 40, "a tick of every contract")  # type: ignore[index]  # keys begin with the instrument
