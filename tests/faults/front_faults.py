"""Faults of a front: it refuses, is silent, talks nonsense, throws the account out."""

from __future__ import annotations

from tests.faults.fault import Expected, Fault
from tests.faults.rig import Rig
from tests.faults.style import Style

LOST = ("state:lost *:primary",)


async def refuse(rig: Rig) -> None:
    """Listener and connections closed."""
    await rig.front("primary").refuse()


async def serve(rig: Rig) -> None:
    """A good front again."""
    await rig.front("primary").serve()


async def mute(rig: Rig) -> None:
    """The session stands, the ticks end."""
    rig.front("primary").distort(Style(mute=True))


async def unmute(rig: Rig) -> None:
    """Ticks again."""
    rig.front("primary").distort(Style())


async def mute_both(rig: Rig) -> None:
    """No line says anything."""
    for account in ("primary", "backup"):
        rig.front(account).distort(Style(mute=True))


async def unmute_both(rig: Rig) -> None:
    """Ticks again."""
    for account in ("primary", "backup"):
        rig.front(account).distort(Style())


async def accept_only(rig: Rig) -> None:
    """From the start."""
    await rig.front("primary").accept_only()


async def garbage(rig: Rig) -> None:
    """Bytes that are no message."""
    await rig.front("primary").garbage()


async def refuse_login(rig: Rig) -> None:
    """From the start."""
    await rig.front("primary").refuse_logins()


async def kick_off(rig: Rig) -> None:
    """The session is closed and the next logins are refused."""
    front = rig.front("primary")
    await front.refuse_logins()
    await front.drop()


FAULTS = (
    Fault(
        name="front refused",
        what="The front of the active line closes its listener and all connections.",
        inject=refuse,
        heal=serve,
        notice=LOST,
        dwell_s=1.0,
        expected=Expected(
            notice_ms=1_000,
            why="The closed connection is told by the vendor. That the front refuses is not: the library tries again "
            "for ever without a callback, so `lines.connect_timeout_s` ends it.",
        ),
    ),
    Fault(
        name="silent front, after the login",
        what="The session of the active line stands, heartbeats are answered, and no tick comes any more.",
        inject=mute,
        heal=unmute,
        notice=("event:line_silent *:primary",),
        dwell_s=1.0,
        short_back=True,
        expected=Expected(
            notice_ms=4_500,
            why="The vendor says nothing for two minutes. The watchdog compares with the other line: not before "
            "`watch.floor_s` (2 s), and with three ticks and a second of evidence.",
        ),
    ),
    Fault(
        name="both fronts silent",
        what="The sessions of both lines stand, and no tick comes any more for 5 s.",
        inject=mute_both,
        heal=unmute_both,
        heals_after_s=5.0,
        notice=("event:gap_opened",),
        recovery="all",
        back=("primary", "backup"),
        back_s=25.0,
        short_back=True,
        expected=Expected(
            gap=True,
            notice_ms=6_000,
            recover_ms=14_000,
            why="Nobody to compare with: 3 s of silence and probes that bring nothing. The gap begins with the last "
            "tick, not with the verdict.",
        ),
    ),
    Fault(
        name="silent front, from the start",
        what="The gateway starts while the front of the preferred line accepts and never answers.",
        inject=accept_only,
        heal=serve,
        early=True,
        notice=("state:lost *:primary no *",),
        short="sim",
        back_s=25.0,
        expected=Expected(
            notice_ms=15_000,
            recover_ms=10_000,
            why="No vendor callback at all: `lines.connect_timeout_s` and `lines.login_timeout_s` (5 s each) are our "
            "own. The stream begins with the other line.",
        ),
    ),
    Fault(
        name="garbage from the front",
        what="`sim`: bytes that are no frame on the line's own channel to the core. TTS: bytes that are no message, "
        "in the session that stands and in answer to everything.",
        inject=garbage,
        heal=serve,
        notice=("state:lost *:primary",),
        dwell_s=1.0,
        back_s=25.0,
        expected=Expected(
            notice_ms=6_000,
            why="The vendor library hangs up or the core ends the line. Nothing of it can reach the stream.",
        ),
    ),
    Fault(
        name="login refused",
        what="The gateway starts while the counter refuses the login of the preferred account.",
        inject=refuse_login,
        heal=serve,
        early=True,
        notice=("state:refused *:primary",),
        short="sim",
        back_s=30.0,
        expected=Expected(
            notice_ms=10_000,
            recover_ms=10_000,
            why="The vendor's reason is shown. The next try comes 10 s later, because counters lock an account that "
            "seems to guess.",
        ),
    ),
    Fault(
        name="account kicked off",
        what="The front closes the session of the active line and refuses its login until later.",
        inject=kick_off,
        heal=serve,
        notice=LOST,
        dwell_s=1.5,
        back_s=30.0,
        expected=Expected(notice_ms=1_000, why="As a front that is closed, then as a refused login."),
    ),
)
