"""*MD Ops*: is the market data whole, fast enough, and consumed? Panels and limits: operators' contract, §7."""

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
    grid,
    in_session,
    of_feed,
    of_gateway,
    of_line,
    pushed,
)

UID: Final = "feedgate-md-ops"
THROUGHPUT: Final = 5_000
COVERAGE: Final = 0.995
LATENCY_MS: Final = 5_000
BACKLOG: Final = 2_000
_SMALL, _WIDE, _HALF, _FULL = (4, 4), (16, 8), (12, 8), (24, 7)
_ZERO: Final = ((None, GREEN), (1, RED))


def build() -> Dashboard:
    """The builder."""
    sheet = Sheet(
        "MD Ops",
        UID,
        "Market data: coverage, throughput, consumers, failover. Limits are those of the operators' contract.",
        ("Lines & failover", "feedgate-lines"),
    )
    _now(sheet)
    _market_data(sheet)
    _consumers(sheet)
    _runbook(sheet)
    return sheet.builder


def _now(sheet: Sheet) -> None:
    sheet.row("Now")
    active = f"({of_line('md_line_active')} == 1)"
    sheet.add(
        figure([(None, RED), (THROUGHPUT, GREEN)], none="market closed", decimals=0),
        "Throughput",
        [Query(in_session(f"{of_line('md_throughput_mps')} and on (instance, feed, account) {active}"), PER_FEED)],
        about="Ticks a second of the line that the feed stands on, while its market is open. Target: 5,000.",
        step="runbook-check-feed-health",
        size=_SMALL,
        unit="cps",
    )
    sheet.add(
        figure([(None, RED), (COVERAGE, ORANGE), (1, GREEN)], none="nothing wanted", decimals=2),
        "Coverage",
        [Query(f"max by (instance, feed) ({of_line('md_subscription_coverage_ratio')})", PER_FEED)],
        about="Confirmed contracts of those wanted, of the line with most. Passes from 99.5 %, green only at 100 %.",
        step="runbook-check-feed-health",
        size=_SMALL,
        unit="percentunit",
    )
    sheet.add(
        figure([(None, BLUE)], none="no line", names=True),
        "Feed source",
        [Query(f"{of_line('md_line_active')} == 1", "{{feed}}:{{account}}", instant=True)],
        about="The line that each feed stands on now.",
        step="runbook-failover",
        size=_SMALL,
        unit="none",
    )
    sheet.add(
        figure([(None, GREEN), (BACKLOG + 1, RED)], none="not measured", decimals=0),
        "Consumer lag",
        [Query(f"max(max_over_time({pushed('consumer_backlog_messages')}[1m]))")],
        about="Messages that wait for the slowest consumer, by NATS itself, the worst of a minute. Limit: 2,000.",
        step="runbook-drill",
        size=_SMALL,
        unit="short",
    )
    sheet.add(
        figure([(None, GREEN), (LATENCY_MS + 1, RED)], none="none yet", decimals=0),
        "Failover latency",
        [Query(of_feed("md_failover_latency_ms"), PER_FEED)],
        about="Of the last failover: last tick of the old line to first tick of the new one. Limit: 5,000 ms.",
        step="runbook-failover",
        size=_SMALL,
        unit="ms",
    )
    sheet.add(
        figure(_ZERO, decimals=0),
        "Rate-limit incidents",
        [Query(f"sum(increase({of_line('md_rate_limit_waits_total')}[$__range])) or vector(0)")],
        about="Batches of subscriptions that our own limit held back in the time shown. Should be 0 but for logins: a "
        "login with more contracts than RATE_LIMIT_SUBSCRIBE_PER_SECOND takes at once waits by design.",
        step="runbook-subscribe",
        size=_SMALL,
        unit="none",
    )


def _market_data(sheet: Sheet) -> None:
    sheet.row("Market data")
    sheet.add(
        curve([(None, RED), (THROUGHPUT, GREEN)]),
        "Throughput by line",
        [
            Query(of_line("md_throughput_mps"), PER_LINE),
            Query(
                f"sum by (instance) (rate({of_gateway('md_ticks_out_total', stop='publish')}[$__rate_interval]))",
                "{{instance}} published",
            ),
        ],
        about="Ticks a second that each line delivers, and what is published of them. Target in session: 5,000.",
        step="runbook-check-feed-health",
        size=_WIDE,
        unit="cps",
    )
    sheet.add(
        bands({0: ("not", GREY), 1: ("in session", GREEN)}),
        "Session",
        [
            Query(of_feed("md_session", session=name), f"{{{{instance}}}} {{{{feed}}}} {name}")
            for name in ("day", "night")
        ],
        about="Whether the feed's market is in its day or night session, by the trading calendar, breaks included.",
        step="a-trading-day",
        size=(8, 8),
        unit="none",
    )
    sheet.add(
        grid([(None, RED), (COVERAGE, ORANGE), (1, GREEN)]),
        "Coverage heat map",
        [
            Query(
                f"min by (instance, feed, account) ({of_line('md_subscription_coverage_ratio')})",
                PER_LINE,
            )
        ],
        about="Coverage of each line over time: red below 99.5 %, orange below 100 %, green at 100 %.",
        step="runbook-check-feed-health",
        size=_FULL,
        unit="percentunit",
    )
    sheet.add(
        curve(_ZERO),
        "Missing and stalled contracts",
        [
            Query(of_line("md_subscription_missing_total"), f"{PER_LINE} missing"),
            Query(of_line("md_subscription_stalled_total"), f"{PER_LINE} stalled"),
            Query(of_feed("md_subscription_unplaced"), f"{PER_FEED} without a line"),
        ],
        about="Wanted and not confirmed; ticked in this session and stopped while their market is open; and wanted "
        "while no line has room. A contract that has not traded yet is none of these.",
        step="runbook-subscribe",
        size=_HALF,
        unit="none",
    )
    quantile = "histogram_quantile({q}, sum by (instance, le) (rate({m}[$__rate_interval])))"
    latency = of_gateway("md_tick_latency_seconds_bucket")
    sheet.add(
        curve(),
        "Tick latency",
        [
            Query(quantile.format(q=share, m=latency), f"{{{{instance}}}} p{name}")
            for share, name in (("0.5", "50"), ("0.99", "99"))
        ],
        about="From the callback of a line to publishing. A bucket is at most 12.5 % wide, and never too good.",
        step="runbook-doctor",
        size=_HALF,
        unit="s",
    )


def _consumers(sheet: Sheet) -> None:
    sheet.row("Consumers")
    sheet.add(
        curve([(None, GREEN), (BACKLOG, RED)]),
        "Consumer lag over time",
        [
            Query(pushed("consumer_backlog_messages"), "waiting for the slowest consumer"),
            Query(of_gateway("md_queue_backlog"), "{{instance}} waiting for NATS"),
        ],
        about="Messages that wait in NATS for the slowest consumer (by the console; none while it is not measured), "
        "and in the gateway for NATS.",
        step="runbook-drill",
        size=(8, 8),
        unit="short",
    )
    lost = f"sum by (instance) (rate({of_gateway('md_ticks_dropped_total', stop='publish')}[$__rate_interval]))"
    taken = f"sum by (instance) (rate({of_gateway('md_ticks_in_total', stop='publish')}[$__rate_interval]))"
    errors = f"(sum(rate({pushed('md_api_errors_total')}[$__rate_interval])) or vector(0))"
    asked = f"clamp_min(sum(rate({pushed('md_api_requests_total')}[$__rate_interval])), 0.001)"
    sheet.add(
        curve([(None, GREEN), (0.001, RED)]),
        "Consumer error rate",
        [
            Query(f"({lost} or 0 * {taken}) / clamp_min({taken}, 0.001)", "{{instance}} ticks that NATS never got"),
            Query(f"{errors} / {asked}", "console answers with 5xx"),
        ],
        about="Share of ticks that no consumer can have: dropped because NATS did not take them; and share of API "
        "answers with a server error. What a consumer loses on its own side it sees as a hole in seq: no figure here.",
        step="runbook-drill",
        size=(8, 8),
        unit="percentunit",
    )
    cut = f"sum by (kind) (increase({pushed('md_api_stream_drops_total')}[$__rate_interval]))"
    sheet.add(
        curve(_ZERO),
        "Consumers cut off",
        [
            Query(f'{cut} or label_replace(vector(0), "kind", "any", "", "")', "slow streams of the console: {{kind}}"),
            Query(
                f"increase({of_gateway('md_nats_reconnects_total')}[$__rate_interval])",
                "{{instance}} reconnects to NATS",
            ),
            Query(
                f"increase({of_gateway('md_events_dropped_total')}[$__rate_interval])",
                "{{instance}} events that NATS never got",
            ),
        ],
        about="Event streams closed because their client was too slow, reconnects of the gateway, and events of the "
        "gateway (gaps, switches) that NATS did not get.",
        step="runbook-doctor",
        size=(8, 8),
        unit="none",
    )


def _runbook(sheet: Sheet) -> None:
    sheet.row("Runbook")
    sheet.add(
        grid([(None, GREEN), (1, ORANGE), (2, RED)]),
        "Exit codes",
        [
            Query(
                f"max by (command, window, profile) ({pushed('md_runbook_exit_code')})",
                "{{command}} {{window}} {{profile}}",
            )
        ],
        about="Of the last run of each command: 0 green, 1 (a warning) orange, above red. The audit has the rest.",
        step="runbook-audit-list",
        size=_HALF,
        unit="none",
    )
    sheet.add(
        bands({0: ("not ready", RED), 1: ("ready", GREEN)}),
        "T-5 checkpoint",
        [Query(f"max by (session, profile) ({pushed('md_t5_checkpoint_status')})", "{{session}} {{profile}}")],
        about="Whether everything was ready five minutes before the market opened, as last pushed.",
        step="runbook-t5-checkpoint",
        size=(6, 8),
        unit="none",
    )
    sheet.add(
        curve(),
        "Time to start",
        [Query(f"max by (window, profile) ({pushed('md_session_startup_duration_s')})", "{{window}} {{profile}}")],
        about="From the start to everything being ready, of the last successful start.",
        step="runbook-start",
        size=(6, 8),
        unit="s",
    )
