"""Settings of what watches over the lines: failover, watchdog, session calendar, gap ledger.

The figures come from the operators' contract (§3, §4, §8) unless a description says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import time
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.settings.fields import FilePath, Rate, Seconds
from gateway.settings.process import cache_home
from gateway.settings.section import Section

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _span(text: str) -> str:
    found = _SPAN.fullmatch(text)
    if not found or text[:5] >= text[6:]:
        raise ValueError("is not a span of the day; write HH:MM-HH:MM in Shanghai time, for example 15:40-16:00")
    return text


Span = Annotated[str, AfterValidator(_span)]
"""``15:40-16:00``, Shanghai, within one day."""


def span_of(text: str) -> tuple[time, time]:
    """Begin and end of a :data:`Span`."""
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


class FailoverSettings(Section):
    """When the preferred line is left for another, and how long the other one has to prove itself."""

    cooldown_s: Seconds = Field(
        default=10.0, description="After a switch no automatic one for so long; a command does not wait"
    )
    failures_window_s: Seconds = Field(
        default=600.0, description="More than 3 failures of a line within ask for a failover, even while it is up"
    )
    up_s: Seconds = Field(default=10.0, description="The new line must be logged in within")
    confirm_s: Seconds = Field(default=5.0, description="Its first subscription must be confirmed within")
    tick_s: Seconds = Field(default=5.0, description="Its first tick must come within, while a market is open")
    settle_s: Seconds = Field(
        default=30.0,
        description="An old line that still delivers is kept until the new one has confirmed as much, at most",
    )
    collect_s: Seconds = Field(default=1.0, description="Wait for first ticks of more contracts, to measure them")
    closed_grace_s: Seconds = Field(
        default=15.0,
        description="A line lost while no market is open has so long to come back before it counts as failed",
    )
    planned: list[Span] = Field(
        default_factory=lambda: ["15:40-16:00", "19:45-20:20"],
        description="Spans in which fronts hang up as planned, HH:MM-HH:MM in Shanghai; while no market is open",
    )


class WatchSettings(Section):
    """When silence is not the market's."""

    line_silent_s: Seconds = Field(
        default=3.0, description="A whole line silent for so long in session is judged, at first"
    )
    floor_s: Seconds = Field(default=2.0, description="However busy the market is, so much silence is allowed")
    bound_s: Seconds = Field(
        default=60.0,
        description="However calm the market is, no more silence of a line is allowed; of a contract never less",
    )
    times: Rate = Field(
        default=3.0,
        description="The longest pause of the running session, times this, is allowed",
        json_schema_extra={"unit": ""},
    )
    probe_s: Seconds = Field(default=1.0, description="A silent line has so long to answer a probe")
    restart_s: Seconds = Field(default=60.0, description="A line judged silent is logged in anew, at most this often")

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        yield from cls.ordered(given, "floor_s", "line_silent_s")
        yield from cls.ordered(given, "line_silent_s", "bound_s")


class CalendarSettings(Section):
    """The trading calendar."""

    overrides: FilePath | None = Field(
        default=None, description="TOML file that corrects trading days, nights and product hours; docs/sessions.md"
    )
    cache: FilePath | None = Field(
        default=None,
        description="Directory where computed trading days are kept, so that later starts need no pandas; "
        "unset: feedgate in the user's cache directory; /dev/null: kept nowhere",
    )

    @property
    def cache_directory(self) -> Path | None:
        """``cache``, or what the platform says; None when it says nothing. Reads the environment."""
        return self.cache if self.cache is not None else cache_home()


class LedgerSettings(Section):
    """The gap ledger."""

    path: FilePath | None = Field(
        default=None, description="SQLite file of the gap ledger; unset: a temporary one that ends with the gateway"
    )
