"""How carefully a line's contracts are sent, and what a disconnect right after a burst teaches."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.flow.bucket import TokenBucket
from gateway.model import Instrument

_SLOWEST: Final = 16
"""The rate never falls below this part of the policy's: slower, a universe would not be subscribed before noon."""
_STRIKES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionPolicy:
    """What a counter stands. Raises ValueError for numbers that cannot work."""

    batch_size: int = 200
    """Contracts in one call."""
    per_second: float = 2000.0
    """Contracts a second, subscribed and unsubscribed together."""
    burst: int = 400
    """Contracts that may go out at once after a quiet time."""
    per_login_limit: int | None = None
    """Contracts that one login may hold; ``None`` for no limit."""
    confirm_timeout_s: float = 5.0
    retry_initial_s: float = 1.0
    """The first back-off; each further one is twice as long."""
    retry_max_s: float = 60.0
    max_retries: int = 5
    """A contract is sent at most ``max_retries + 1`` times in one login before it fails."""
    burst_disconnect_s: float = 3.0
    """A disconnect this soon after a batch is blamed on it."""
    stable_s: float = 60.0
    """A login that lasts this long earns back half of the batch size and rate that were lost."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "burst", "per_second", "confirm_timeout_s", "retry_initial_s", "stable_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name in ("max_retries", "burst_disconnect_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if self.per_login_limit is not None and self.per_login_limit < 0:
            raise ValueError(f"per_login_limit must not be negative, not {self.per_login_limit}")

    def back_off(self, tries: int) -> float:
        """Seconds to wait after that many tries (1, 2, …)."""
        return min(self.retry_initial_s * 2.0 ** min(tries - 1, 60), self.retry_max_s)


class Batch:
    """One call to the port. ``sent_at`` is infinite while the call runs."""

    __slots__ = ("instruments", "sent_at")

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments = instruments
        self.sent_at = math.inf


class Pace:
    """Batch size, rate and suspects of one line; outlives its logins.

    A counter that cuts the line after a burst either dislikes the burst or one contract in it. So a blamed
    disconnect halves batch size, rate and burst, and makes suspects of what was just sent. Suspects go out last, in
    groups with ``burst_disconnect_s`` of silence around each, so that the next disconnect has one author;
    halving those groups ends at a single contract, which is given up after it took the line down alone twice.
    """

    def __init__(self, policy: SubscriptionPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self.bucket = TokenBucket(policy.per_second, policy.burst, clock)
        self.size = min(policy.batch_size, policy.burst)
        """Contracts in the next ordinary batch."""
        self.bisections = 0
        self.suspects: dict[Instrument, None] = {}
        self._group_size = self.size
        self._group_left = 0
        self._strikes: dict[Instrument, int] = {}
        self._recent: deque[Batch] = deque()
        self._watched: list[Batch] = []
        """Batches of the group of suspects that is being sent, or was sent and is in its silence."""
        self._relax_at = math.inf

    def limit(self, *, suspect: bool) -> int:
        """How many contracts the next batch may have."""
        return min(self._group_left or self._group_size, self.size) if suspect else self.size

    def quiet_until(self, *, suspect: bool) -> float:
        """Before this moment (monotonic) no batch of that sort may go out."""
        if suspect and self._group_left:
            return -math.inf
        before = self._watched or (self._recent if suspect else ())
        return before[-1].sent_at + self._policy.burst_disconnect_s if before else -math.inf

    def sending(self, batch: Batch, *, suspect: bool) -> None:
        """Told before each call to the port."""
        self._forget(self._clock.monotonic())
        self._recent.append(batch)
        if suspect:
            if not self._watched:
                self._group_left = self._group_size
            self._group_left = max(0, self._group_left - len(batch.instruments))
            self._watched.append(batch)

    def login(self) -> None:
        """A new login: its stable time begins."""
        self._relax_at = self._clock.monotonic() + self._policy.stable_s

    def forgive(self, instrument: Instrument) -> None:
        """Asked for anew, or no longer wanted: nothing is held against it."""
        self.suspects.pop(instrument, None)
        self._strikes.pop(instrument, None)

    def due(self) -> float:
        """When ``pass_time`` has something to do."""
        return min(self._clear_at(), self._relax_at if self._reduced else math.inf)

    def pass_time(self) -> None:
        """Clear a group that did no harm; give back speed after a stable time."""
        now = self._clock.monotonic()
        if now >= self._clear_at():
            for batch in self._watched:
                for instrument in batch.instruments:
                    self.forgive(instrument)
            self._watched, self._group_left = [], 0
            self._group_size *= 2
        if now >= self._relax_at:
            self._relax_at = now + self._policy.stable_s
            self.size = min(self.size * 2, self._policy.batch_size, self._policy.burst)
            self.bucket.rate = min(self.bucket.rate * 2, self._policy.per_second)
            self.bucket.burst = min(self.bucket.burst * 2, self._policy.burst)

    def disconnected(self) -> Instrument | None:
        """Draw the lesson of a disconnect now; returns a contract that has to be given up."""
        self._forget(self._clock.monotonic())
        careful = bool(self._watched)
        blamed = dict.fromkeys(instrument for batch in self._recent for instrument in batch.instruments)
        self._watched, self._group_left, self._recent, self._relax_at = [], 0, deque(), math.inf
        if not blamed:
            return None
        self.suspects.update(blamed)
        if len(blamed) == 1:
            return self._strike(next(iter(blamed)))
        self.bisections += 1
        self._group_size = len(blamed) // 2
        if not careful or len(blamed) > self.size:
            self.size = max(1, self.size // 2)
            self.bucket.rate = max(self.bucket.rate / 2, self._policy.per_second / _SLOWEST)
            self.bucket.burst = max(self.bucket.burst // 2, self.size)
        return None

    def _clear_at(self) -> float:
        return self._watched[-1].sent_at + self._policy.burst_disconnect_s if self._watched else math.inf

    @property
    def _reduced(self) -> bool:
        bucket, policy = self.bucket, self._policy
        whole = min(policy.batch_size, policy.burst)
        return self.size < whole or bucket.rate < policy.per_second or bucket.burst < policy.burst

    def _strike(self, instrument: Instrument) -> Instrument | None:
        self._strikes[instrument] = self._strikes.get(instrument, 0) + 1
        if self._strikes[instrument] < _STRIKES:
            return None
        self.forgive(instrument)
        return instrument

    def _forget(self, now: float) -> None:
        recent, window = self._recent, self._policy.burst_disconnect_s
        while recent and now - recent[0].sent_at >= window:
            recent.popleft()
