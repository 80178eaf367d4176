import ctypes

import pytest

from bench.cases import CASES, MANY, plan
from bench.load import Load
from bench.native import NoCompilerError, build
from bench.simulated import Depth


def test_each_case_is_measured_at_saturation_before_its_paced_rates():
    steps = plan()
    for name in CASES:
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
