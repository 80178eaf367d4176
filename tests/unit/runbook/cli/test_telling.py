"""What people and programs see of a run."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

from runbook.cli.telling import Teller
from runbook.model import ActionRequest, ActionResult, Trigger
from runbook.runner import Run, RunState, Stage

REQUEST = ActionRequest(action="start", operator="desk", trigger=Trigger.CLI)


def run(result: ActionResult | None, **more: Any) -> Run:
    return Run(id="20260930T204500-1f3a9c5e", request=REQUEST, state=RunState.DONE, result=result, **more)


def stage(name: str, text: str, **fields: Any) -> Stage:
    return Stage(at="2026-09-30T20:45:01.123+08:00", stage=name, text=text, fields=fields)


def test_a_stage_is_a_line_with_shanghai_time_and_the_marker_comes_again_with_the_result() -> None:
    out = io.StringIO()
    teller = Teller(out)
    teller.stage(stage("health", "HEALTH=READY", marker="HEALTH=READY"))
    teller.stage(stage("end", "all is up"))
    code = teller.result(run(ActionResult(exit_code=0, message="all is up", output="x.json")), Path("r.log"))
    assert code == 0
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("20:45:01  health")
    assert "marker  HEALTH=READY" in lines
    assert "start: ok (0): all is up" in lines
    assert sum("all is up" in line for line in lines) == 1
    assert "output  x.json" in lines


def test_json_is_one_object_and_nothing_else() -> None:
    out = io.StringIO()
    teller = Teller(out, as_json=True)
    teller.say("cancelling")
    teller.stage(stage("health", "HEALTH=READY", marker="HEALTH=READY"))
    assert teller.result(run(ActionResult(exit_code=14, message="no")), Path("r.log")) == 14
    value = json.loads(out.getvalue())
    assert (value["exit_code"], value["markers"], value["result"]["message"]) == (14, ["HEALTH=READY"], "no")


def test_a_run_without_a_result_is_no_success() -> None:
    assert Teller(io.StringIO()).result(run(None), Path("r.log")) == 2
    assert Teller(io.StringIO(), as_json=True).result(run(None), Path("r.log")) == 2


def test_a_report_is_printed_unless_it_was_told_line_by_line() -> None:
    result = ActionResult(exit_code=0, message="m", details={"text": ["one", "two"]})
    quiet, told = io.StringIO(), io.StringIO()
    Teller(quiet).result(run(result), Path("r.log"))
    teller = Teller(told)
    teller.stage(stage("check", "one"))
    teller.result(run(result), Path("r.log"))
    assert "two" in quiet.getvalue()
    assert "two" not in told.getvalue()


def test_a_reader_that_went_away_changes_no_exit_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    out = os.fdopen(writing, "w", buffering=1)
    try:
        teller = Teller(out)
        teller.stage(stage("health", "x"))
        assert teller.result(run(ActionResult(exit_code=0, message="m")), Path("r.log")) == 0
    finally:
        with contextlib.suppress(BrokenPipeError):
            out.close()
