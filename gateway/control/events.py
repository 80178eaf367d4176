"""Events about lines and contracts, published as JSON on ``md.event.<kind>.<feed>``.

Each carries ``type`` (its kind) and ``feed``; moments are Unix nanoseconds, durations are in the unit of their name.
Readers must ignore fields that they do not know: events may grow.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.subjects import EVENTS, token


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What all events have."""

    feed: str
    at_ns: int
    """When it was noticed."""


class LineSilent(Event, frozen=True, kw_only=True, tag="line_silent"):
    """A line that is logged in delivers nothing although its market trades."""

    line: str
    last_tick_ns: int | None
    """None: it has not ticked since it was logged in."""
    silent_s: float
    """Since its last tick, the opening of its market or its login, whichever came last."""
    threshold_s: float
    judged: Literal["probe", "other_line"]
    """A probe brought nothing; or the other line ticked on, in the same contracts."""


class LineSpeaks(Event, frozen=True, kw_only=True, tag="line_speaks"):
    """A silent line ticks again."""

    line: str
    silent_s: float


class ContractStalled(Event, frozen=True, kw_only=True, tag="contract_stalled"):
    """A contract that ticked today has stopped, while its line goes on and its market is open."""

    line: str
    instrument: str
    last_tick_ns: int
    silent_s: float
    usual_s: float
    """The silence that its own history today would have allowed."""


class ContractBack(Event, frozen=True, kw_only=True, tag="contract_back"):
    """A stalled contract ticks again."""

    line: str
    instrument: str
    silent_s: float


class ContractLatency(msgspec.Struct, frozen=True, kw_only=True):
    """One contract in a switch."""

    instrument: str
    latency_ms: float


class Switch(Event, frozen=True, kw_only=True, tag="switch"):
    """A failover or failback, done or failed. ``at_ns`` is when it was over."""

    kind: Literal["failover", "failback"]
    source: str | None
    """The line that was preferred before."""
    target: str | None
    """The line that was to be preferred; after a failure ``source`` still is."""
    reason: str
    trigger: str
    """Who or what asked:

    ``command``, ``line_lost``, ``login_refused``, ``timer``, ``watchdog``, ``required``, ``failures`` or ``router``.
    """
    started_ns: int
    finished_ns: int
    ok: bool
    error: str = ""
    """Why it failed."""
    latency_ms: float | None = None
    """Last tick of the old line → first tick of the new one. 0: the new line ticked before the old one ended. None:
    no tick to measure with (closed market, failed switch)."""
    contracts: tuple[ContractLatency, ...] = ()
    """The slowest contracts, slowest first."""
    measured: int = 0
    """Contracts that were measured; ``contracts`` may be a part of them."""


class Unplaced(Event, frozen=True, kw_only=True, tag="unplaced"):
    """Wanted contracts for which no line has room. ``count`` 0: all have a place again."""

    count: int
    instruments: tuple[str, ...]
    """Some of them."""


ControlEvent = LineSilent | LineSpeaks | ContractStalled | ContractBack | Switch | Unplaced


def event_subject(event: ControlEvent) -> str:
    """``md.event.line_silent.ctp``."""
    return f"{EVENTS}.{event.__struct_config__.tag}.{token(event.feed)}"
