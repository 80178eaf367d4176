"""Flags made from parameters, and parameters read back from flags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from runbook.cli.fields import WrongValueError, add_fields, parameters_from
from runbook.hookspecs import ActionKind


class Everything(BaseModel, extra="forbid", frozen=True):
    many: list[str] = Field(default_factory=list, description="Patterns, comma separated")
    words: tuple[str, ...] = Field((), description="Sentences")
    mode: Literal["look", "act"] = Field("look", description="How")
    lag_warning: float | None = Field(None, gt=0, description="Seconds, 100% of them")
    count: int = Field(3, le=9, description="How many")
    quick: bool = Field(False, description="Be quick")
    tidy: bool = Field(True, description="Be tidy")
    place: Path | None = Field(None, description="Where")
    figures: dict[str, float] = Field(default_factory=dict, description="Figures")
    debug: bool = Field(False, description="Talk")


KIND = ActionKind(name="everything", title="Everything", build=lambda: None, parameters=Everything)  # type: ignore[arg-type,return-value]  # never built


def read(*words: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_fields(parser, KIND, taken=("debug",))
    return parameters_from(KIND, parser.parse_args(words))


def test_nothing_given_is_nothing_said_so_that_the_defaults_stay_the_actions_own() -> None:
    assert read() == {}


def test_each_sort_of_parameter_has_its_sort_of_flag() -> None:
    found = read(
        *("--many", "SHFE.rb*, DCE.m*", "--many", "CFFEX.*", "--mode", "act", "--lag-warning", "2.5", "--count", "4"),
        *("--quick", "--no-tidy", "--place", "a/b", "--figures", "x=1.5", "--figures", "y=2"),
    )
    assert found == {
        "many": ["SHFE.rb*", "DCE.m*", "CFFEX.*"],
        "mode": "act",
        "lag_warning": 2.5,
        "count": 4,
        "quick": True,
        "tidy": False,
        "place": "a/b",
        "figures": {"x": 1.5, "y": 2.0},
    }
    Everything.model_validate(found)


def test_a_sentence_with_a_comma_stays_one_and_bare_names_are_several() -> None:
    assert read("--words", "restarted it, then waited", "--words", "a,b")["words"] == [
        "restarted it, then waited",
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("--count", "x"), "--count"),
        (("--count", "10"), "--count"),
        (("--lag-warning", "0"), "--lag-warning"),
        (("--figures", "x"), "--figures"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_flag(words: tuple[str, ...], flag: str) -> None:
    with pytest.raises(WrongValueError, match=flag):
        read(*words)


def test_a_refused_value_is_not_repeated() -> None:
    with pytest.raises(WrongValueError) as refused:
        read("--count", "hunter2-in-the-wrong-place")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__context__ is None


def test_a_parameter_that_a_common_flag_means_has_no_flag_of_its_own() -> None:
    with pytest.raises(SystemExit):
        read("--debug")


def test_the_help_shows_description_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_fields(parser, KIND, taken=())
    text = parser.format_help()
    assert "How many (default: 3)" in text
    assert "100% of them" in text
    assert "{look,act}" in text
