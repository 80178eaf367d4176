"""What Prometheus scraped of a day, and whether it is what the operators' contract (§4) asks for."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.day.services import get
from tests.monitoring.panels import questions

TARGET: Final = frozenset({"gateway", "job", "instance"})
LINE: Final = frozenset({"feed", "account"})
FEED: Final = frozenset({"feed"})
RUN: Final = frozenset({"command", "window", "profile"})
WELL: Final = (
    'count(md_subscription_coverage_ratio{account!=""} == 1) == 2'
    ' and on () sum(md_line_state{state=~"logged_in|streaming"}) == 2 and on () up{job="gateway"} == 1'
    " and on () max(md_throughput_mps) >= max(md_market_open_ratio)"
)
"""Both lines of the day are logged in and carry everything; while its market is open, a tick a second and more."""
_OF_THE_CONSOLE: Final = re.compile(r"\bconsumer_backlog_messages|\bmd_api_|\bmd_console_")
"""Which a day by hand does without; these panels have their answers in tests/integration/deploy."""
Plausible = Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Series:
    """A figure as it was scraped: the machine's seconds and values, in order."""

    name: str
    labels: Mapping[str, str]
    samples: list[tuple[float, float]]

    @property
    def own(self) -> frozenset[str]:
        """The names of its labels, without those of its target."""
        return frozenset(self.labels) - TARGET


def recorded(prometheus: str) -> list[Series]:
    """Everything of this day's gateway. ``prometheus``: the server's own address, whose times are the machine's."""
    query = urllib.parse.urlencode({"query": '{gateway="day"}[3h]'})
    found: list[dict[str, Any]] = json.loads(get(f"{prometheus}/api/v1/query?{query}"))["data"]["result"]
    made = []
    for row in found:
        name = row["metric"].pop("__name__")
        made.append(Series(name, row["metric"], [(float(at), float(value)) for at, value in row["values"]]))
    return made


def answers(prometheus: str, query: str) -> bool:
    """Whether Prometheus has any series for it now."""
    return bool(latest(prometheus, query))


def latest(prometheus: str, query: str) -> set[float]:
    """The values that Prometheus has for it now."""
    found = json.loads(get(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    return {float(row["value"][1]) for row in found["data"]["result"]}


def unanswered(prometheus: str, series: Collection[Series]) -> list[str]:
    """Panels of the dashboards that stayed empty all day, without those that ask for figures of the console."""
    times = [at for one in series for at, _ in one.samples]
    span = {"start": min(times), "end": max(times), "step": "0.5"}
    found = []
    for one in questions():
        query = urllib.parse.urlencode({"query": one.expr, **span})
        answer = json.loads(get(f"{prometheus}/api/v1/query_range?{query}"))
        if not answer["data"]["result"] and not _OF_THE_CONSOLE.search(one.expr):
            found.append(f"{one.board}: {one.panel}: {one.expr}")
    return found


def some(value: float) -> bool:
    """A count, a rate, a time: never below 0."""
    return value >= 0


def switch(value: float) -> bool:
    """0 or 1."""
    return value in (0, 1)


CONTRACT: Final[Mapping[str, tuple[frozenset[str], Plausible]]] = {
    "md_throughput_mps": (LINE, lambda value: 0 <= value < 1_000),
    "md_subscription_missing_total": (LINE, lambda value: 0 <= value <= 5),
    "md_subscription_stalled_total": (LINE, lambda value: 0 <= value <= 5),
    "md_failover_latency_ms": (FEED, lambda value: 0 <= value < 5_000),
    "md_failback_latency_ms": (FEED, lambda value: 0 <= value < 5_000),
    "feed_failover_required": (FEED, switch),
    "md_market_open_ratio": (FEED, lambda value: 0 <= value <= 1),
    "md_session": (FEED | {"session"}, switch),
    "md_line_state": (LINE | {"state"}, switch),
    "md_disconnects_total": (LINE, some),
    "md_rate_limit_waits_total": (LINE, some),
    "md_queue_backlog": (frozenset({"queue"}), some),
    "md_ticks_in_total": (frozenset({"stop", "line"}), some),
    "md_ticks_dropped_total": (frozenset({"stop", "reason", "line"}), some),
    "md_tick_latency_seconds_count": (frozenset(), some),
    "md_gaps_open": (frozenset(), some),
    "md_nats_connected": (frozenset(), switch),
    "md_runbook_exit_code": (RUN, lambda value: 0 <= value <= 1 or value >= 1_000),
    "md_t5_checkpoint_status": (frozenset({"session", "profile"}), lambda value: value == 1),
    "md_session_startup_duration_s": (frozenset({"window", "profile"}), lambda value: 0 < value < 300),
}
"""Figure → its labels, and what a good day may make of it. ``consumer_backlog_messages`` is the console's, which a day
by hand does without. From 1,000 on an exit code is a probe of ``alert-smoke``."""


def wrong(series: Collection[Series]) -> list[str]:
    """What is missing, labelled otherwise or not plausible. What a health check pushes is a feed's, and left out."""
    found = []
    for name, (labels, plausible) in CONTRACT.items():
        there = [one for one in series if one.name == name and one.labels["job"] != "feed_health"]
        if not there:
            found.append(f"{name} was not scraped")
        for one in there:
            # an empty label is none to Prometheus
            if not one.own <= labels or (labels - one.own) - {"line"}:
                found.append(f"{name} has the labels {sorted(one.own)}")
            found += [f"{name} {dict(one.labels)} was {value}" for _, value in one.samples if not plausible(value)][:1]
    return [*found, *_coverage(series)]


def _coverage(series: Collection[Series]) -> list[str]:
    """From the gateway for each line, from the health check for each feed; by session."""
    of_lines = [one for one in series if one.name == "md_subscription_coverage_ratio" and "account" in one.labels]
    found = [f"coverage {dict(one.labels)}" for one in of_lines if one.own != LINE | {"session"}]
    if {one.labels["session"] for one in of_lines} != {"day", "night", "closed"}:
        found.append(f"coverage of {len(of_lines)} lines and sessions")
    return found + [f"coverage was {v}" for one in of_lines for _, v in one.samples if not 0 <= v <= 1]
