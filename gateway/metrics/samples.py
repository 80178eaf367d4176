"""What is published at one scrape: plain values, taken by whoever knows the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.latency import LatencyHistogram
from gateway.model import LineState


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSample:
    """One line as of now. Counters begin with the gateway and never go back, also when the line restarts."""

    feed: str
    account: str
    """The account's name (``primary``), never its user id."""
    state: LineState
    session: Literal["day", "night", "closed"]
    throughput: float
    """Ticks a second, over the last seconds."""
    received: int
    """Ticks that reached the core from this line."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Records that could not be ticks, by reason."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Records and ticks lost between callback and core, by reason."""
    restarts: int = 0
    disconnects: int = 0
    wanted: int = 0
    pending: int = 0
    confirmed: int = 0
    failed: int = 0
    rate_limit_waits: int = 0
    retries: int = 0
    first: int = 0
    """Ticks that this line brought first while at least two lines were up."""
    silent: bool = False
    """The watchdog's verdict: logged in, in session, and nothing comes."""
    suspect: bool = False
    """The arbiter does not believe it."""
    active: bool = False
    """The feed's source now, by its router."""
    stalled: int = 0
    """Contracts that ticked today and have stopped. Of lines with the same contracts one tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSample:
    """One feed as of now."""

    feed: str
    session: Literal["day", "night", "closed"]
    open_share: float = 0.0
    """How many of the wanted contracts are in continuous trading, 0 to 1."""
    switches: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """``(failover | failback, ok | failed)`` → how many."""
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    """``failover``, ``failback`` → the last one that was measured: last tick of the old line → first of the new."""
    required: bool = False
    """A failover is asked for and has not happened yet."""
    unplaced: int = 0
    """Wanted contracts that no line has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSample:
    """The gap ledger as of now."""

    open_gaps: int = 0
    degraded: bool = False
    waiting: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSample:
    """One stop of the core, for one line or (``line`` empty) for all. ``entered == left + dropped + held`` in it."""

    stop: str
    """``arbitrate``, ``publish`` …; ``parse`` and ``ship`` come from the lines."""
    line: str = ""
    entered: int
    left: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySample:
    """Everything that is published at one scrape."""

    epoch: int
    """Start of the gateway, Unix milliseconds."""
    lines: Sequence[LineSample] = ()
    stops: Sequence[StopSample] = ()
    held: int = 0
    """Messages that wait for the bus."""
    bus_connected: bool = True
    bus_reconnects: int = 0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    """Callback to publish; read at once, so a live one may be given."""
    feeds: Sequence[FeedSample] = ()
    ledger: LedgerSample = field(default_factory=LedgerSample)
    events_published: int = 0
    events_dropped: int = 0


class MetricsView(Protocol):
    """What the gateway shows to its metrics."""

    def sample(self) -> GatewaySample:
        """Called on the event loop, once per scrape; must be quick."""
