"""Faults of NATS. The consumer loses its connection too."""

from __future__ import annotations

import asyncio
import time

from tests.faults.fault import Expected, Fault
from tests.faults.rig import Rig

LONG_S, SHORT_S = 60.0, 3.0


async def kill_server(rig: Rig) -> None:
    """SIGKILL: sockets break, nothing is flushed."""
    rig.injected_ns = time.time_ns()
    _watch_bus(rig)
    await rig.server.kill()


async def start_server(rig: Rig) -> None:
    """On its old port."""
    await rig.server.start()


async def restart(rig: Rig) -> None:
    """In order, and at once again."""
    rig.injected_ns = time.time_ns()
    _watch_bus(rig)
    await rig.server.stop()
    await rig.server.start()


async def freeze(rig: Rig) -> None:
    """SIGSTOP: sockets stay open, nothing answers."""
    rig.injected_ns = time.time_ns()
    rig.server.suspend()


async def thaw(rig: Rig) -> None:
    """SIGCONT."""
    rig.server.resume()


def _watch_bus(rig: Rig) -> None:
    async def watch() -> None:
        while rig.gw.bus.connected:
            await asyncio.sleep(0.002)
        rig.witness.say("bus:away")

    rig.tasks.append(asyncio.create_task(watch(), name="watch the bus"))


def gone_for(seconds: float) -> Fault:
    """The server is killed and comes back so much later."""
    return Fault(
        name="NATS gone for a minute",
        what="SIGKILL to nats-server; it is started again a minute later (in the short form 3 s).",
        inject=kill_server,
        heal=start_server,
        heals_after_s=seconds,
        notice=("bus:away",),
        recovery="all",
        short_back=True,
        back=("primary", "backup"),
        expected=Expected(
            notice_ms=1_000,
            recover_ms=(seconds + 8) * 1000,
            why="Ticks wait in the gateway (`publish.held`). When the server is back the gateway gives consumers time "
            "to come back too, 2.8 s at most, because core NATS does not store, and then posts everything in order.",
        ),
    )


def faults(*, short: bool) -> tuple[Fault, ...]:
    """The minute is shorter in the short form."""
    restarted = Fault(
        name="NATS restart",
        what="nats-server is stopped and started again at once.",
        inject=restart,
        notice=("bus:away",),
        recovery="all",
        short="sim",
        short_back=True,
        back=("primary", "backup"),
        expected=Expected(
            notice_ms=2_000,
            recover_ms=8_000,
            why="As below, with a shorter absence.",
        ),
    )
    frozen = Fault(
        name="NATS hung for 2 s",
        what="SIGSTOP to nats-server, SIGCONT 2 s later.",
        inject=freeze,
        heal=thaw,
        heals_after_s=2.0,
        recovery="all",
        short="sim",
        short_back=True,
        back=("primary", "backup"),
        expected=Expected(
            recover_ms=5_000,
            why="The sockets stay open; ticks wait in the gateway's bounded store until the server reads again. No "
            "connection breaks, so the consumer misses nothing.",
        ),
    )
    return restarted, gone_for(SHORT_S if short else LONG_S), frozen
