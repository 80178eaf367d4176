"""Faults of a line's process."""

from __future__ import annotations

import asyncio
import signal

from tests.faults.fault import Expected, Fault
from tests.faults.rig import Rig
from tests.faults.style import Style

LOST = ("state:lost *:primary",)


async def kill(rig: Rig) -> None:
    """The active line."""
    rig.kill("primary", signal.SIGKILL)


async def stop(rig: Rig) -> None:
    """As a process that swaps, or that a debugger holds."""
    rig.kill("primary", signal.SIGSTOP)


async def go_on(rig: Rig) -> None:
    """What was stopped answers again, with what piled up meanwhile."""
    rig.go_on("primary")


async def crash(rig: Rig) -> None:
    """Native code does this."""
    rig.crash_in_callback_thread("primary")


async def storm(rig: Rig) -> None:
    """Thousands of state callbacks a second."""
    await rig.front("primary").storm()


async def calm(rig: Rig) -> None:
    """The front behaves."""
    await rig.front("primary").serve()


async def kill_both(rig: Rig) -> None:
    """One after the other; no line is left, and the fronts refuse until one is let back."""
    for account in ("backup", "primary"):
        await rig.front(account).refuse()
    await asyncio.sleep(0)


async def silence_then_kill(rig: Rig) -> None:
    """The line that is left says nothing."""
    rig.front("backup").distort(Style(mute=True))
    await asyncio.sleep(0.2)
    rig.kill("primary", signal.SIGKILL)


async def speak(rig: Rig) -> None:
    """The silent one delivers again."""
    rig.front("backup").distort(Style())


async def one_back(rig: Rig) -> None:
    """Only the backup."""
    await rig.front("backup").serve()


FAULTS = (
    Fault(
        name="kill -9 of a line",
        what="SIGKILL to the process of the active line.",
        inject=kill,
        notice=LOST,
        expected=Expected(
            notice_ms=1_000,
            why="The kernel closes the process's socket, and end of file is a dead line. The other one goes on.",
        ),
    ),
    Fault(
        name="SIGSTOP of a line",
        what="SIGSTOP to the process of the active line; nobody continues it.",
        inject=stop,
        notice=LOST,
        expected=Expected(
            notice_ms=2_500,
            why="Nothing is heard for `lines.hung_after_s` (0.8 s): hung. After `lines.kill_after_s` (3 s) it is "
            "killed and started again.",
        ),
    ),
    Fault(
        name="SIGSTOP, then SIGCONT",
        what="SIGSTOP to the process of the active line, SIGCONT 1.5 s later: it delivers all at once what piled up.",
        inject=stop,
        heal=go_on,
        heals_after_s=1.5,
        notice=LOST,
        dwell_s=2.0,
        short="sim",
        expected=Expected(
            notice_ms=1_500,
            why="What piled up is old by then: copies of what the other line brought, or older, and drops.",
        ),
    ),
    Fault(
        name="crash in a callback thread",
        what="`sim`: a null pointer is read in a thread that calls back. TTS: SIGSEGV to the vendor's own thread.",
        inject=crash,
        notice=LOST,
        short="sim",
        expected=Expected(
            notice_ms=1_000, why="It ends the child process, as a vendor library's crash does, and nothing else."
        ),
    ),
    Fault(
        name="callback storm",
        what="`sim`: 2,000 state callbacks a second. TTS: the front closes every connection at once, and the vendor "
        "library tries again without a pause and calls back each time.",
        inject=storm,
        heal=calm,
        notice=("state:lost *:primary callback storm*",),
        short="sim",
        back_s=40.0,
        dwell_s=1.0,
        expected=Expected(
            notice_ms=2_000,
            why="More than `lines.storm_per_second` (100) state callbacks within a second end the process; the loop "
            "of the core never sees them one by one.",
        ),
    ),
    Fault(
        name="both lines dead, then one back",
        what="Both fronts hang up and refuse; 2 s later one of them serves again.",
        inject=kill_both,
        heal=one_back,
        heals_after_s=2.0,
        notice=("event:gap_opened",),
        recovery="all",
        back=("backup",),
        short_back=True,
        expected=Expected(
            notice_ms=1_000,
            recover_ms=12_000,
            gap=True,
            why="Nobody could deliver for a while. What was made then is counted apart (`missed`), and each of these "
            "ticks must lie in a recorded gap of its contract.",
        ),
    ),
    Fault(
        name="one line silent, the other killed",
        what="The backup's session stands without ticks; 0.2 s later the process of the active line is killed.",
        inject=silence_then_kill,
        heal=speak,
        notice=LOST,
        recovery="all",
        short="sim",
        short_back=True,
        dwell_s=6.0,
        expected=Expected(
            gap=True,
            notice_ms=1_000,
            recover_ms=10_000,
            why="A line that is logged in and silent covers nothing, also before anybody has noticed its silence. "
            "Until the killed one is back nobody delivers, and that is a gap.",
        ),
    ),
)
