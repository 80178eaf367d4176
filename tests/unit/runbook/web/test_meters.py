"""docs/metrics.md against the console's registry, and what counts as what."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.model import LineState
from runbook.drill.backlog import Backlog, Waiting
from runbook.web.meters import Meters
from runbook.web.observed import Observed
from tests.unit.runbook.web.test_market_and_probes import NOW, line, seen

DOCS = Path(__file__).parents[4] / "docs" / "metrics.md"


def test_the_document_has_every_figure_of_the_console_and_no_other() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## The console's figures")[2]
    documented = {
        (name, kind, tuple(sorted(re.findall(r"`(\w+)`", labels))))
        for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", section, re.MULTILINE)
    }
    meters = Meters()
    there = set()
    for metric in vars(meters).values():
        for collector in [metric] if hasattr(metric, "_labelnames") else []:
            kind = collector._type
            name = collector._name + ("_total" if kind == "counter" else "")
            there.add((name, kind, tuple(sorted(collector._labelnames))))
    assert documented == there


def test_a_server_error_is_an_error_and_a_stream_has_no_duration() -> None:
    meters = Meters()
    meters.request(method="GET", route="/a", status=200, seconds=0.1, stream=False)
    meters.request(method="GET", route="/a", status=503, seconds=0.1, stream=False)
    meters.request(method="GET", route="/b", status=200, seconds=3600, stream=True)
    text = meters.text().decode()
    assert 'md_api_errors_total{route="/a"} 1.0' in text
    assert 'md_api_request_seconds_count{method="GET"} 2.0' in text
    assert 'md_api_requests_total{method="GET",route="/b",status="200"} 1.0' in text


def waits(messages: int, *, had_at_ns: int = NOW) -> Observed:
    backlog = Backlog(source="NATS", consumers=(Waiting(consumer="desk", messages=messages),))
    lines = line("ctp:primary", LineState.LOST), line("ctp:backup", LineState.STREAMING, "active")
    return seen(*lines, backlog=backlog, backlog_at_ns=had_at_ns)


def test_the_backlog_of_consumers_is_under_the_account_of_the_active_line() -> None:
    meters = Meters()
    meters.look(waits(7))
    assert 'consumer_backlog_messages{account="backup",feed="ctp"} 7.0' in meters.text().decode()
    assert 'account="primary"' not in meters.text().decode()


def test_a_backlog_that_is_old_or_was_not_measured_has_no_sample() -> None:
    meters = Meters()
    for unknown in (waits(7, had_at_ns=NOW - 11 * 10**9), seen(line("ctp:primary", LineState.STREAMING, "active"))):
        meters.look(waits(7))
        meters.look(unknown)
        assert "consumer_backlog_messages{" not in meters.text().decode()
