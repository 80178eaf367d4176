"""Runs in a child process that is killed or whose disk is full: writes gaps, and says what is safe."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from gateway.clock import SystemClock
from gateway.flow.gaps import OPENED, Gap, GapEvent, Mark
from gateway.flow.gapstore import GapStore
from gateway.model import Instrument

RB = Instrument("SHFE", "rb2510")


def gap(number: int) -> Gap:
    return Gap(
        id=f"1-{number}",
        feed="ctp",
        instrument=str(RB),
        trading_day=20250829,
        session="day",
        outage_ns=number,
        start_ns=number,
        reason="lost " * 20,
    )


def opened(number: int) -> GapEvent:
    return GapEvent(OPENED, number, gap(number))


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def write_for_ever(path: Path) -> None:
    """Prints the number of the last gap that is certainly on the disk."""
    store = GapStore(path, clock=SystemClock())
    await store.start()
    wanted, number = {"ctp": frozenset([RB])}, 0
    while True:
        for _ in range(500):
            number += 1
            store.put(opened(number))
        store.mark(Mark(number, wanted))
        await store.flushed()
        say(number)


async def meet_a_full_disk(path: Path) -> None:
    """No file may grow beyond 200 kB, as on a full disk; then there is room again."""
    store = GapStore(path, clock=SystemClock(), limit=3000, retry_s=0.02)
    await store.start()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    for number in range(1, 5001):
        store.put(opened(number))
    while store.health.failures < 3:
        await asyncio.sleep(0.01)
    health = store.health
    say(f"degraded={health.degraded} bounded={health.waiting <= 3000} lost={health.lost} reason={health.reason}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.flushed()
    health = store.health
    say(f"degraded={health.degraded} waiting={health.waiting} complete={health.written + health.lost == 5000}")
    await store.aclose()


if __name__ == "__main__":
    asyncio.run({"write": write_for_ever, "full": meet_a_full_disk}[sys.argv[1]](Path(sys.argv[2])))
