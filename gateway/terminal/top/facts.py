"""What ``gateway top`` shows, as values: the view, the snapshot as text and the one as JSON say the same.

Times are ISO 8601 in Shanghai; ``…_ns`` are Unix nanoseconds, ``…_s`` seconds, ``…_ms`` milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

KIND: Final = "feedgate top"

STALE_S: Final = 10.0
"""What is older says so, and never keeps looking good. Source: the console's design, States."""

Verdict = Literal["good", "warning", "critical", "neutral", "stale"]
"""``neutral``: the market is closed, or there is nothing to judge. ``stale``: too old to be believed."""

State = Literal["ready", "warnings", "not_ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One figure against its thresholds."""

    name: str
    title: str
    value: float | None
    unit: str
    """``ratio`` (0 to 1), ``1/s``, ``ms``, ``contracts`` or ``messages``."""
    figure: str
    """The value as people read it."""
    verdict: Verdict
    word: str
    """The verdict in a word."""
    note: str
    age_s: float | None
    """None: never had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """One line. None: not known."""

    line: str
    account: str
    """Masked."""
    role: str
    state: str
    reason: str
    verdict: Verdict
    since: str | None
    since_ns: int | None
    rate: float | None
    """Ticks a second, over the last 5 s."""
    carried: int
    wanted: int
    first_share: float | None
    """0 to 1: of the ticks that this line or another of its feed brought first; None with one line alone."""
    dropped: int | None
    disconnects: int | None
    restarts: int
    silent: bool
    suspect: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """One exchange, or one product of it: ``wanted = carried + missing``, in contracts."""

    feed: str
    exchange: str
    product: str
    """Empty: the whole exchange."""
    wanted: int
    carried: int
    ticking: int
    quiet: int
    stalled: int
    missing: int
    ratio: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRow:
    """A failover or failback."""

    at: str
    at_ns: int
    feed: str
    kind: str
    source: str | None
    target: str | None
    trigger: str
    reason: str
    ok: bool
    error: str
    latency_ms: float | None
    """None: no tick to measure with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the answers that all this was told by."""

    name: str
    age_s: float | None
    """None: it never came."""
    stale: bool
    """Older than 10 s, or never had."""
    problem: str
    """Why the last question failed; empty: it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One snapshot. No string in it holds a control character."""

    kind: str = KIND
    at: str
    at_ns: int
    gateway: str
    version: str | None
    started: str | None
    sessions: Mapping[str, str]
    """Feed → ``day``, ``night`` or ``closed``."""
    state: State
    """``not_ready``: no answer, a feed without a line that is up, or coverage below 0.995."""
    verdict: Verdict
    says: str
    """How things are, in one sentence; what is worst, when something is wrong."""
    not_ready: tuple[str, ...]
    """Why, with the fix where there is one."""
    warnings: tuple[str, ...]
    cards: tuple[Card, ...]
    lines: tuple[LineRow, ...]
    exchanges: tuple[CoverageRow, ...]
    products: tuple[CoverageRow, ...]
    switches: tuple[SwitchRow, ...]
    """Newest first, 20 at most."""
    parts: tuple[Part, ...]
    rates: tuple[float, ...]
    """Ticks published a second, oldest first, a value a second; one alone in a snapshot that was asked for once."""
    first_share_over_s: float | None
    """Seconds that ``first_share`` is about; None: since the gateway started."""

    @property
    def exit_code(self) -> int:
        """0 ready, 1 with warnings, 2 not ready."""
        return {"ready": 0, "warnings": 1, "not_ready": 2}[self.state]

    def is_stale(self, part: str) -> bool:
        """Whether what this part told is too old."""
        return next(one.stale for one in self.parts if one.name == part)
