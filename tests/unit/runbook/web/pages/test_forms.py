"""Forms of typed parameters, there and back."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from runbook.actions.drill import DrillParameters
from runbook.app.builtin import builtin
from runbook.runner import collect_kinds
from runbook.web.pages.forms import fields_of, parameters_from


class Sample(BaseModel, extra="forbid"):
    """All sorts."""

    line: str = Field(description="Which line")
    within: float = Field(30.0, description="Seconds")
    fix: bool = False
    eager: bool = True
    how: Literal["soft", "hard"] | None = None
    only: list[str] = []


def test_each_parameter_is_a_field_with_its_default() -> None:
    fields = {field.name: field for field in fields_of(Sample, {})}
    assert {name: field.kind for name, field in fields.items()} == {
        "p.line": "text",
        "p.within": "number",
        "p.fix": "check",
        "p.eager": "check",
        "p.how": "choice",
        "p.only": "list",
    }
    assert (fields["p.line"].required, fields["p.within"].value, fields["p.eager"].value) == (True, "30.0", "on")
    assert fields["p.how"].choices == ("soft", "hard")
    assert fields["p.line"].help == "Which line"


def test_what_the_address_says_stands_in_the_form() -> None:
    (field, *_) = fields_of(Sample, {"line": "ctp:primary"})
    assert field.value == "ctp:primary"


def test_what_is_sent_is_what_the_model_takes() -> None:
    sent = {"p.line": " ctp:backup ", "p.within": "5", "p.fix": "on", "p.only": "a, b,", "p.how": "", "reason": "x"}
    found = parameters_from(Sample, sent)
    assert found == {"line": "ctp:backup", "within": "5", "fix": True, "eager": False, "only": ["a", "b"]}
    read = Sample.model_validate(found)
    assert (read.within, read.eager, read.how) == (5.0, False, None)


def test_an_untouched_form_means_the_defaults() -> None:
    sent = {field.name: field.value for field in fields_of(DrillParameters, {})}
    assert DrillParameters.model_validate(parameters_from(DrillParameters, sent)) == DrillParameters()


@pytest.mark.parametrize("name", sorted(collect_kinds(None, builtin(None)[0]).by_name))
def test_every_built_in_action_has_a_form_that_its_model_takes(name: str) -> None:
    model = collect_kinds(None, builtin(None)[0]).by_name[name].parameters
    fields = fields_of(model, {})
    if not any(field.required for field in fields):
        sent = {field.name: field.value for field in fields}
        assert model.model_validate(parameters_from(model, sent)) == model()
