"""docs/jobs.md against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runbook.schedule.jobs import Job
from runbook.settings.jobs import JobSettings

PAGE = Path(__file__).resolve().parents[4] / "docs" / "jobs.md"


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    found = re.findall(r"^\| `([^`]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: rest.split(" | ") for name, rest in found}


def test_every_job_is_documented_with_its_action_and_its_rule(rows: dict[str, list[str]], jobs: dict[str, Job]) -> None:
    for name, job in jobs.items():
        _, action, rule = rows.pop(name)
        assert action.startswith(f"`{job.action}`")
        assert rule == job.rule
    assert set(rows) == set(JobSettings.model_fields)


def test_every_setting_is_documented_with_its_default(rows: dict[str, list[str]]) -> None:
    for name, field in JobSettings.model_fields.items():
        assert rows[name] == [f"`{field.get_default(call_default_factory=True)}`", field.description]
