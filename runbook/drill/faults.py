"""Faults that a drill may bring about at the active line, and where each of them is safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from gateway.errors import FeedgateError


class FaultRefusedError(FeedgateError):
    """A fault that is not for this place."""

    code = "fault"
    exit_code = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillFault:
    """One of them."""

    name: str
    what: str
    must_leave: bool
    """Whether the gateway has to leave the line by itself. Otherwise the drill commands the failover if it does not."""
    not_live: str = ""
    """Why it is refused on the live path; empty: it is allowed there, when the operator says so twice."""


_NO_PID: Final = (
    "a drill reaches the live gateway over NATS, and it tells nobody the processes of its lines, on purpose; "
    "use --fault restart-line, or --mock"
)
_VENDOR: Final = "nobody can make a vendor's front do that on demand; use --mock"

FAULTS: Final[Mapping[str, DrillFault]] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            DrillFault(
                name="restart-line",
                what="the active line is ended in order and started anew",
                must_leave=False,
            ),
            DrillFault(
                name="kill-line",
                what="the active line's process gets SIGKILL",
                must_leave=True,
                not_live=_NO_PID,
            ),
            DrillFault(
                name="stop-line",
                what="the active line's process gets SIGSTOP and is never continued",
                must_leave=True,
                not_live=_NO_PID,
            ),
            DrillFault(
                name="silent-front",
                what="the active line stays logged in and delivers nothing",
                must_leave=True,
                not_live=_VENDOR,
            ),
            DrillFault(
                name="dead-front",
                what="the active line's front hangs up and takes no connection",
                must_leave=True,
                not_live=_VENDOR,
            ),
        )
    }
)


class Injector(Protocol):
    """Brings faults about."""

    async def inject(self, fault: DrillFault, line: str) -> None:
        """Raises FeedgateError when it cannot."""
        ...

    async def heal(self) -> None:
        """Take back what does not end by itself. Idempotent."""
        ...


def chosen(name: str | None, *, live: bool, yes_really: bool) -> DrillFault | None:
    """The fault that was asked for. Raises FaultRefusedError with the reason."""
    if name is None:
        return None
    fault = FAULTS.get(name)
    if fault is None:
        raise FaultRefusedError(f"there is no fault {name!r}; there are: {', '.join(FAULTS)}")
    if live and fault.not_live:
        raise FaultRefusedError(f"--fault {name} is refused on the live path: {fault.not_live}")
    if live and not yes_really:
        raise FaultRefusedError(f"--fault {name} on the live path: {fault.what}; add --yes-really if you mean it")
    return fault
