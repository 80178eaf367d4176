from __future__ import annotations

from dataclasses import replace
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from gateway.model import LineState, LineStatus
from gateway.terminal.demo import DemoFacts, TopContract, view
from gateway.terminal.event_log import Entry, SwitchRow
from gateway.terminal.summary import DemoSummary, summary_json, summary_text


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
    lost=0,
    missing=3,
    doubled=2,
    switches=1,
    events=[
        Entry(1_700_000_000_000_000_000 + number * 1_000_000_000, f"sim:backup did number {number}")
        for number in range(9)
    ],
)


def rendered(facts: DemoFacts, width: int, height: int | None = None) -> str:
    console = Console(width=width, record=True, file=StringIO(), force_terminal=False)
    console.print(view(facts, height))
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
        "missing 3",
        "doubled 2",
        "lost 0",
        "switches 1",
        "sim:backup: killed by SIGKILL; restarted 2 times; 3 subscriptions refused",
        "06:13:28   sim:backup did number 8",
        "SHFE.rb2500",
        "standby",
    ):
        assert shown in text


def test_drops_of_zero_and_all_but_the_busiest_contracts_are_left_out() -> None:
    text = rendered(FACTS, 80)
    assert "older" not in text
    assert "SHFE.rb2507" in text
    assert "SHFE.rb2508" not in text


def test_the_last_six_events_are_shown_in_shanghai_time() -> None:
    text = rendered(FACTS, 80)
    assert "06:13:23   sim:backup did number 3" in text
    assert "number 2" not in text


@pytest.mark.parametrize("height", range(12, 45))
def test_the_view_fits_the_screen_and_drops_contracts_before_events_and_never_a_line(height: int) -> None:
    text = rendered(FACTS, 80, height)
    assert len(text.splitlines()) <= height
    assert "sim:backup: killed by SIGKILL" in text
    assert "missing 3" in text
    assert ("SHFE.rb2500" in text) <= ("number 3" in text)
    assert ("number 8" in text) is (height >= 5 + 5 + 3)


def test_on_a_screen_of_24_rows_with_the_greeting_above_there_is_room_for_everything() -> None:
    text = rendered(FACTS, 80, 22)
    assert "SHFE.rb2500" in text
    assert "number 3" in text


def test_an_event_that_is_too_long_is_cut_and_does_not_break_the_view() -> None:
    facts = replace(FACTS, events=[Entry(0, "gap " + "in a contract " * 20)])
    assert len(rendered(facts, 80, 22).splitlines()) <= 22
    assert "…" in rendered(facts, 80, 22)


def test_of_many_lines_in_trouble_only_some_are_explained() -> None:
    facts = replace(FACTS, lines=[replace_line(number) for number in range(5)])
    text = rendered(facts, 80)
    assert "and 3 more lines with something to tell" in text
    assert "sim:1: killed" in text
    assert "sim:2: killed" not in text


def replace_line(number: int) -> LineStatus:
    return msgspec.structs.replace(LOST, line=f"sim:{number}")


def test_a_market_that_cannot_be_checked_shows_a_dash() -> None:
    text = rendered(replace(FACTS, missing=None, doubled=None), 80)
    assert "missing - " in text
    assert "doubled - " in text


def test_a_view_before_the_first_tick_says_so_without_failing() -> None:
    facts = DemoFacts(
        elapsed=0, rate_in=0, rate_out=0, p50_ms=None, p99_ms=None, lines=[], top=[], ticks_in=0, ticks_out=0,
        in_flight=0, dropped={},
    )  # fmt: skip
    text = rendered(facts, 80)
    assert "nothing happened so far" in text
    assert "missing -" in text


SWITCH = SwitchRow(source="sim:primary", target="sim:backup", trigger="line_lost", latency_ms=1.24, ok=True, error="")


def summary(out: int = 7, **changes: object) -> DemoSummary:
    fields = {
        "ticks_in": 10,
        "out": out,
        "dropped": {"arbiter": {"standby": 2}, "publisher": {"backlog": 1}},
        "lost": 0,
        "missing": 0,
        "doubled": 0,
        "rate": 20_000.0,
        "p50_ms": 0.7,
        "p99_ms": None,
        "switches": [SWITCH],
        "lines": [LOST],
    }
    return DemoSummary(**(fields | changes))


def test_the_summary_is_balanced_only_when_every_tick_is_accounted_for() -> None:
    assert summary(7).balanced
    assert "in 10 = out 7 + dropped 3   (balanced)" in summary_text(summary(7))
    assert not summary(6).balanced
    assert "in 10 ≠ out 6 + dropped 3   (NOT BALANCED)" in summary_text(summary(6))
    assert "dropped at publisher: backlog 1" in summary_text(summary(7))


def test_the_summary_is_whole_only_when_it_balances_and_nothing_is_missing_or_doubled() -> None:
    assert summary().whole
    assert summary(missing=None, doubled=None).whole
    assert not summary(6).whole
    assert not summary(missing=1).whole
    assert not summary(doubled=1).whole


def test_the_summary_says_what_of_the_market_is_missing_and_doubled() -> None:
    assert "of the market at the consumer: missing 1,234, doubled 2" in summary_text(summary(missing=1234, doubled=2))
    assert "of the market" not in summary_text(summary(missing=None, doubled=None)), "nobody knows that market"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "switch sim:primary → sim:backup (line_lost): 1.2 ms"),
        ({"latency_ms": None}, "switch sim:primary → sim:backup (line_lost): no tick to measure with"),
        ({"target": None, "ok": False, "error": "no other line"}, "→ no line (line_lost) FAILED: no other line"),
    ],
)
def test_each_switch_is_told_in_the_summary(changes: dict[str, object], words: str) -> None:
    assert words in summary_text(summary(switches=[msgspec.structs.replace(SWITCH, **changes)]))


def test_the_json_summary_is_one_line_with_exactly_the_promised_keys() -> None:
    text = summary_json(summary(7))
    assert "\n" not in text
    row = msgspec.json.decode(text)
    assert list(row) == [
        "in", "out", "dropped", "lost", "missing", "doubled", "rate", "p50_ms", "p99_ms", "switches", "lines",
    ]  # fmt: skip
    assert (row["in"], row["dropped"]["arbiter"]["standby"], row["p99_ms"]) == (10, 2, None)
    assert row["switches"] == [
        {"from": "sim:primary", "to": "sim:backup", "trigger": "line_lost", "latency_ms": 1.24, "ok": True, "error": ""}
    ]
    assert row["lines"][0]["line"] == "sim:backup"


def test_without_a_consumer_the_summary_says_so() -> None:
    unwatched = summary(lost=None, missing=None, doubled=None, switches=None)
    assert unwatched.whole
    assert "no consumer of ours was watching" in summary_text(unwatched)
    assert msgspec.json.decode(summary_json(unwatched))["switches"] is None
