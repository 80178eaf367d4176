"""When the jobs run. Times are Shanghai times, whatever the machine's zone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.settings.fields import Count, Seconds
from gateway.settings.section import Section
from runbook.settings.fields import TimeOfDay

JOBS: Final = (
    "refresh-contracts",
    "day-start",
    "day-t5",
    "night-validate",
    "night-health",
    "night-t5",
    "session-open",
    "hourly-health",
    "session-close",
    "drill",
    "log-scan",
    "archive",
    "retention",
)
"""Names of all jobs, as operators type them."""

_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_DAY_OPENS: Final = "09:00"
_DAY_ENDS: Final = "15:00"
_NIGHT_OPENS: Final = "21:00"


def _job_name(name: str) -> str:
    if name not in JOBS:
        near = difflib.get_close_matches(name, JOBS, n=1)
        raise ValueError(f"is no job; did you mean {near[0]}?" if near else f"is no job; there are {', '.join(JOBS)}")
    return name


JobName = Annotated[str, AfterValidator(_job_name)]
Minutes = Annotated[Count, Field(le=60)]


class JobSettings(Section):
    """Jobs by the trading calendar."""

    enabled: bool = Field(default=True, description="Run jobs while the API is served")
    disabled: list[JobName] = Field(default_factory=list, description="Jobs that are left out, by name")
    refresh_contracts_at: TimeOfDay = Field(default="08:30", description="Contracts are refreshed, each trading day")
    day_start_at: TimeOfDay = Field(default="08:45", description="The environment is started for the day session")
    day_t5_at: TimeOfDay = Field(default="08:55", description="T-5 checkpoint of the day session")
    night_validate_at: TimeOfDay = Field(
        default="20:45", description="The environment is validated for the night session"
    )
    night_health_at: TimeOfDay = Field(default="20:50", description="Health check before the night session")
    night_t5_at: TimeOfDay = Field(default="20:55", description="T-5 checkpoint of the night session")
    after_open_min: Minutes = Field(
        default=1,
        description="The health check of the opening is this long after it",
        json_schema_extra={"unit": "minutes"},
    )
    before_close_min: Minutes = Field(
        default=1,
        description="The last health check of a session, so long before its end",
        json_schema_extra={"unit": "minutes"},
    )
    drill_weekday: Literal["mon", "tue", "wed", "thu", "fri"] = Field(
        default="wed", description="Day of the weekly drill; a holiday moves it within its week"
    )
    drill_at: TimeOfDay = Field(default="14:15", description="Beginning of the window in which the drill may begin")
    drill_window_s: Seconds = Field(
        default=1800.0, description="Length of that window; a drill never begins outside it"
    )
    drill_mode: Literal["live", "mock"] = Field(
        default="live", description="Drill on the live path, or on the simulator"
    )
    log_scan_at: TimeOfDay = Field(default="15:45", description="Logs are searched for errors, each trading day")
    archive_at: TimeOfDay = Field(default="16:30", description="Logs are archived, each trading day")
    retention_at: TimeOfDay = Field(default="17:00", description="Old files are removed, each trading day")
    on_time_s: Seconds = Field(
        default=60.0, description="A job that begins later than this is called late in its reason"
    )
    t5_grace_s: Seconds = Field(default=120.0, description="A T-5 checkpoint may begin this late; later it is missed")
    retry_s: Seconds = Field(default=30.0, description="Wait before a job that found the runner busy asks again")
    heartbeat_s: Seconds = Field(default=15.0, description="Time between two looks for suspends and stepped clocks")

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Times in the wrong half of the day, in the wrong order, or a live drill when nothing trades."""
        yield from _early(cls, given, ("day_start_at", "day_t5_at"), _DAY_OPENS)
        yield from _early(cls, given, ("night_validate_at", "night_health_at", "night_t5_at"), _NIGHT_OPENS)
        at = cls._time(given, "drill_at")
        length = cls.number(given, "drill_window_s")
        if given.get("drill_mode", "live") == "live" and at and length is not None:
            hours, minutes = at.split(":")
            end = int(hours) * 3600 + int(minutes) * 60 + length
            if not (at >= _DAY_OPENS and end <= int(_DAY_ENDS[:2]) * 3600):
                field = next((name for name in ("drill_at", "drill_window_s") if name in given), "drill_mode")
                yield field, f"puts a live drill outside {_DAY_OPENS}-{_DAY_ENDS}; move it, or set drill_mode to mock"

    @classmethod
    def _time(cls, given: Mapping[str, object], field: str) -> str | None:
        value = given.get(field, cls.model_fields[field].default)
        return value if isinstance(value, str) and _TIME.fullmatch(value) else None


def _early(
    model: type[JobSettings], given: Mapping[str, object], fields: tuple[str, ...], opens: str
) -> Iterator[tuple[str, str]]:
    """The fields have to be in order, and before the session opens."""
    limits = [*fields[1:], None]
    for field, limit in zip(fields, limits, strict=True):
        at = model._time(given, field)  # noqa: SLF001 - of this module
        before = opens if limit is None else model._time(given, limit)  # noqa: SLF001 - of this module
        if at is None or before is None or at < before:
            continue
        if field in given:
            yield field, f"is not before {limit or 'the opening'} ({before}); write an earlier time"
        elif limit is not None and limit in given:
            yield limit, f"is not after {field} ({at}); write a later time"
