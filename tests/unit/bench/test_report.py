import json

import pytest

from bench.harness import Record
from bench.report import Round, summarize, table_rows, write


def record(case, offered="saturation", *, rate=1000.0, p99_ms=1.0, lost=0, duplicates=0, **cpu_us):
    return Record(
        case=case,
        offered=offered,
        rate=rate,
        p50_ms=p99_ms / 2,
        p99_ms=p99_ms,
        p999_ms=p99_ms * 2,
        max_ms=p99_ms * 3,
        lost=lost,
        duplicates=duplicates,
        ticks=1000,
        cpu_us=cpu_us,
    )


def report(*rounds, **left_out):
    return summarize(
        [Round(records=list(each), left_out=left_out) for each in rounds], source="sim", quick=False, machine={}
    )


def target(result, name):
    return next(one for one in result.targets if one.name == name)


def test_ratios_are_taken_inside_a_round_and_reported_as_median_and_range():
    result = report(
        [record("per_tick", rate=200.0), record("naive", rate=10.0)],
        [record("per_tick", rate=100.0), record("naive", rate=10.0)],
        [record("per_tick", rate=600.0), record("naive", rate=40.0)],
    )
    spread = result.ratios["per_tick/naive"]
    assert (spread.median, spread.min, spread.max) == (15.0, 10.0, 20.0)


def test_a_case_that_is_missing_leaves_its_ratio_unmeasured_and_its_target_unjudged():
    result = report([record("per_tick", rate=200.0)], **{"vnpy_rpc/saturation": "vnpy is not installed"})
    assert result.ratios["per_tick/vnpy_rpc"] is None
    assert target(result, "per_tick/vnpy_rpc").passed is None
    assert result.left_out["vnpy_rpc/saturation"] == "vnpy is not installed"


def test_a_rate_reached_with_losses_makes_no_ratio():
    result = report([record("per_tick", rate=900.0, lost=1), record("raw", rate=1000.0)])
    assert result.ratios["per_tick/raw"] is None
    assert target(result, "ticks lost or doubled, all runs").passed is False


@pytest.mark.parametrize(("rate", "passed"), [(120_000.0, True), (119_999.0, False)])
def test_a_target_is_judged_on_the_median_of_the_rounds(rate, passed):
    rounds = [[record("per_tick", rate=value)] for value in (rate, 1.0, 1e6)]
    assert target(report(*rounds), "per_tick ticks/s at saturation").passed is passed


def test_the_cost_of_many_contracts_counts_line_and_core_but_neither_server_nor_consumer():
    few = record("per_tick", line=2.0, core=2.0, server=100.0, consumer=1.0)
    many = record("per_tick", "saturation@30000", line=3.0, core=2.0, server=1.0, consumer=900.0)
    result = report([many, few])
    assert result.ratios["cost@30000/cost@100"].median == 1.25
    assert target(result, "cost a tick, 30,000 against 100 contracts").passed is True


def test_a_case_shows_saturation_at_the_top_and_paced_rates_below():
    result = report(
        [record("batch", rate=300.0, lost=2), record("batch", "20000", rate=20_000.0, p99_ms=1.5)],
        [record("batch", rate=100.0, lost=1)],
    )
    case = result.cases["batch"]
    assert (case["rate"], case["lost"]) == (200.0, 3)
    assert case["offered"]["20000"]["p99_ms"] == 1.5


def test_the_written_report_has_the_keys_that_readers_look_for(tmp_path):
    path = tmp_path / "out" / "latest.json"
    write(report([record("per_tick", core=1.5), record("raw")]), path)
    written = json.loads(path.read_text())
    assert {"cases", "ratios", "source", "rounds", "targets"} <= written.keys()
    assert {"rate", "p50_ms", "p99_ms", "p999_ms", "lost", "cpu_us"} <= written["cases"]["per_tick"].keys()
    assert written["ratios"]["per_tick/raw"] == {"median": 1.0, "min": 1.0, "max": 1.0}


def test_the_table_names_the_offered_rate_in_words():
    offered = ("saturation", "saturation@30000", "5000", "10000~0.5")
    rows = list(table_rows(report([record("hot_pair", each) for each in offered])))
    assert [row[1] for row in rows] == ["saturation", "saturation of 30,000", "5,000/s", "10,000/s, linger 0.5"]


def test_a_pair_is_shown_beside_the_single_line_of_its_round_as_a_ratio():
    result = report(
        [record("per_tick", rate=100.0), record("hot_pair", rate=60.0)],
        [record("per_tick", rate=200.0), record("hot_pair", rate=140.0)],
    )
    assert (result.ratios["hot_pair/per_tick"].min, result.ratios["hot_pair/per_tick"].max) == (0.6, 0.7)


@pytest.mark.parametrize(("rate", "passed"), [(75_000.0, True), (74_999.0, False)])
def test_a_pairs_rate_counts_published_ticks(rate, passed):
    assert target(report([record("hot_pair", rate=rate)]), "hot_pair published/s at saturation").passed is passed


def test_a_pair_with_a_wrong_tick_fails_its_target_and_makes_no_ratio():
    spoilt = record("hot_pair", rate=90_000.0)
    spoilt.wrong = 1
    result = report([record("per_tick"), spoilt])
    assert result.ratios["hot_pair/per_tick"] is None
    assert target(result, "pairs: wrong content, order or books").passed is False
    assert result.cases["hot_pair"]["wrong"] == 1


def test_the_prompt_target_is_judged_on_the_short_linger_and_not_on_the_default():
    result = report([record("hot_pair", "10000", p99_ms=1.6), record("hot_pair", "10000~0.5", p99_ms=0.9)])
    assert target(result, "hot_pair p99 ms at 10,000/s, linger 0.5 ms").passed is True


def test_arbitration_is_judged_by_cpu_time_and_shows_no_latency():
    result = report([record("arbitrate", core=0.4), record("arbitrate", "saturation@30000", core=1.6)])
    assert target(result, "arbitration, µs a tick, 100 contracts").passed is True
    assert target(result, "arbitration, µs a tick, 30,000 contracts").passed is False
    assert next(table_rows(result))[3:6] == ("", "", "")


def test_growth_with_many_contracts_is_that_of_the_single_line():
    pair = [record("hot_pair", core=1.0), record("hot_pair", "saturation@30000", core=9.0)]
    single = [record("per_tick", core=2.0), record("per_tick", "saturation@30000", core=3.0)]
    assert report([*pair, *single]).ratios["cost@30000/cost@100"].median == 1.5
