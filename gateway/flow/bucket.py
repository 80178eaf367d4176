"""A token bucket: so many a second, and a stated burst on top."""

from __future__ import annotations

from typing import Final

from gateway.clock import Clock

_SLACK: Final = 1e-6
"""Tokens forgiven, so that rounding never asks for a wait too short to be slept."""


class TokenBucket:
    """Never lets more than ``burst + rate × t`` tokens through in any ``t`` seconds.

    It does not wait itself: the caller asks how long, sleeps, and asks again. Event loop only.
    """

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a token bucket needs a rate > 0 and a burst >= 1, not {rate} and {burst}")
        self.burst = burst
        self._rate = rate
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock.monotonic()

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._fill()
        self._rate = rate

    def delay(self, count: int) -> float:
        """Seconds until ``count`` tokens are there, 0.0 for now. ValueError when they never will be."""
        if count > self.burst:
            raise ValueError(f"{count} tokens never fit a burst of {self.burst}")
        self._fill()
        missing = count - self._tokens
        return missing / self._rate if missing > _SLACK else 0.0

    def take(self, count: int) -> None:
        """Take tokens that ``delay`` said are there."""
        self._fill()
        if count - self._tokens > _SLACK:
            raise ValueError(f"{count} tokens asked for, {self._tokens:.3f} there; wait for delay() first")
        self._tokens -= count

    def _fill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(float(self.burst), self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
