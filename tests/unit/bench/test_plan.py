import ctypes

import msgspec
import pytest

from bench.cases import CASES, FEW, MANY, PROMPT, PROMPT_LINGER_MS, plan
from bench.load import Load
from bench.native import NoCompilerError, build
from bench.pipeline import settings_for
from bench.simulated import Depth
from gateway.settings import LineSettings


def test_each_case_is_measured_at_saturation_before_its_paced_rates():
    steps = plan()
    for name in CASES.keys() - {"arbitrate"}:
        own = [step for step in steps if step.case == name]
        assert own[0].offered == 0
        assert {5_000, 20_000, 50_000, 100_000} <= {step.offered for step in own}


def test_the_rates_of_the_targets_are_among_the_steps():
    labels = {(step.case, step.label) for step in plan()}
    assert {("per_tick", "120000"), ("batch", "200000"), ("per_tick", "saturation@30000")} <= labels


def test_the_quick_plan_still_compares_many_contracts_with_few():
    assert {"saturation", f"saturation@{MANY}"} <= {step.label for step in plan("per_tick", quick=True)}


def test_the_warm_up_is_whole_blocks_and_reaches_every_instrument():
    for step in plan():
        load = step.load(control="", source="sim", module="", nats="", port=0)
        assert load.warm % 256 == 0
        assert load.warm >= load.instruments


def test_a_load_travels_as_the_options_of_a_feed():
    load = Load(control="/tmp/x", instruments=7, rate=5)
    assert Load.of({"control": "/tmp/x", "instruments": 7, "rate": 5}) == load


def test_the_simulated_struct_has_the_vendors_offsets():
    depth = Depth()
    depth.struct.InstrumentID_ = b"fb00001"
    depth.struct.Turnover = 2.5
    raw = ctypes.string_at(depth.this, 584)
    assert raw[401:408] == b"fb00001"
    assert ctypes.c_double.from_buffer_copy(raw, 144).value == 2.5
    assert depth.InstrumentID == "fb00001"


def test_without_a_compiler_the_native_source_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("bench.native.BUILD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoCompilerError, match=r"apt install g\+\+.*--source sim"):
        build()


def test_a_hot_pair_is_measured_at_the_rates_of_its_targets_and_prompt_ones_say_so():
    steps = [step for step in plan() if step.case == "hot_pair"]
    assert {"saturation", "saturation@30000", "75000", "10000"} <= {step.label for step in steps}
    prompt = [step for step in steps if step.linger_ms is not None]
    assert [step.label for step in prompt] == [f"10000~{PROMPT_LINGER_MS:g}"]


def test_the_raw_sockets_show_what_the_machine_takes_at_the_rate_of_the_prompt_pair():
    assert {"raw", "hot_pair"} <= {step.case for step in plan() if step.offered == PROMPT}


def test_the_single_line_and_the_pair_are_neighbours_in_a_round():
    saturated = [step.case for step in plan() if not step.offered and step.instruments == FEW]
    assert saturated.index("hot_pair") - saturated.index("per_tick") in (1, 2)


def test_arbitration_alone_is_measured_with_few_and_with_many_contracts_and_never_paced():
    assert [step.label for step in plan("arbitrate")] == ["saturation", f"saturation@{MANY}"]


def test_several_cases_may_be_asked_for_at_once():
    assert {step.case for step in plan(["per_tick", "hot_pair"], quick=True)} == {"per_tick", "hot_pair"}


def test_both_lines_of_a_pair_are_given_the_same_load_and_their_own_place():
    (step,) = [step for step in plan("hot_pair") if step.label == "75000"]
    settings = settings_for(step.load(control="/c", source="sim", module="", nats="nats://127.0.0.1:1", port=0))
    (name, feed), *others = settings.feeds.items()
    loads = [Load.of(feed.options_of(account)) for account in feed.accounts]
    assert ([name], others) == (["ctp"], [])
    assert list(feed.accounts) == ["primary", "backup"]
    assert [load.place for load in loads] == [0, 1]
    assert msgspec.structs.replace(loads[1], place=0) == loads[0]
    assert (loads[0].rate, loads[0].lines) == (75_000, 2)


def test_the_default_linger_is_left_to_the_gateway_unless_a_step_sets_it():
    lingers = {
        step.label: settings_for(
            step.load(control="/c", source="sim", module="", nats="nats://127.0.0.1:1", port=0)
        ).lines.linger_ms
        for step in plan("hot_pair")
    }
    assert lingers["10000"] == LineSettings().linger_ms
    assert lingers[f"10000~{PROMPT_LINGER_MS:g}"] == PROMPT_LINGER_MS
