"""What a look says: the sentence, the verdicts, the rows; and what is old never looks good."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.control import LedgerStatus
from gateway.model import LineState
from gateway.terminal.top.facts import Facts
from gateway.terminal.top.look import PARTS, Look
from gateway.terminal.top.telling import facts_of
from tests.unit.control.market import switch_of
from tests.unit.terminal.top.looks import (
    NOW,
    SECOND,
    closed,
    coverage_of,
    figures_of,
    gaps_of,
    line_figures,
    line_of,
    look_of,
    status_of,
)


def card(facts: Facts, name: str) -> Any:
    return next(one for one in facts.cards if one.name == name)


def test_when_all_is_well_it_says_so_and_is_ready() -> None:
    facts = facts_of(look_of())
    assert (facts.state, facts.verdict, facts.exit_code) == ("ready", "good", 0)
    assert facts.says == "2 lines up, coverage 100 %, no gap today"
    assert [one.verdict for one in facts.cards] == ["good", "good", "good", "neutral", "good", "good"]
    assert card(facts, "failover").word == "none yet"
    assert facts.at == "2025-10-09T16:53:20.000+08:00"


@pytest.mark.parametrize(
    ("changes", "state", "verdict", "words"),
    [
        ({"coverage": (coverage_of(missing=1),)}, "warnings", "warning", "1 wanted contract on no line"),
        ({"coverage": (coverage_of(missing=3),)}, "not_ready", "critical", "3 of 400 wanted contracts are on no line"),
        ({"status": status_of(warnings=["look", "there"])}, "warnings", "warning", "Look (and 1 more)"),
        ({"status": status_of(ledger=LedgerStatus(open_gaps=2))}, "warnings", "critical", "a gap is open"),
        ({"gaps": gaps_of(4)}, "ready", "good", "4 gaps today, all ended"),
        ({"status": closed(status_of())}, "ready", "neutral", "Market closed, 2 lines up"),
        ({"status": status_of(lines=[])}, "not_ready", "critical", "configure a feed"),
    ],
)
def test_the_worst_thing_is_the_sentence(changes: dict[str, Any], state: str, verdict: str, words: str) -> None:
    facts = facts_of(look_of(**changes))
    assert (facts.state, facts.verdict) == (state, verdict)
    assert words in facts.says


def test_a_line_that_is_lost_is_named_with_its_reason_and_a_parked_one_is_not_missed() -> None:
    lost = line_of("backup", state=LineState.LOST, reason="killed by SIGKILL")
    parked = line_of("spare", role="cold", state=LineState.IDLE)
    facts = facts_of(look_of(status=status_of(lines=[line_of("primary"), lost, parked])))
    assert facts.says == "Line ctp:backup is lost (killed by SIGKILL)"
    assert [row.verdict for row in facts.lines] == ["good", "critical", "neutral"]


def test_a_feed_without_a_line_that_is_up_is_not_ready() -> None:
    lines = [line_of("primary", state=LineState.REFUSED, reason="CTP:3"), line_of("backup", state=LineState.CONNECTING)]
    facts = facts_of(look_of(status=status_of(lines=lines)))
    assert facts.not_ready == ("feed ctp: no line is up: ctp:primary is refused (CTP:3), ctp:backup is connecting",)
    assert facts.exit_code == 2


def test_an_old_part_is_shown_with_its_age_and_is_never_good() -> None:
    facts = facts_of(look_of(ages={"figures": 12.0}, problems={"figures": "no answer within 2 s"}))
    throughput = card(facts, "throughput")
    assert (throughput.verdict, throughput.note, throughput.figure) == ("stale", "12 s old", "2,500/s")
    assert card(facts, "coverage").verdict == "good"
    assert facts.state == "warnings"
    assert facts.warnings == ("the answer for figures is 12 s old: no answer within 2 s",)
    assert facts_of(look_of(ages={"figures": 10.0})).state == "ready"


def test_a_gateway_that_fell_silent_is_not_ready_and_the_sentence_says_since_when() -> None:
    ages = dict.fromkeys(PARTS, 75.0)
    facts = facts_of(look_of(ages=ages, problems={"status": "nobody answers; is it running?"}))
    assert facts.verdict == "critical"
    assert facts.says.startswith("Gateway 'feedgate' does not answer for 1 min 15 s: nobody answers; is it running?")
    assert "gateway run" in facts.says
    assert {one.verdict for one in facts.cards} == {"stale"}
    assert len(facts.lines) == 2  # what was known last


def test_before_the_first_answer_nothing_is_called_broken_by_name() -> None:
    facts = facts_of(Look(at_ns=NOW, name="feedgate"))
    assert facts.says == "Gateway 'feedgate' is asked; no answer yet"
    assert facts.warnings == ()
    assert facts.lines == facts.exchanges == ()


def test_no_rate_is_a_stop_only_where_the_gateway_misses_ticks() -> None:
    quiet = figures_of(published_rate=0.0)
    assert card(facts_of(look_of(figures=quiet)), "throughput").word == "quiet"
    silent = replace(quiet, lines=[line_figures("primary", silent=True)])
    assert card(facts_of(look_of(figures=silent)), "throughput").verdict == "critical"
    assert card(facts_of(look_of(figures=silent, status=closed(status_of()))), "throughput").word == "closed"


@pytest.mark.parametrize(("p99", "verdict"), [(9.9, "good"), (10.0, "warning"), (100.0, "critical"), (None, "neutral")])
def test_latency_is_judged_by_the_thresholds_of_the_console(p99: float | None, verdict: str) -> None:
    assert card(facts_of(look_of(figures=figures_of(p99_ms=p99))), "latency").verdict == verdict


@pytest.mark.parametrize(
    ("fields", "verdict", "figure"),
    [
        ({"latency_ms": 272.0}, "good", "272 ms"),
        ({"latency_ms": 1000.0}, "warning", "1.0 s"),
        ({"latency_ms": 5000.0}, "critical", "5.0 s"),
        ({"latency_ms": None}, "neutral", "-"),
        ({"error": "the backup refused"}, "critical", "failed"),
    ],
)
def test_the_last_failover_is_judged_and_a_failback_is_none(fields: Any, verdict: str, figure: str) -> None:
    switches = (switch_of("ctp", -5, kind="failback", latency_ms=1.0), switch_of("ctp", -60, **fields))
    found = card(facts_of(look_of(switches=switches)), "failover")
    assert (found.verdict, found.figure) == (verdict, figure)
    assert found.note == "16:52:20 to ctp:backup"


def test_a_bus_that_is_away_is_critical_also_while_the_market_is_closed() -> None:
    away = figures_of(bus_connected=False, held=12)
    assert card(facts_of(look_of(figures=away, status=closed(status_of()))), "held").verdict == "critical"
    assert card(facts_of(look_of(figures=figures_of(held=500))), "held").verdict == "warning"


def test_the_first_share_is_of_the_last_minute_when_there_is_one_and_of_everything_otherwise() -> None:
    once = facts_of(look_of())
    assert [row.first_share for row in once.lines] == [0.25, 0.75]
    assert once.first_share_over_s is None
    earlier = figures_of(
        at_ns=NOW - 30 * SECOND, lines=[line_figures("primary", first=20), line_figures("backup", first=140)]
    )
    live = facts_of(look_of(before=earlier))
    assert [row.first_share for row in live.lines] == [0.75, 0.25]
    assert live.first_share_over_s == 30.0


def test_one_line_alone_has_no_share() -> None:
    facts = facts_of(look_of(figures=figures_of(lines=[line_figures("primary", first=0)])))
    assert facts.lines[0].first_share is None


def test_exchanges_are_the_sums_of_their_products() -> None:
    facts = facts_of(look_of(coverage=(coverage_of(missing=1, stalled=2),)))
    rows = {row.exchange: row for row in facts.exchanges}
    assert list(rows) == ["DCE", "SHFE"]
    shfe = rows["SHFE"]
    assert (shfe.wanted, shfe.carried, shfe.stalled, shfe.missing, shfe.quiet) == (340, 339, 2, 1, 10)
    assert shfe.verdict == "warning"
    assert rows["DCE"].verdict == "good"
    assert [(row.exchange, row.product) for row in facts.products] == [("DCE", "m"), ("SHFE", "ag"), ("SHFE", "rb")]


def test_what_a_terminal_would_obey_is_taken_out_of_every_string() -> None:
    evil = "\x1b[2Jgone\x9b31m\n\u202eline"
    lost = replace(line_of("backup", state=LineState.LOST, reason=evil), account=evil)
    facts = facts_of(
        look_of(
            status=status_of(lines=[line_of("primary"), lost], warnings=[evil]),
            switches=(switch_of("ctp", 1, reason=evil, error=evil),),
            problems={"gaps": evil},
        )
    )
    assert facts.lines[1].reason == "[2Jgone 31m line"
    assert "\\" not in repr(facts)  # which escapes what cannot be printed
