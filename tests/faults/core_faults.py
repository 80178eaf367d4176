"""Faults of the core and of its machine: killed, disk full, clock set."""

from __future__ import annotations

import asyncio
import time

from tests.faults.core_rig import CoreRig
from tests.faults.fault import Expected, Fault
from tests.faults.rig import Rig

_STEP_S = 3600.0
_PAGE = 4096
"""No page of the ledger fits behind the first any more; what is smaller is not hit."""


def _core(rig: Rig) -> CoreRig:
    assert isinstance(rig, CoreRig)
    return rig


async def kill_core(rig: Rig) -> None:
    """SIGKILL to `gateway run`."""
    rig.injected_ns = time.time_ns()
    await _core(rig).kill_core()


async def start_core(rig: Rig) -> None:
    """The same command, the same ledger."""
    await _core(rig).start()


async def fill_disk(rig: Rig) -> None:
    """Then both lines die, so that there is a gap to write down."""
    core = _core(rig)
    rig.injected_ns = time.time_ns()
    core.fill_disk(_PAGE)
    await asyncio.sleep(1.5)
    if rig.source.name == "tts":
        for front in rig.source.fronts.values():
            await front.drop()
    else:
        core.kill_lines()


async def fill_every_disk(rig: Rig) -> None:
    """Not a byte can be written anywhere, and both lines must be started again."""
    core = _core(rig)
    rig.injected_ns = time.time_ns()
    core.fill_disk(1)
    core.kill_lines()


async def make_room(rig: Rig) -> None:
    """The disk takes writes again."""
    _core(rig).make_room()


async def freeze_all(rig: Rig) -> None:
    """The gateway and its lines."""
    rig.injected_ns = time.time_ns()
    _core(rig).freeze(lines=True)


async def freeze_core(rig: Rig) -> None:
    """The lines go on."""
    rig.injected_ns = time.time_ns()
    _core(rig).freeze(lines=False)


async def thaw(rig: Rig) -> None:
    """All of them."""
    _core(rig).thaw()


async def set_forward(rig: Rig) -> None:
    """An hour."""
    assert rig.clock is not None
    rig.clock.step(_STEP_S)


async def set_back(rig: Rig) -> None:
    """An hour."""
    assert rig.clock is not None
    rig.clock.step(-_STEP_S)


FAULTS = (
    Fault(
        name="core killed and restarted",
        what="`gateway run` is killed with SIGKILL and started again 1 s later with the same ledger. The nats-server "
        "and the consumer's connection go on.",
        inject=kill_core,
        heal=start_core,
        heals_after_s=1.0,
        notice=("event:gap_opened * *died without an orderly stop*",),
        recovery="all",
        back=("primary", "backup"),
        back_s=40.0,
        short_back=True,
        core=True,
        short="sim",
        expected=Expected(
            gap=True,
            notice_ms=15_000,
            recover_ms=20_000,
            why="The next start finds the last sign of life in the ledger and writes the time since as a gap of every "
            "contract. The consumer sees a new epoch on the connection that it has.",
        ),
    ),
    Fault(
        name="disk full for the ledger",
        what="No file of `gateway run` may grow beyond a page (RLIMIT_FSIZE, set from outside); 1.5 s later both lines "
        "lose their connection for a moment; then there is room again.",
        inject=fill_disk,
        heal=make_room,
        notice=('event:ledger * *"degraded":true*',),
        back=("primary", "backup"),
        back_s=40.0,
        dwell_s=5.0,
        short_back=True,
        core=True,
        short="sim",
        expected=Expected(
            gap=True,
            notice_ms=4_000,
            recover_ms=2_000,
            why="Ticks do not wait for the ledger. Its rows wait in memory and are written when there is room, so the "
            "gap that fell into that time is on the disk in the end.",
        ),
    ),
    Fault(
        name="disk full for everything",
        what="No file of `gateway run` may be written at all, and the processes of both lines are killed; 4 s later "
        "there is room again.",
        inject=fill_every_disk,
        heal=make_room,
        heals_after_s=4.0,
        notice=('event:ledger * *"degraded":true*',),
        recovery="all",
        back=("primary", "backup"),
        back_s=40.0,
        short_back=True,
        core=True,
        short="sim",
        expected=Expected(
            gap=True,
            notice_ms=4_000,
            recover_ms=30_000,
            why="A line's process may not start without room. Then it is tried again; the core lives on.",
        ),
    ),
    Fault(
        name="whole machine frozen for 4 s",
        what="`gateway run` and its lines are stopped (SIGSTOP) and go on together 4 s later, as when a virtual "
        "machine is moved. The front goes on.",
        inject=freeze_all,
        heal=thaw,
        heals_after_s=4.0,
        recovery="all",
        back=("primary", "backup"),
        back_s=20.0,
        short_back=True,
        core=True,
        sources=("tts",),
        expected=Expected(
            recover_ms=6_000,
            why="Nobody in there knows that time has passed: no line may be taken for hung. What the front sent "
            "meanwhile is in the sockets and comes late, but comes.",
        ),
    ),
    Fault(
        name="core frozen for 4 s",
        what="The process of the core alone is stopped and goes on 4 s later.",
        inject=freeze_core,
        heal=thaw,
        heals_after_s=4.0,
        recovery="all",
        back=("primary", "backup"),
        back_s=20.0,
        short_back=True,
        core=True,
        short="sim",
        expected=Expected(
            recover_ms=6_000,
            why="The lines hold what they get (`lines.queue`) and are not blamed for a silence that was the core's.",
        ),
    ),
    Fault(
        name="clock set forward",
        what="The wall clock of the core jumps an hour ahead (`sim`: also that of the lines' arrival stamps).",
        inject=set_forward,
        notice=("log:* - *clock was set*",),
        dwell_s=4.0,
        clock=True,
        back=("primary", "backup"),
        short="sim",
        short_back=True,
        expected=Expected(
            notice_ms=2_000,
            why="Timers run on the monotonic clock. The ledger notes the step; the watchdog begins anew and accuses "
            "nobody.",
        ),
    ),
    Fault(
        name="clock set back",
        what="The wall clock of the core jumps back by an hour.",
        inject=set_back,
        notice=("log:* - *clock was set*",),
        dwell_s=4.0,
        clock=True,
        back=("primary", "backup"),
        short_back=True,
        expected=Expected(notice_ms=2_000, why="As above."),
    ),
)
