"""What the machine itself does to a tick, whatever runs on it: ``python -m bench.machine``.

Two figures without which a latency from another machine says little. A **wake-up**: from a byte written on one
processor to the process on the other that read it; a tick in batches of few makes one at each of its stops. A
**pause**: a time in which a processor ran nothing of ours though there was something to run; a virtual machine has
many, and what they cost is in every p99. Both are measured before the first round and after each, with nothing else
under way. Linux only: elsewhere a process cannot say where it runs.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.child import say
from bench.processes import Child

PAUSE_NS = 50_000
"""A longer gap between two looks at the clock, which take some 0.1 µs, is a pause."""
LOOK_S = 2.0
_TOGETHER_NS = 1_500_000_000
"""The processes that look begin together, so that the start of one is not the pause of another."""
TRIPS = 4_000
_LIMIT_S = 30.0


class Pauses(msgspec.Struct, frozen=True):
    """One processor."""

    share: float
    """Of the time."""
    per_second: float
    longest_ms: float


class Machine(msgspec.Struct, frozen=True):
    """Of the processors that were looked at, the worst one."""

    wake_us: float | None
    """None with one processor."""
    paused_share: float
    pauses_per_second: float
    longest_pause_ms: float

    def __str__(self) -> str:
        wake = "" if self.wake_us is None else f"a wake-up on the other processor takes {self.wake_us:.0f} µs, "
        return (
            f"{wake}a processor stands still {self.paused_share:.1%} of the time"
            f" ({self.pauses_per_second:.0f} pauses a second, {self.longest_pause_ms:.1f} ms the longest)"
        )


def pauses(seconds: float = LOOK_S, clock: Callable[[], int] = time.perf_counter_ns) -> Pauses:
    """Look at the clock without a rest, on the processor that this process may use."""
    total = count = longest = 0
    gc.disable()
    start = before = clock()
    end = start + int(seconds * 1e9)
    while before < end:
        now = clock()
        gap = now - before
        if gap > PAUSE_NS:
            total += gap
            count += 1
            longest = max(longest, gap)
        before = now
    gc.enable()
    elapsed = before - start
    return Pauses(round(total / elapsed, 5), round(count / elapsed * 1e9, 1), round(longest / 1e6, 3))


def wake_us(here: int, there: int, trips: int = TRIPS) -> float:
    """One way, in the middle of many round trips of a byte between two processors. Forks: not with threads."""
    mine, other = socket.socketpair()
    pid = os.fork()
    if not pid:
        mine.close()
        os.sched_setaffinity(0, {there})
        while other.recv(1):
            other.send(b".")
        os._exit(0)
    other.close()
    os.sched_setaffinity(0, {here})
    taken = []
    with mine:
        for _ in range(trips):
            began = time.perf_counter_ns()
            mine.send(b".")
            mine.recv(1)
            taken.append(time.perf_counter_ns() - began)
    os.waitpid(pid, 0)
    return round(sorted(taken)[trips // 2] / 2 / 1000, 2)


def look(work: Path) -> Machine | None:
    """Both figures, in processes of their own. Raises BenchError; None where a processor cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    processors = sorted(os.sched_getaffinity(0))[:2]
    wake = None
    if len(processors) > 1:
        with_two = Child("wake", ["bench.machine", "wake", *map(str, processors)], work, {})
        try:
            wake = msgspec.json.decode(with_two.line(_LIMIT_S), type=float)
        finally:
            with_two.close()
    at = str(time.perf_counter_ns() + _TOGETHER_NS)
    lookers = [Child(f"pauses-{cpu}", ["bench.machine", "pauses", str(cpu), at], work, {}) for cpu in processors]
    try:
        found = [msgspec.json.decode(looker.line(_LIMIT_S), type=Pauses) for looker in lookers]
    finally:
        for looker in lookers:
            looker.close()
    return Machine(
        wake_us=wake,
        paused_share=max(one.share for one in found),
        pauses_per_second=max(one.per_second for one in found),
        longest_pause_ms=max(one.longest_ms for one in found),
    )


def main(arguments: list[str]) -> None:
    """Without arguments: print both. ``wake CPU CPU`` and ``pauses CPU START_NS`` are the processes that look."""
    match arguments:
        case ["wake", here, there]:
            say(msgspec.json.encode(wake_us(int(here), int(there))).decode())
        case ["pauses", cpu, start_ns]:
            os.sched_setaffinity(0, {int(cpu)})
            time.sleep(max(0, int(start_ns) - time.perf_counter_ns()) / 1e9)
            say(msgspec.json.encode(pauses()).decode())
        case _:
            with tempfile.TemporaryDirectory(prefix="feedgate-bench-") as work:
                print(look(Path(work)) or "only Linux lets a process say on which processor it runs")


if __name__ == "__main__":
    main(sys.argv[1:])
