"""The cards of Overview: the API's figures and verdicts, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from runbook.web.api.metrics import Metric, metrics_of
from runbook.web.console import Console
from runbook.web.observed import Observed
from runbook.web.pages import showing
from runbook.web.pages.language import Words
from runbook.web.verdicts import Verdict

_ORDER: Final = ("coverage", "throughput", "p99", "failover_latency", "backlog", "gap_today")
"""As in the console's design."""
_LINKS: Final = {"coverage": "/subscriptions", "backlog": "/subscriptions", "gap_today": "/gaps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One figure against its thresholds."""

    name: str
    """``card-NAME`` is its id on the page."""
    title: str
    figure: str
    verdict: Verdict
    word: str
    """The verdict in words."""
    note: str
    link: str
    """Page with more about it."""


def cards(console: Console, t: Words) -> list[Card]:
    """As of the last look."""
    now_ns = console.runbook.clock.wall_ns()
    metrics = {one.name: one for one in metrics_of(console, now_ns)}
    return [_card(metrics[name], metrics, console.observatory.latest, t) for name in _ORDER]


def _card(metric: Metric, all_: Mapping[str, Metric], seen: Observed, t: Words) -> Card:
    verdict = metric.verdict
    if metric.name == "backlog" and seen.backlog is None:
        verdict = "neutral"  # nobody consumes, which is no trouble; what NATS does not tell is told in the note
    note = _NOTES[metric.name](metric, all_, seen, t)
    if verdict == "stale":
        note = t("overview.never") if metric.age_s is None else t("overview.age", age=showing.span(metric.age_s))
    return Card(
        name=metric.name,
        title=t(f"overview.title_{metric.name}"),
        figure=_figure(metric, t),
        verdict=verdict,
        word=t("verdict.closed" if verdict == "neutral" and not seen.trading else f"verdict.{verdict}"),
        note=note,
        link=_LINKS.get(metric.name, "/lines"),
    )


def _figure(metric: Metric, t: Words) -> str:
    match metric.unit:
        case "ratio":
            return showing.percent(metric.value)
        case "ms":
            return showing.milliseconds(metric.value)
        case "1/s":
            return f"{showing.number(metric.value)}/s"
        case "contracts" if metric.value == 0:
            return t("overview.none")
        case _:
            return showing.number(metric.value)


def _coverage(_metric: Metric, _all: Mapping[str, Metric], seen: Observed, t: Words) -> str:
    return t(
        "overview.coverage_note",
        confirmed=showing.number(sum(feed.confirmed for feed in seen.coverage)),
        wanted=showing.number(sum(feed.wanted for feed in seen.coverage)),
        missing=sum(feed.missing_count for feed in seen.coverage),
        stalled=sum(feed.stalled_count for feed in seen.coverage),
    )


def _throughput(metric: Metric, _all: Mapping[str, Metric], _seen: Observed, t: Words) -> str:
    if metric.usual is None:
        return t("overview.not_usual_yet")
    return t("overview.usual", rate=showing.number(metric.usual))


def _p99(_metric: Metric, all_: Mapping[str, Metric], _seen: Observed, t: Words) -> str:
    return t("overview.p50", p50=showing.milliseconds(all_["p50"].value))


def _failover(_metric: Metric, _all: Mapping[str, Metric], seen: Observed, t: Words) -> str:
    last = next((one for one in seen.switches if one.kind == "failover" and one.ok), None)
    if last is None:
        return t("overview.no_switch")
    return t("overview.switch_note", when=showing.moment(last.finished_ns, seen.at_ns), target=last.target or "–")


def _backlog(_metric: Metric, _all: Mapping[str, Metric], seen: Observed, t: Words) -> str:
    if seen.backlog is None:
        return t("overview.no_backlog")
    return t("overview.consumers", count=len(seen.backlog.consumers))


def _gap(metric: Metric, _all: Mapping[str, Metric], _seen: Observed, t: Words) -> str:
    still_open = metric.detail.get("open")
    return t("overview.gap_open", count=still_open) if still_open else t("overview.gap_note")


_NOTES: Final[Mapping[str, Callable[[Metric, Mapping[str, Metric], Observed, Words], str]]] = {
    "coverage": _coverage,
    "throughput": _throughput,
    "p99": _p99,
    "failover_latency": _failover,
    "backlog": _backlog,
    "gap_today": _gap,
}
