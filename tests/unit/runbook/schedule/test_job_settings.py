from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runbook.schedule.jobs import build_jobs
from runbook.schedule.windows import MarketWindows
from runbook.settings.jobs import JOBS, JobSettings


def test_the_defaults_are_the_times_of_the_operators_contract() -> None:
    settings = JobSettings()
    assert (settings.day_start_at, settings.day_t5_at) == ("08:45", "08:55")
    assert (settings.night_validate_at, settings.night_health_at, settings.night_t5_at) == ("20:45", "20:50", "20:55")
    assert settings.enabled


def test_every_named_job_is_built_in_that_order(windows: MarketWindows) -> None:
    assert tuple(job.name for job in build_jobs(windows, JobSettings())) == JOBS


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"day_start_at": "9 o'clock"}, "write HH:MM"),
        ({"day_start_at": "09:30"}, "day_start_at is not before"),
        ({"day_start_at": "08:56"}, r"day_start_at is not before day_t5_at \(08:55\)"),
        ({"day_t5_at": "08:40"}, r"day_t5_at is not after day_start_at \(08:45\)"),
        ({"day_t5_at": "09:00"}, r"not before the opening \(09:00\)"),
        ({"night_t5_at": "21:05"}, r"not before the opening \(21:00\)"),
        ({"night_validate_at": "20:52"}, r"night_validate_at is not before night_health_at"),
        ({"drill_weekday": "sat"}, "mon.*fri"),
        ({"drill_at": "16:00"}, "live drill outside"),
        ({"drill_at": "14:45"}, "live drill outside"),
        ({"drill_window_s": 7200}, "drill_window_s puts a live drill outside"),
        ({"disabled": ["dril"]}, "did you mean drill"),
        ({"disabled": ["x"]}, "is no job; there are refresh-contracts"),
        ({"heartbeat_s": 0}, "greater than 0"),
        ({"dril_at": "10:00"}, "not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        JobSettings(**given)


def test_a_mock_drill_may_be_outside_the_market() -> None:
    assert JobSettings(drill_at="17:30", drill_mode="mock").drill_at == "17:30"
