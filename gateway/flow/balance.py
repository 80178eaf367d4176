"""Every stop's in, out and dropped, and the sum that must hold: *in = out + dropped + in flight*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The books of a gateway as of one moment. Ticks."""

    received: int
    """Records that vendors' callbacks handed over."""
    published: int
    """Ticks that the bus has confirmed."""
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """stop → reason → ticks. Stops: ``parse``, ``ship``, ``arbitrate``, ``publish``."""

    @property
    def total_dropped(self) -> int:
        return sum(sum(reasons.values()) for reasons in self.dropped.values())

    @property
    def in_flight(self) -> int:
        """Between the callback and the bus's confirmation. 0 when the gateway is at rest; never negative."""
        return self.received - self.published - self.total_dropped
