"""*Lines & failover*: what each line did, who brought the ticks, what was lost where, and every change of source."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.parts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PER_FEED,
    PER_LINE,
    RED,
    Query,
    Sheet,
    bands,
    curve,
    figure,
    of_feed,
    of_gateway,
    of_line,
)

UID: Final = "feedgate-lines"
STATES: Final = {
    "idle": GREY,
    "connecting": BLUE,
    "connected": BLUE,
    "logged_in": "light-green",
    "streaming": GREEN,
    "refused": RED,
    "lost": RED,
    "stopped": ORANGE,
}
"""Of a line, with a colour; their places, from 1, are the values on the panel."""
_LIMIT_MS: Final = 5_000
_SMALL, _HALF, _THIRD = (4, 4), (12, 8), (8, 8)
_ZERO: Final = ((None, GREEN), (1, RED))


def build() -> Dashboard:
    """The builder."""
    sheet = Sheet(
        "Lines & failover",
        UID,
        "Lines, the arbiter between them, gaps and switches.",
        ("MD Ops", "feedgate-md-ops"),
    )
    _now(sheet)
    _over_time(sheet)
    _arbiter(sheet)
    _switches(sheet)
    return sheet.builder


def _now(sheet: Sheet) -> None:
    sheet.row("Now")
    up = f"({of_line('md_line_state', state='streaming')} == 1)"
    sheet.add(
        figure([(None, RED), (1, ORANGE), (2, GREEN)], decimals=0),
        "Lines that stream",
        [
            Query(
                f"sum by (instance, feed) ({up}) or sum by (instance, feed) (0 * {of_line('md_line_active')})", PER_FEED
            )
        ],
        about="Two or more, and one may be lost without a gap.",
        step="runbook-restart-line",
        size=_SMALL,
        unit="none",
    )
    sheet.add(
        figure(_ZERO, decimals=0),
        "Gaps open",
        [Query(of_gateway("md_gaps_open"), "{{instance}}")],
        about="Contracts, wanted and in session, that no line carries now.",
        step="runbook-failover",
        size=_SMALL,
        unit="none",
    )
    sheet.add(
        figure(_ZERO, decimals=0),
        "Failover required",
        [Query(of_feed("feed_failover_required"), PER_FEED)],
        about="Asked for and not done yet.",
        step="runbook-failover",
        size=_SMALL,
        unit="none",
    )
    sheet.add(
        figure(_ZERO, decimals=0),
        "Silent or not believed",
        [Query(f"sum({of_line('md_line_silent')}) + sum({of_line('md_line_suspect')})")],
        about="Lines that are logged in while their market trades and deliver nothing, and lines that the arbiter does "
        "not believe.",
        step="runbook-restart-line",
        size=_SMALL,
        unit="none",
    )
    sheet.add(
        figure([(None, GREEN), (1, ORANGE)], decimals=0),
        "Switches",
        [Query(f"sum(increase({of_feed('md_switches_total', result='ok')}[$__range]))")],
        about="Failovers and failbacks in the time shown.",
        step="runbook-failback",
        size=_SMALL,
        unit="none",
    )
    sheet.add(
        figure(_ZERO, decimals=0),
        "Failed switches",
        [Query(f"sum(increase({of_feed('md_switches_total', result='failed')}[$__range]))")],
        about="Switches in the time shown after which the line before was kept.",
        step="runbook-failover",
        size=_SMALL,
        unit="none",
    )


def _over_time(sheet: Sheet) -> None:
    sheet.row("Lines")
    states = " or ".join(
        f"{value} * ({of_line('md_line_state', state=state)} == 1)" for value, state in enumerate(STATES, 1)
    )
    sheet.add(
        bands({value: (state, colour) for value, (state, colour) in enumerate(STATES.items(), 1)}),
        "Line states",
        [Query(f"max by (instance, feed, account) ({states})", PER_LINE)],
        about="What each line was, over time.",
        step="runbook-restart-line",
        size=_HALF,
        unit="none",
    )
    sheet.add(
        bands({0: ("beside", GREY), 1: ("source", GREEN)}),
        "Feed source over time",
        [Query(of_line("md_line_active"), PER_LINE)],
        about="The line that the feed stood on. Hot lines beside it deliver as well.",
        step="runbook-failover",
        size=_HALF,
        unit="none",
    )
    sheet.add(
        curve(),
        "Ticks by line",
        [Query(f"rate({of_line('md_line_ticks_total')}[$__rate_interval])", PER_LINE)],
        about="Ticks a second that reached the core from each line.",
        step="runbook-check-feed-health",
        size=_THIRD,
        unit="cps",
    )
    sheet.add(
        curve(_ZERO),
        "Restarts and disconnects",
        [
            Query(f"increase({of_line('md_line_restarts_total')}[$__rate_interval])", f"{PER_LINE} restarts"),
            Query(f"increase({of_line('md_disconnects_total')}[$__rate_interval])", f"{PER_LINE} disconnects"),
        ],
        about="Starts of a line anew after it died, hung or could not log in; losses of its front.",
        step="runbook-restart-line",
        size=_THIRD,
        unit="none",
    )
    sheet.add(
        curve(),
        "Subscriptions",
        [
            Query(of_line("md_subscriptions", status=status), f"{PER_LINE} {status}")
            for status in ("pending", "confirmed", "failed")
        ]
        + [
            Query(
                f"increase({of_line('md_subscription_retries_total')}[$__rate_interval])", f"{PER_LINE} asked for again"
            )
        ],
        about="Contracts by what became of their subscription, and contracts asked for again.",
        step="runbook-subscribe",
        size=_THIRD,
        unit="none",
    )


def _arbiter(sheet: Sheet) -> None:
    sheet.row("Arbiter and losses")
    firsts = f"rate({of_line('md_line_first_total')}[$__rate_interval])"
    sheet.add(
        curve(filled=True).max(1),
        "First shares",
        [
            Query(
                f"{firsts} / on (instance, feed) group_left () clamp_min(sum by (instance, feed) ({firsts}), 0.001)",
                PER_LINE,
            )
        ],
        about="Which line brings a tick before the others, while at least two are up.",
        step="runbook-failover",
        size=_THIRD,
        unit="percentunit",
    )
    sheet.add(
        curve(),
        "Drops by stop",
        [
            Query(
                f"sum by (instance, stop, reason) (rate({of_gateway('md_ticks_dropped_total')}[$__rate_interval]))",
                "{{instance}} {{stop}}: {{reason}}",
            )
        ],
        about="Why ticks were not passed on, by stop of the pipeline. Copies at `arbitrate` are the other line's and "
        "no loss; `ship` and `publish` should have none.",
        step="runbook-doctor",
        size=_THIRD,
        unit="cps",
    )
    sheet.add(
        curve(),
        "What the arbiter published",
        [
            Query(
                f"sum by (instance, line) (rate({of_gateway('md_ticks_out_total', stop='arbitrate')}"
                "[$__rate_interval]))",
                "{{instance}} {{line}}",
            )
        ],
        about="Ticks a second that were published, by the line they came from.",
        step="runbook-failover",
        size=_THIRD,
        unit="cps",
    )


def _switches(sheet: Sheet) -> None:
    sheet.row("Failover and gaps")
    sheet.add(
        curve([(None, GREEN), (_LIMIT_MS, RED)]),
        "Failover and failback latency",
        [
            Query(of_feed("md_failover_latency_ms"), f"{PER_FEED} failover"),
            Query(of_feed("md_failback_latency_ms"), f"{PER_FEED} failback"),
        ],
        about="Last tick of the old line to first tick of the new one, by tick times; 0 where the new one was there "
        "before. Limit: 5,000 ms.",
        step="runbook-failover",
        size=_THIRD,
        unit="ms",
    )
    sheet.add(
        curve(),
        "Switches over time",
        [
            Query(
                f"increase({of_feed('md_switches_total')}[$__rate_interval])",
                "{{instance}} {{feed}} {{kind}} {{result}}",
            )
        ],
        about="Failovers and failbacks, done and failed.",
        step="runbook-failover",
        size=_THIRD,
        unit="none",
    )
    sheet.add(
        curve(_ZERO),
        "Gaps and their ledger",
        [
            Query(of_gateway("md_gaps_open"), "{{instance}} contracts that no line carries"),
            Query(of_gateway("md_gap_ledger_waiting"), "{{instance}} rows not on the disk"),
            Query(of_gateway("md_gap_ledger_degraded"), "{{instance}} ledger cannot write"),
            Query(f"increase({of_gateway('md_gap_ledger_lost_total')}[$__rate_interval])", "{{instance}} rows lost"),
        ],
        about="Open gaps, and whether they can be written down (docs/gaps.md).",
        step="runbook-doctor",
        size=_THIRD,
        unit="none",
    )
