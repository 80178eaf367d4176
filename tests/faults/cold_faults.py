"""The preferred line is lost, and the backup is cold: logged in only when it is needed."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults import front_faults, process_faults
from tests.faults.fault import Act, Expected, Fault

LIMIT_MS = 5_000.0


def _cold(
    what: str,
    description: str,
    inject: Act,
    heal: Act | None,
    *,
    notice: Sequence[str] = process_faults.LOST,
    notice_ms: float = 1_000,
    recover_ms: float = 7_000,
    why: str,
) -> Fault:
    return Fault(
        name=f"cold backup, {what}",
        what=f"With `primary_backup_cold`: {description}",
        inject=inject,
        heal=heal,
        notice=tuple(notice),
        recovery="all",
        hot=False,
        back=("backup",),
        short_back=True,
        dwell_s=1.0,
        settings=(("router", "primary_backup_cold"),),
        expected=Expected(
            gap=True, notice_ms=notice_ms, recover_ms=recover_ms, switch_ms=LIMIT_MS, why=why
        ),
    )  # fmt: skip


FAULTS = (
    _cold(
        "old line refuses",
        "the front of the only line hangs up and refuses.",
        front_faults.refuse,
        front_faults.serve,
        why="The backup's process starts, logs in and subscribes everything: within 5 s of the last tick.",
    ),
    _cold(
        "old line silent",
        "the session stands and no tick comes any more.",
        front_faults.mute,
        None,
        notice=("event:line_silent *:primary",),
        notice_ms=4_500,
        why="Nobody to compare with: 3 s of silence and a probe that brings nothing (`watch.line_silent_s`).",
    ),
    _cold(
        "old line hung",
        "SIGSTOP to the process of the only line.",
        process_faults.stop,
        None,
        notice_ms=2_500,
        why="Lost after `lines.hung_after_s` (0.8 s) without a sign of life.",
    ),
    _cold(
        "old line crashed",
        "SIGSEGV in a callback thread of the only line.",
        process_faults.crash,
        None,
        why="End of file is a dead line.",
    ),
)
