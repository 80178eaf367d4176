from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from gateway.model import LineState, LineStatus
from gateway.terminal.demo import DemoFacts, DemoSummary, TopContract, summary_json, summary_text, view


def line(name: str, **changes: object) -> LineStatus:
    fields = {
        "line": name,
        "account": "16***9",
        "role": "active",
        "state": LineState.STREAMING,
        "reason": "",
        "since_ns": 0,
        "restarts": 0,
        "ticks": 1_234_567,
        "wanted": 30_000,
        "pending": 0,
        "confirmed": 29_997,
        "failed": 0,
    }
    return LineStatus(**(fields | changes))


LOST = line("sim:backup", role="standby", state=LineState.LOST, reason="killed by SIGKILL", restarts=2, failed=3)

FACTS = DemoFacts(
    elapsed=75.4,
    rate_in=20_012.4,
    rate_out=19_998.0,
    p50_ms=0.71,
    p99_ms=1.94,
    lines=[line("sim:primary"), LOST],
    top=[TopContract(instrument=f"SHFE.rb25{number:02}", ticks=3000 - number, last=None) for number in range(12)],
    ticks_in=1_234_567,
    ticks_out=617_280,
    in_flight=12,
    dropped={"arbiter": {"standby": 617_275, "older": 0}, "parse": {}},
)


def rendered(facts: DemoFacts, width: int) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), force_terminal=False)  # noqa: SIM115 - closed below
    with console.file:
        console.print(view(facts))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_the_view_shows_every_figure_uncut(width) -> None:
    text = rendered(FACTS, width)
    assert max(len(row) for row in text.splitlines()) <= width
    assert "…" not in text
    for shown in (
        "rate in 20,012/s",
        "rate out 19,998/s",
        "p50 0.71 ms",
        "p99 1.94 ms",
        "in 1,234,567",
        "out 617,280",
        "dropped 617,275",
        "in flight 12",
        "01:15",
        "sim:primary",
        "29,997/30,000",
        "sim:backup: killed by SIGKILL",
        "sim:backup: 3 subscriptions refused",
        "SHFE.rb2500",
        "standby",
    ):
        assert shown in text


def test_drops_of_zero_and_all_but_the_busiest_contracts_are_left_out() -> None:
    text = rendered(FACTS, 80)
    assert "older" not in text
    assert "SHFE.rb2507" in text
    assert "SHFE.rb2508" not in text


def test_a_view_before_the_first_tick_says_so_without_failing() -> None:
    facts = DemoFacts(
        elapsed=0, rate_in=0, rate_out=0, p50_ms=None, p99_ms=None, lines=[], top=[], ticks_in=0, ticks_out=0,
        in_flight=0, dropped={},
    )  # fmt: skip
    assert "nothing" in rendered(facts, 80)


def summary(out: int) -> DemoSummary:
    return DemoSummary(
        ticks_in=10,
        out=out,
        dropped={"arbiter": {"standby": 2}, "publisher": {"backlog": 1}},
        lost=0,
        rate=20_000.0,
        p50_ms=0.7,
        p99_ms=None,
        lines=[LOST],
    )


def test_the_summary_is_balanced_only_when_every_tick_is_accounted_for() -> None:
    assert summary(7).balanced
    assert "in 10 = out 7 + dropped 3   (balanced)" in summary_text(summary(7))
    assert not summary(6).balanced
    assert "in 10 ≠ out 6 + dropped 3   (NOT BALANCED)" in summary_text(summary(6))
    assert "dropped at publisher: backlog 1" in summary_text(summary(7))


def test_the_json_summary_is_one_line_with_exactly_the_promised_keys() -> None:
    text = summary_json(summary(7))
    assert "\n" not in text
    row = msgspec.json.decode(text)
    assert list(row) == ["in", "out", "dropped", "lost", "rate", "p50_ms", "p99_ms", "lines"]
    assert (row["in"], row["dropped"]["arbiter"]["standby"], row["p99_ms"]) == (10, 2, None)
    assert row["lines"][0]["line"] == "sim:backup"
