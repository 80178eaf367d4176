"""What the endpoint ``figures`` says: rates, latencies and states in numbers, cheap enough to ask each second."""

from __future__ import annotations

import msgspec

from gateway.model import LineState


class LineFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One line as of now. Totals begin with the gateway and never go back, also when the line restarts."""

    line: str
    """``ctp:primary``"""
    feed: str
    state: LineState
    rate: float
    """Ticks a second delivered, over the last 5 s."""
    received: int
    """Ticks that reached the core."""
    first: int
    """Ticks that this line brought before the others, while at least two were up."""
    dropped: int
    """Ticks lost between callback and core, and records that could not be ticks."""
    restarts: int
    disconnects: int
    rate_limit_waits: int
    wanted: int
    confirmed: int
    failed: int
    stalled: int
    silent: bool
    """The watchdog's verdict: logged in, in session, and nothing comes."""
    suspect: bool
    """The arbiter does not believe it."""


class FeedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One feed as of now."""

    feed: str
    session: str
    """``day``, ``night`` or ``closed``"""
    failover_ms: float | None = None
    """The last failover that was measured: last tick of the old line → first of the new one, from tick times."""
    failback_ms: float | None = None
    unplaced: int = 0
    """Wanted contracts that no line has room for."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway in numbers. The request has no fields."""

    at_ns: int
    """Unix nanoseconds of this answer."""
    epoch: int
    """Start of the gateway, Unix milliseconds."""
    published: int
    """Ticks posted to the bus since the start."""
    published_rate: float
    """A second, over the last 5 s."""
    received_rate: float
    """Of all lines together, a second, over the last 5 s."""
    p50_ms: float | None
    """Callback to post, of the ticks of the last 5 s; null when there was none. At most 12.5 % too high."""
    p99_ms: float | None
    held: int
    """Messages that wait for the bus."""
    bus_connected: bool
    bus_reconnects: int
    lines: list[LineFigures]
    feeds: list[FeedFigures]
