"""The cards: each figure against its thresholds. Source of those: the console's design, Cards and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.terminal.top.facts import STALE_S, Card, Verdict
from gateway.terminal.top.look import Look
from gateway.terminal.top.words import count, milliseconds, moment, number, percent, span

COVERAGE_READY: Final = 0.995
"""Below it the gateway is not ready. Source: the operators' contract, §4: pass at 0.995, green at 1.0 only."""
_LATENCY_MS: Final = (10.0, 100.0)
_FAILOVER_MS: Final = (1_000.0, 5_000.0)
_HELD: Final = (500.0, 2_000.0)
"""Messages. As for a backlog at the consumers."""

_WORDS: Final = {"good": "good", "warning": "warning", "critical": "critical"}


def trading(look: Look) -> bool:
    """Whether any feed's market is in a session. True while nothing is known: nothing is then called closed."""
    feeds = look.status.feeds if look.status else []
    return not feeds or any(feed.session != "closed" for feed in feeds)


def ratio_verdict(ratio: float | None) -> Verdict:
    """Of a coverage, 0 to 1, whatever the market does."""
    if ratio is None:
        return "neutral"
    if ratio >= 1:
        return "good"
    return "warning" if ratio >= COVERAGE_READY else "critical"


def covered(look: Look) -> float | None:
    """Carried divided by wanted, all feeds together; None while nothing is wanted."""
    wanted = sum(feed.wanted for feed in look.coverage)
    return sum(feed.confirmed for feed in look.coverage) / wanted if wanted else None


def cards_of(look: Look) -> tuple[Card, ...]:
    """In the order in which they are shown."""
    return (_coverage(look), _throughput(look), _latency(look), _failover(look), _gaps(look), _held(look))


def _coverage(look: Look) -> Card:
    ratio = covered(look)
    feeds = look.coverage
    note = f"{sum(one.confirmed for one in feeds):,}/{sum(one.wanted for one in feeds):,} carried"
    if stalled := sum(one.stalled_count for one in feeds):
        note += f", {stalled:,} stalled"
    return _card(
        *(look, "coverage", "coverage", "Coverage", ratio, "ratio", percent(ratio)),
        ratio_verdict(ratio),
        note=note,
        quiet="nothing wanted",
    )


def _throughput(look: Look) -> Card:
    figures = look.figures
    rate = None if figures is None else figures.published_rate
    # a break of the session is no stop: then no line is silent, and no contract stalled, by the gateway's own rules
    stopped = (
        rate == 0
        and figures is not None
        and (
            any(line.silent or line.stalled for line in figures.lines)
            or not any(line.state.is_up for line in figures.lines)
        )
    )
    verdict: Verdict = "critical" if stopped else "good" if rate else "neutral"
    note = "" if figures is None else f"{number(figures.received_rate)}/s in"
    return _card(
        *(look, "figures", "throughput", "Throughput", rate, "1/s", f"{number(rate)}/s"),
        verdict,
        note=note,
        quiet="quiet",
    )


def _latency(look: Look) -> Card:
    figures = look.figures
    p99 = None if figures is None else figures.p99_ms
    p50 = None if figures is None else figures.p50_ms
    return _card(
        *(look, "figures", "latency", "Latency p99", p99, "ms", milliseconds(p99)),
        _below(p99, _LATENCY_MS),
        note=f"p50 {milliseconds(p50)}",
        quiet="no ticks",
    )


def _failover(look: Look) -> Card:
    last = next((one for one in look.switches if one.kind == "failover"), None)
    if last is None:
        told = [one.failover_ms for one in look.figures.feeds if one.failover_ms is not None] if look.figures else []
        value, note = max(told, default=None), ""
        verdict = _below(value, _FAILOVER_MS)
    else:
        value, note = last.latency_ms, f"{moment(last.finished_ns, look.at_ns)} to {last.target or 'no line'}"
        verdict = _below(value, _FAILOVER_MS) if last.ok else "critical"
    figure = "failed" if last is not None and not last.ok else milliseconds(value)
    return _card(
        *(look, "switches", "failover", "Last failover", value, "ms", figure),
        verdict,
        note=note,
        quiet="none yet" if last is None else "not measured",
    )


def _gaps(look: Look) -> Card:
    gaps, status = look.gaps, look.status
    total = gaps.totals.gaps if gaps is not None and gaps.known else None
    still_open = status.ledger.open_gaps if status else 0
    verdict: Verdict = "neutral" if total is None else "warning" if total else "good"
    if still_open:
        verdict = "critical"
    note = f"{still_open:,} open" if still_open else "all have ended" if total else ""
    if gaps is not None and gaps.trading_day:
        day = f"{gaps.trading_day:08}"
        note = f"{note + ', ' if note else ''}day {day[4:6]}-{day[6:]}"
    return _card(
        *(look, "gaps", "gaps", "Gaps today", total, "contracts", "none" if total == 0 else number(total)),
        verdict,
        note=note,
        quiet="nothing known",
        always=still_open > 0,
    )


def _held(look: Look) -> Card:
    figures = look.figures
    held = None if figures is None else float(figures.held)
    connected = figures is None or figures.bus_connected
    note = "" if figures is None else f"bus {'connected' if connected else 'away'}"
    if figures is not None and figures.bus_reconnects:
        note += f", {count(figures.bus_reconnects, 'reconnect')}"
    return _card(
        *(look, "figures", "held", "Held for the bus", held, "messages", number(held)),
        _below(held, _HELD) if connected else "critical",
        note=note,
        quiet="nothing known",
        always=True,
    )


def _below(value: float | None, limits: Sequence[float]) -> Verdict:
    if value is None:
        return "neutral"
    good, warning = limits
    return "good" if value < good else "warning" if value < warning else "critical"


def _card(
    look: Look,
    part: str,
    name: str,
    title: str,
    value: float | None,
    unit: str,
    figure: str,
    verdict: Verdict,
    *,
    note: str,
    quiet: str,
    always: bool = False,
) -> Card:
    """``quiet``: the word for neutral in an open market; ``always``: judged also while the market is closed."""
    age = look.age_s(part)
    if age is None or age > STALE_S:
        verdict, word = "stale", "stale" if age is not None else "no answer"
        note = note if age is None else f"{span(age)} old"
        if age is None:
            value, figure, note = None, "-", ""
    elif not (always or trading(look)):
        verdict, word = "neutral", "closed"
    else:
        word = _WORDS.get(verdict, quiet)
    return Card(
        name=name,
        title=title,
        value=value,
        unit=unit,
        figure=figure,
        verdict=verdict,
        word=word,
        note=note,
        age_s=age,
    )
