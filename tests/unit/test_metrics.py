from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from gateway.errors import FeedgateError
from gateway.latency import LATENCY_BUCKETS_S
from gateway.metrics import (
    FeedSample,
    GatewayCollector,
    GatewaySample,
    LatencyHistogram,
    LedgerSample,
    LineSample,
    MetricsServer,
    StopSample,
    registry_for,
)
from gateway.model import LineState

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def sample() -> GatewaySample:
    latency = LatencyHistogram()
    latency.add(800_000, 3)
    latency.add(40_000_000)
    return GatewaySample(
        epoch=1_700_000_000_000,
        lines=(
            LineSample(
                feed="ctp",
                account="primary",
                state=LineState.STREAMING,
                session="night",
                throughput=6000.5,
                received=1000,
                rejected={"layout": 2},
                dropped={"queue_full": 7},
                restarts=1,
                disconnects=4,
                wanted=8,
                pending=1,
                confirmed=6,
                failed=1,
                rate_limit_waits=3,
                retries=5,
                first=640,
                silent=True,
                suspect=True,
                active=True,
                stalled=2,
            ),
            LineSample(feed="ctp", account="backup", state=LineState.IDLE, session="night", throughput=0, received=0),
        ),
        stops=(StopSample(stop="publish", entered=990, left=900, dropped={"backlog": 50}),),
        held=40,
        bus_connected=False,
        bus_reconnects=2,
        latency=latency,
        feeds=(
            FeedSample(
                feed="ctp",
                session="night",
                open_share=0.25,
                switches={("failover", "ok"): 2, ("failback", "failed"): 1},
                latency_ms={"failover": 812.5, "failback": 0.0},
                required=True,
                unplaced=9,
            ),
        ),
        ledger=LedgerSample(open_gaps=3, degraded=True, waiting=11, lost=1),
        events_published=70,
        events_dropped=6,
    )


class View:
    def __init__(self) -> None:
        self.broken = False
        self.samples = 0

    def sample(self) -> GatewaySample:
        self.samples += 1
        if self.broken:
            raise RuntimeError("no figures")
        return sample()


@asynccontextmanager
async def serving(view: View | None = None) -> AsyncIterator[MetricsServer]:
    async with MetricsServer(view or View(), host="127.0.0.1", port=0) as server:
        yield server


async def fetch(server: MetricsServer, request: str = "GET /metrics HTTP/1.1") -> tuple[int, str, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{request}\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), head, body


def values(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(one.labels.items()))
            found[f"{one.name}{{{labels}}}"] = one.value
    return found


async def test_a_scrape_shows_the_figures_of_the_view() -> None:
    async with serving() as server:
        status, head, body = await fetch(server)
    assert status == 200
    assert "text/plain; version=0.0.4" in head
    got = values(body)
    primary = "account=primary,feed=ctp"
    assert got[f"md_throughput_mps{{{primary}}}"] == 6000.5
    assert got[f"md_subscription_coverage_ratio{{{primary},session=night}}"] == 0.75
    assert got[f"md_subscription_missing_total{{{primary}}}"] == 2
    assert got[f"md_subscriptions{{{primary},status=pending}}"] == 1
    assert got[f"md_line_state{{{primary},state=streaming}}"] == 1
    assert got[f"md_line_state{{{primary},state=lost}}"] == 0
    assert got[f"md_line_restarts_total{{{primary}}}"] == 1
    assert got[f"md_disconnects_total{{{primary}}}"] == 4
    assert got[f"md_rate_limit_waits_total{{{primary}}}"] == 3
    assert got[f"md_line_ticks_total{{{primary}}}"] == 1000
    assert got["md_ticks_in_total{line=,stop=publish}"] == 990
    assert got["md_ticks_out_total{line=,stop=publish}"] == 900
    assert got["md_ticks_dropped_total{line=,reason=backlog,stop=publish}"] == 50
    assert got["md_ticks_dropped_total{line=ctp:primary,reason=layout,stop=parse}"] == 2
    assert got["md_ticks_dropped_total{line=ctp:primary,reason=queue_full,stop=ship}"] == 7
    assert got[f"md_line_first_total{{{primary}}}"] == 640
    assert got[f"md_line_silent{{{primary}}}"] == 1
    assert got["md_line_silent{account=backup,feed=ctp}"] == 0
    assert got[f"md_line_suspect{{{primary}}}"] == 1
    assert got[f"md_line_active{{{primary}}}"] == 1
    assert got["md_line_active{account=backup,feed=ctp}"] == 0
    assert got[f"md_subscription_stalled_total{{{primary}}}"] == 2
    assert got["md_session{feed=ctp,session=night}"] == 1
    assert got["md_session{feed=ctp,session=day}"] == 0
    assert got["md_switches_total{feed=ctp,kind=failover,result=ok}"] == 2
    assert got["md_switches_total{feed=ctp,kind=failback,result=failed}"] == 1
    assert got["md_failover_latency_ms{feed=ctp}"] == 812.5
    assert got["md_failback_latency_ms{feed=ctp}"] == 0
    assert got["feed_failover_required{feed=ctp}"] == 1
    assert got["md_subscription_unplaced{feed=ctp}"] == 9
    assert got["md_gaps_open{}"] == 3
    assert got["md_gap_ledger_degraded{}"] == 1
    assert got["md_gap_ledger_waiting{}"] == 11
    assert got["md_gap_ledger_lost_total{}"] == 1
    assert got["md_events_published_total{}"] == 70
    assert got["md_events_dropped_total{}"] == 6
    assert got["md_queue_backlog{queue=publish}"] == 40
    assert got["md_nats_connected{}"] == 0
    assert got["md_nats_reconnects_total{}"] == 2
    assert got["md_gateway_epoch_seconds{}"] == 1_700_000_000
    assert got["md_tick_latency_seconds_count{}"] == 4
    assert got["md_tick_latency_seconds_bucket{le=0.001}"] == 3
    assert got["md_tick_latency_seconds_bucket{le=0.05}"] == 4
    assert got["md_tick_latency_seconds_sum{}"] == pytest.approx(0.0424)


async def test_a_scrape_shows_how_much_of_the_market_trades() -> None:
    async with serving() as server:
        assert values((await fetch(server))[2])["md_market_open_ratio{feed=ctp}"] == 0.25


def test_a_line_that_wants_nothing_has_no_coverage() -> None:
    rows = [row for row in _samples() if row[0] == "md_subscription_coverage_ratio"]
    assert len(rows) == 1


def test_registering_takes_no_sample_and_a_second_gateway_in_one_registry_is_refused() -> None:
    view = View()
    registry = registry_for(view)
    assert view.samples == 0
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(GatewayCollector(View()))
    CollectorRegistry().register(GatewayCollector(View()))


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", 404),
        ("GET /metricsx HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("GET /metrics?x=1 HTTP/1.1", 200),
        ("nonsense", 405),
    ],
)
async def test_only_a_get_of_metrics_is_answered(request_line: str, status: int) -> None:
    async with serving() as server:
        assert (await fetch(server, request_line))[0] == status


async def test_a_head_request_gets_the_head_alone() -> None:
    async with serving() as server:
        status, head, body = await fetch(server, "HEAD /metrics HTTP/1.1")
    assert (status, body) == (200, "")
    assert int(re.search(r"Content-Length: (\d+)", head)[1]) > 0  # type: ignore[index]  # None would fail the test as well


async def test_a_view_that_raises_is_an_error_500_and_the_next_scrape_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    view = View()
    async with serving(view) as server:
        view.broken = True
        assert (await fetch(server))[0] == 500
        assert "no figures" in caplog.text
        view.broken = False
        assert (await fetch(server))[0] == 200


async def test_a_port_in_use_is_named_with_the_setting_to_change() -> None:
    async with serving() as first:
        with pytest.raises(FeedgateError, match=rf"{first.port}.*FEEDGATE_METRICS__PORT"):
            await MetricsServer(View(), host="127.0.0.1", port=first.port).start()


async def test_two_gateways_serve_side_by_side() -> None:
    async with serving() as first, serving() as second:
        assert first.port != second.port
        assert (await fetch(first))[0] == (await fetch(second))[0] == 200


async def test_closing_ends_an_open_request_and_may_be_done_twice() -> None:
    server = MetricsServer(View(), host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metr")
    await writer.drain()
    while not server._requests:
        await asyncio.sleep(0)
    await asyncio.wait_for(server.aclose(), 60)
    await server.aclose()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_an_endless_request_is_cut_off() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /" + b"x" * 200_000)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
        assert (await fetch(server))[0] == 200


def _samples() -> list[tuple[str, str, tuple[str, ...]]]:
    """Base name, type and labels of every series."""
    rows: list[tuple[str, str, tuple[str, ...]]] = []
    for family in GatewayCollector(View()).collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        rows += [(name, family.type, tuple(sorted(set(one.labels) - {"le"}))) for one in family.samples]
    return list(dict.fromkeys(rows))


def test_the_documentation_lists_every_metric_with_its_type_and_labels_and_no_other() -> None:
    documented = set()
    for row in DOCS.read_text(encoding="utf-8").partition("\n## ")[0].splitlines():  # below: the console's
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if row.startswith(("| `md_", "| `feed_")):
            assert all(cells[index] for index in (0, 1, 3, 4)), row
            documented.add((cells[0].strip("`"), cells[1], tuple(sorted(re.findall(r"`(\w+)`", cells[2])))))
    assert documented == set(_samples())


def test_every_metric_explains_itself() -> None:
    assert all(family.documentation for family in GatewayCollector(View()).collect())


durations = st.lists(st.tuples(st.integers(-10, 1 << 64), st.integers(1, 50)), max_size=40)


@given(durations)
def test_a_percentile_is_never_too_good_and_at_most_an_eighth_too_high(added: list[tuple[int, int]]) -> None:
    histogram = LatencyHistogram()
    exact = []
    for ns, weight in added:
        histogram.add(ns, weight)
        exact += [min(max(ns, 0), (1 << 63) - 1)] * weight
    exact.sort()
    assert histogram.count == len(exact)
    assert histogram.sum_ns == sum(exact)
    for percent in (0, 50, 99, 100):
        bound = histogram.percentile(percent)
        if not exact:
            assert bound == 0
            continue
        true = exact[max(0, -(-len(exact) * percent // 100) - 1)]
        assert true <= bound <= true * 1.125 + 1


@given(durations)
def test_published_buckets_are_cumulative_and_never_claim_a_tick_was_faster(
    added: list[tuple[int, int]],
) -> None:
    histogram = LatencyHistogram()
    for ns, weight in added:
        histogram.add(ns, weight)
    buckets = histogram.prometheus_buckets()
    counts = [count for _, count in buckets]
    assert counts == sorted(counts)
    assert buckets[-1] == ("+Inf", histogram.count)
    for bound, (le, count) in zip(LATENCY_BUCKETS_S, buckets, strict=False):
        assert float(le) == bound
        assert count <= sum(weight for ns, weight in added if ns <= bound * 1e9)
        assert count >= sum(weight for ns, weight in added if ns * 1.125 + 1 <= bound * 1e9)


@given(durations, durations)
def test_merging_counts_both(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    first, second, both = LatencyHistogram(), LatencyHistogram(), LatencyHistogram()
    for histogram, added in ((first, one), (second, two), (both, one), (both, two)):
        for ns, weight in added:
            histogram.add(ns, weight)
    kept = first.copy()
    first.merge(second)
    assert first.prometheus_buckets() == both.prometheus_buckets()
    assert first.sum_ns == both.sum_ns
    assert kept.count == first.count - second.count


def test_an_impossible_percentile_is_refused() -> None:
    with pytest.raises(ValueError, match="101"):
        LatencyHistogram().percentile(101)
