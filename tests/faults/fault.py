"""A fault as data: what is done, and what is expected of the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.faults.rig import Rig

Act = Callable[[Rig], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Bounds are generous: a busy machine must not make a row red, a forgotten timer must."""

    lost: int = 0
    """Ticks that some line could have delivered, at most."""
    told: bool = False
    """Ticks may be lost between server and consumer, if the consumer is told of each."""
    gap: bool = False
    """Whether a gap must be in the ledger; else none may."""
    notice_ms: float | None = None
    """At most. None: there is nothing to notice."""
    recover_ms: float = 2_000.0
    """At most."""
    switch_ms: float | None = None
    """The latency of a switch, at most; None: no switch is expected."""
    foreign: int = 0
    """Wrong ticks that may come out before the line is suspected."""
    why: str

    def text(self) -> str:
        """For the table."""
        parts = ["0 lost" if not self.lost else f"≤ {self.lost} lost"]
        if self.told:
            parts = ["lost only between server and consumer, told"]
        if self.foreign:
            parts.append(f"≤ {self.foreign} wrong")
        parts.append(f"noticed ≤ {self.notice_ms:,.0f}" if self.notice_ms is not None else "nothing to notice")
        parts.append(f"back ≤ {self.recover_ms:,.0f}")
        if self.switch_ms is not None:
            parts.append(f"switch < {self.switch_ms:,.0f}")
        parts.append("gap" if self.gap else "no gap")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row (per source)."""

    name: str
    what: str
    """For docs/faults.md."""
    inject: Act
    heal: Act | None = None
    """Done when the stream has recovered (or, with ``heals_after_s``, before it can)."""
    expected: Expected
    notice: tuple[str, ...] = ()
    """Patterns of :func:`tests.faults.witness.matches`."""
    recovery: Literal["first", "all"] = "first"
    """The stream is back with the first new tick, or with one of every contract."""
    early: bool = False
    """Injected before the gateway starts; the other line is waited for."""
    heals_after_s: float | None = None
    """Heal so long after the injection, because the stream cannot recover before."""
    back: tuple[str, ...] = ("primary",)
    """Accounts that must carry everything again in the end."""
    back_s: float = 15.0
    short_back: bool = False
    """Also waited for in the short form."""
    dwell_s: float = 0.5
    """How long the fault is at work at least."""
    sources: tuple[str, ...] = ("sim", "tts")
    short: str = "tts"
    """The source of the short form."""
    settings: tuple[tuple[str, Any], ...] = ()
    """More settings of the feed."""
    hot: bool = True
    """Both lines carry everything before the fault."""
    clock: bool = False
    """The gateway gets a clock that can be set."""
    core: bool = False
    """The gateway is a process of its own."""
