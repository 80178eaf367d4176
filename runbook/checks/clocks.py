"""The machine's clock: what the kernel thinks of it, and how far it is from the clocks of servers that we use."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.checks.reach import get

FAR_S: Final = 2.0
"""Beside the one second that a server's ``Date`` is cut to."""
_CUT_S: Final = 1.0
_UNSYNCHRONISED: Final = 0x0040
_WIDE_S: Final = 0.5
_FIX: Final = "timedatectl set-ntp true, or start chronyd; then: chronyc tracking"


class _Timeval(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


class _Timex(ctypes.Structure):
    """``struct timex``; man 2 adjtimex. Only its beginning is read; the end is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the kernel keeps of the discipline of its clock."""

    synchronised: bool
    """By its own flag, which chronyd sets only with ``rtcsync``."""
    largest_error_s: float


def kernel_clock() -> Kernel | None:
    """Reads, sets nothing; None where the system does not say (not Linux, or forbidden)."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError):
        return None
    found = _Timex()
    if adjtimex(ctypes.byref(found)) < 0:
        return None
    return Kernel(not found.status & _UNSYNCHRONISED, found.maxerror / 1e6)


def check(inspection: Inspection) -> Sequence[Finding]:
    """Says what was measured, and what not: no time server is asked."""
    return [_kernel(kernel_clock()), *_servers(inspection)]


def _kernel(found: Kernel | None) -> Finding:
    if found is None:
        return Finding.info("the kernel does not say whether its clock is kept right; that was not measured")
    if not found.synchronised:
        what = (
            "the kernel does not know of anything that keeps its clock right (chronyd without rtcsync does not tell it)"
        )
        return Finding.warning(what, _FIX)
    if found.largest_error_s > _WIDE_S:
        return Finding.warning(
            f"the kernel's clock may be off by {found.largest_error_s:.1f} s, by its own account", _FIX
        )
    return Finding.ok(f"the kernel's clock is kept right, off by {found.largest_error_s * 1e3:.0f} ms at most, it says")


def _servers(inspection: Inspection) -> Iterator[Finding]:
    servers = list(_dated(inspection))
    if not servers:
        yield Finding.info(
            "no server was compared with: set PUSHGATEWAY_URL, OPS_PROMETHEUS_URL or VAULT_ADDR for that"
        )
    for what, url in servers:
        before_s = inspection.clock.wall_ns() / 1e9
        answer = get(url, "/", inspection.timeout_s)
        after_s = inspection.clock.wall_ns() / 1e9
        if answer.date is None:
            yield Finding.info(f"{what} at {url} did not say its time; it was not compared with")
            continue
        yield _compared(inspection, f"{what} at {url}", answer.date.timestamp(), before_s, after_s)


def _compared(inspection: Inspection, who: str, server_s: float, before_s: float, after_s: float) -> Finding:
    """The server's clock was in ``[server_s, server_s + 1)`` at some moment between ours."""
    ahead_s = before_s - (server_s + _CUT_S)
    behind_s = server_s - after_s
    off_s = max(ahead_s, behind_s, 0.0)
    if off_s > FAR_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        return inspection.lacking(f"this clock is {off_s:.0f} s or more {way} that of {who}", _FIX)
    return Finding.ok(f"this clock agrees with that of {who}, to the {_CUT_S + FAR_S:.0f} s that can be told")


def _dated(inspection: Inspection) -> Iterator[tuple[str, str]]:
    settings = inspection.runbook_settings
    if settings is None:
        return
    for what, url in (
        ("the Pushgateway", settings.metrics.pushgateway_url),
        ("Prometheus", settings.metrics.prometheus_url),
        ("Vault", settings.vault.addr),
    ):
        if url is not None:
            yield what, url


CHECK = Check(name="clock", title="Clock offset", run=check)
