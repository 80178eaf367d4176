"""What one measurement offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The work for one feeder. Goes to the child processes as JSON and to the feed plugin as its options."""

    control: str
    """Path of the control block."""
    source: str = "native"
    """``native`` or ``sim``"""
    module: str = "openctp_ctp"
    """The SWIG package that the native source drives."""
    instruments: int = 100
    warm: int = 1000
    """Ticks offered before the measurement begins; at least one per instrument."""
    total: int = 100_000
    """Ticks that are measured."""
    rate: int = 0
    """Ticks a second, each with its intended time; 0 is saturation: as many as the window allows."""
    window: int = 8192
    """At saturation, ticks that may be under way at once."""
    nats: str = ""
    """``nats://127.0.0.1:port``"""
    form: str = "tick"
    """What the pipeline publishes: ``tick`` or ``batch``."""
    port: int = 0
    """First of two ports for a case that does not use NATS."""
    lines: int = 1
    """Lines that carry the same ticks, in the same order: 1 or 2."""
    place: int = 0
    """Which of the lines this feeder is: 0 or 1."""
    linger_ms: float | None = None
    """``lines.linger_ms``; None: the gateway's default."""

    @property
    def goal(self) -> int:
        """All ticks that a consumer must see."""
        return self.warm + self.total

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Load:
        """From the options of a feed."""
        return msgspec.convert(dict(options), cls)


EXCHANGE = "SHFE"
FEED = "bench"
"""The feed's name in the settings, and so in its batch subject."""
PAIR_FEED = "ctp"
PAIR_ACCOUNTS = ("primary", "backup")
"""The lines ``ctp:primary`` and ``ctp:backup`` of a hot pair."""


PAIR_LINES = frozenset(f"{PAIR_FEED}:{account}" for account in PAIR_ACCOUNTS)


def code_of(index: int) -> str:
    """The instrument codes, all of one length; the C++ feeder writes the same."""
    return f"fb{index:05d}"


def last_of(index: int) -> float:
    """The last price of the feeder's tick number ``index``, counted from 0 over all instruments."""
    return 3000.0 + index % 200
