"""Rare events of the gateway, published as JSON on ``md.event.<kind>.<feed>``.

Each carries ``type`` (its kind), ``feed`` and ``at_ns``; moments are Unix nanoseconds, durations are in the unit of
their name. ``feed`` is null in what concerns no feed: the ledger's health, whose subject is ``md.event.ledger.all``.
Readers must ignore fields and kinds that they do not know: events may grow.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.flow.arbiter import ArbiterEvent
from gateway.flow.gaps import Gap, StoreHealth
from gateway.subjects import EVENTS, token

ALL_FEEDS = "all"
"""In the subject of an event that concerns no feed. Such kinds never have a feed there, so one may be called this."""


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


class LineStateChanged(Event, frozen=True, kw_only=True, tag="line_state"):
    """A line went from one state to another."""

    line: str
    """``ctp:primary``"""
    state: str
    """A value of :class:`gateway.model.LineState`, as is ``was``."""
    was: str
    reason: str
    """In the vendor's words where it is the vendor's; may be empty."""


class _Judged(Event, frozen=True, kw_only=True):
    line: str
    """``ctp:primary``"""
    reason: str
    """``limits``, ``volume_back``, ``frozen``, ``malformed``, ``lonely`` or ``refuted``."""
    contract: str = ""
    """Where it showed, the last time; empty when it is not about one contract."""


class LineSuspect(_Judged, frozen=True, kw_only=True, tag="line_suspect"):
    """A line contradicts the others or itself: it is published only where no other line is up."""


class LineTrusted(_Judged, frozen=True, kw_only=True, tag="line_trusted"):
    """A suspect line is believed again; ``reason`` is why it was not."""


class LineWithdrawn(_Judged, frozen=True, kw_only=True, tag="line_withdrawn"):
    """One published snapshot of a line was refuted: the contract goes on behind it."""


class GapPart(msgspec.Struct, frozen=True, kw_only=True):
    """One contract's gap. The id is the one in the ledger (``gateway gaps``)."""

    id: str
    instrument: str
    start_ns: int
    end_ns: int | None
    """None while it is open, as is ``open_ns``."""
    open_ns: int | None
    """Nanoseconds between start and end without the breaks."""
    lost_volume: int | None
    """Contracts traded meanwhile; None: not known (yet)."""
    exact: bool | None
    """False: ``lost_volume`` is an upper bound. None: there is none."""


class _Gaps(Event, frozen=True, kw_only=True):
    outage_ns: int
    """When the last line was lost; with ``feed`` it names the outage. May lie before the gaps' starts."""
    session: str
    """``day`` or ``night``"""
    trading_day: int
    """``YYYYMMDD``"""
    reason: str
    """Why the last line that carried them stopped."""
    lines: dict[str, str]
    """Every line of the feed → why it does not carry them, as of the start."""
    count: int
    """Contracts in all parts of this event."""
    part: int = 1
    """From 1 to ``parts``. Each part can be used alone: it has other contracts and the same fields otherwise."""
    parts: int = 1
    gaps: tuple[GapPart, ...]
    """At most 200 contracts."""


class GapOpened(_Gaps, frozen=True, kw_only=True, tag="gap_opened"):
    """No line carries these wanted contracts any more, in session. Long outages may be told in several events."""


class GapClosed(_Gaps, frozen=True, kw_only=True, tag="gap_closed"):
    """These gaps have an end. ``lost_volume`` is there if the first tick after came already."""

    ending: str
    """``covered``, ``session over``, ``no longer wanted`` or ``feed removed``."""


class GapMeasured(_Gaps, frozen=True, kw_only=True, tag="gap_measured"):
    """The first tick of these contracts came only after their gaps were closed, and says what was lost."""

    ending: str
    """As when they were closed."""


class LedgerHealth(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ledger"):
    """The gap ledger cannot write, or can again. Ticks go on either way."""

    feed: None = None
    """It is everybody's."""
    at_ns: int
    """When it was noticed."""
    degraded: bool
    reason: str
    """What the disk or the database said; empty when it is well."""
    waiting: int
    """Rows in memory that are not on the disk."""
    lost: int
    """Rows refused since the gateway started, because too many waited."""


class PhaseChanged(Event, frozen=True, kw_only=True, tag="phase"):
    """Products with equal hours enter a phase of their session.

    ``at_ns`` is the moment by the session tables; for the first event of a product, the moment of its telling.
    """

    trading_day: int
    """``YYYYMMDD``"""
    products: tuple[str, ...]
    """Those that the feed carries: ``rb``, ``IF``."""
    was: Literal["closed", "auction", "open", "break"] | None
    """None: the first event of these products, which tells where they stand."""
    now: Literal["closed", "auction", "open", "break"]


GapsEvent = GapOpened | GapClosed | GapMeasured
JudgedEvent = LineSuspect | LineTrusted | LineWithdrawn
ControlEvent = (
    LineSilent
    | LineSpeaks
    | ContractStalled
    | ContractBack
    | Switch
    | Unplaced
    | LineStateChanged
    | JudgedEvent
    | GapsEvent
    | LedgerHealth
    | PhaseChanged
)
"""``msgspec.json.decode(payload, type=ControlEvent)`` reads any of them."""


def event_kind(event: ControlEvent) -> str:
    """``line_silent``: what ``type`` is in JSON."""
    return str(event.__struct_config__.tag)


def event_subject(event: ControlEvent) -> str:
    """``md.event.line_silent.ctp``; ``md.event.ledger.all`` for what concerns no feed."""
    return f"{EVENTS}.{event_kind(event)}.{ALL_FEEDS if event.feed is None else token(event.feed)}"


_JUDGED: dict[str, type[JudgedEvent]] = {"suspect": LineSuspect, "trusted": LineTrusted, "withdrawn": LineWithdrawn}


def judged(event: ArbiterEvent, at_ns: int) -> JudgedEvent:
    """What the arbiter said about a line. Raises KeyError for a kind that the arbiter does not have."""
    return _JUDGED[event.kind](
        feed=event.line.feed, at_ns=at_ns, line=str(event.line), reason=event.reason, contract=event.contract
    )


def ledger_health(health: StoreHealth, at_ns: int) -> LedgerHealth:
    """What the ledger says about itself."""
    return LedgerHealth(
        at_ns=at_ns, degraded=health.degraded, reason=health.reason, waiting=health.waiting, lost=health.lost
    )


def gap_part(gap: Gap) -> GapPart:
    """The fields of a ledger row that differ from contract to contract."""
    return GapPart(
        id=gap.id, instrument=gap.instrument, start_ns=gap.start_ns, end_ns=gap.end_ns, open_ns=gap.open_ns,
        lost_volume=gap.lost_volume, exact=None if gap.lost_volume is None else gap.skipped == 0,
    )  # fmt: skip
