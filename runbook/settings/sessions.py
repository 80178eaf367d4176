"""``SESSION_CONFIG``: a TOML file with the times of the day and the night session. This is its only reader.

What the file does not say comes from the trading calendar, which also says which days trade. All times are Shanghai's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from gateway.errors import SettingsError
from gateway.model import SHANGHAI
from gateway.settings.names import nearest
from runbook.settings.jobs import JobSettings

VARIABLE: Final = "SESSION_CONFIG"
KEYS: Final = ("opens", "closes", "ready_by")
TABLES: Final = ("day", "night")
SMALL_HOURS: Final = time(6)
"""Before it a moment belongs to the night that began on the evening before."""

_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_EVENING: Final = time(16)
_LAST: Final = time(20)
_USUAL: Final = {"day": "09:00", "night": "21:00"}
_USUAL_T5: Final = {"day": "08:55", "night": "20:55"}
"""Openings and T-5 that the defaults of the job times belong to. Source: the operators' contract, §8."""
_MOVE: Final = {
    "day": ("refresh_contracts_at", "day_start_at", "day_t5_at"),
    "night": ("night_validate_at", "night_health_at", "night_t5_at"),
}
_BEFORE_T5: Final = {"day": ("day_start_at",), "night": ("night_validate_at", "night_health_at")}
_T5: Final = {"day": "day_t5_at", "night": "night_t5_at"}

Kind = Literal["day", "night"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHours:
    """One window of every trading day."""

    opens: time
    closes: time
    """Of a night it may lie on the morning after."""
    ready_by: time | None = None
    """T-5. None: as long before the opening as ``start.t5_lead_s`` says."""

    def bounds(self, on: date) -> tuple[datetime, datetime]:
        """Opening and close of the window that opens on a date; aware, Shanghai."""
        last = on if self.closes > self.opens else on + timedelta(days=1)
        return datetime.combine(on, self.opens, SHANGHAI), datetime.combine(last, self.closes, SHANGHAI)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What the file says; a window that it does not have is the calendar's."""

    day: SessionHours | None = None
    night: SessionHours | None = None
    path: Path | None = None

    def of(self, window: Kind) -> SessionHours | None:
        return self.day if window == "day" else self.night

    def bounds(self, window: Kind, opens: datetime, closes: datetime) -> tuple[datetime, datetime]:
        """The window that the calendar has at these moments, as the file has it."""
        hours = self.of(window)
        return (opens, closes) if hours is None else hours.bounds(opens.astimezone(SHANGHAI).date())

    def due(self, window: Kind, opens: datetime, lead_s: float) -> datetime:
        """T-5 of a window that opens then."""
        hours = self.of(window)
        if hours is None or hours.ready_by is None:
            return opens - timedelta(seconds=lead_s)
        return datetime.combine(opens.astimezone(SHANGHAI).date(), hours.ready_by, SHANGHAI)


def read_sessions(path: Path | None) -> SessionConfig:
    """Read the file; without one everything is the calendar's. Blocks.

    Raises SettingsError with a finding for everything that is wrong, each naming file, key and fix.
    """
    if path is None:
        return SessionConfig()
    where = f"{VARIABLE} ({path})"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            [f"{where}: cannot be read: {error.strerror}; correct the path or its permissions"]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{where}: is not TOML: {error}; see docs/jobs.md for an example"]) from None
    findings = [f"{where}: {text}" for text in _unknown(document)]
    found: dict[str, SessionHours] = {}
    for table in TABLES:
        given = document.get(table)
        if isinstance(given, Mapping):
            hours, said = _hours(table, given)
            findings += [f"{where}: {text}" for text in said]
            if hours is not None:
                found[table] = hours
    if not findings and not found:
        findings.append(f"{where}: has neither [day] nor [night]; write at least one, or unset {VARIABLE}")
    if findings:
        raise SettingsError(findings)
    return SessionConfig(day=found.get("day"), night=found.get("night"), path=path)


def fitted(settings: JobSettings, config: SessionConfig) -> JobSettings:
    """The job times for these sessions: what nobody set moves along with the opening, what was set must fit.

    Raises SettingsError with a finding for each that does not.
    """
    changes: dict[str, str] = {}
    findings: list[str] = []
    for window in TABLES:
        hours = config.day if window == "day" else config.night
        if hours is None:
            continue
        usual, at = (_USUAL[window], hours.opens) if hours.ready_by is None else (_USUAL_T5[window], hours.ready_by)
        moved = _minutes(at) - _minutes(time.fromisoformat(usual))
        for name in _MOVE[window]:
            if name not in settings.model_fields_set:
                changes[name] = _shifted(getattr(settings, name), moved)
        findings += _late(settings, changes, window, hours, config.path)
    findings += _drill(settings, config)
    if findings:
        raise SettingsError(findings)
    return settings.model_copy(update=changes)


def _late(
    settings: JobSettings, changes: Mapping[str, str], window: str, hours: SessionHours, path: Path | None
) -> Iterator[str]:
    """Job times that come after T-5, and a T-5 that comes after all has to be ready, or with the opening."""
    t5 = changes.get(_T5[window], getattr(settings, _T5[window]))
    where = f"{VARIABLE} ({path})"
    if hours.ready_by is not None and t5 > f"{hours.ready_by:%H:%M}":
        yield f"runbook.schedule.{_T5[window]}: {t5} is after {window}.ready_by of {where}; write one of the two only"
    elif t5 >= f"{hours.opens:%H:%M}":
        yield f"runbook.schedule.{_T5[window]}: {t5} is not before {window}.opens of {where}; leave it unset"
    for name in _BEFORE_T5[window]:
        at = changes.get(name, getattr(settings, name))
        if at >= t5:
            yield f"runbook.schedule.{name}: {at} is not before T-5 ({t5}) by {where}; leave it unset, or earlier"


def _drill(settings: JobSettings, config: SessionConfig) -> Iterator[str]:
    if config.day is None or settings.drill_mode != "live" or "drill" in settings.disabled:
        return
    begins = _minutes(time.fromisoformat(settings.drill_at))
    if begins < _minutes(config.day.opens) or begins + settings.drill_window_s / 60 > _minutes(config.day.closes):
        hours = f"{config.day.opens:%H:%M}-{config.day.closes:%H:%M}"
        yield (
            f"runbook.schedule.drill_at: {settings.drill_at} puts a live drill outside the day of {VARIABLE} "
            f"({config.path}), {hours}; move it, or set drill_mode to mock"
        )


def _unknown(document: Mapping[str, Any]) -> Iterator[str]:
    for name, given in document.items():
        if name not in TABLES:
            guess = nearest(name, TABLES)
            yield f"{name}: no such table; " + (f"did you mean [{guess}]?" if guess else "there are [day] and [night]")
        elif not isinstance(given, Mapping):
            yield f'{name}: is no table; write [{name}] and below it opens = "{_USUAL[name]}"'
        else:
            for key in given:
                if key not in KEYS:
                    guess = nearest(key, KEYS)
                    hint = f"did you mean {guess}?" if guess else f"the keys here are: {', '.join(KEYS)}"
                    yield f"{name}.{key}: no such key; {hint}"


def _hours(table: str, given: Mapping[str, Any]) -> tuple[SessionHours | None, list[str]]:
    times: dict[str, time] = {}
    findings = []
    for key in KEYS:
        if key not in given:
            if key != "ready_by":
                findings.append(f'{table}.{key}: is missing; write {key} = "HH:MM"')
            continue
        at = _time(given[key])
        if at is None:
            findings.append(f'{table}.{key}: is not a time of day; write "HH:MM" in Shanghai time, such as "09:00"')
        else:
            times[key] = at
    if findings:
        return None, findings
    hours = SessionHours(**times)
    findings = [f"{table}.{key}: {text}" for key, text in _order(table, hours)]
    return (None, findings) if findings else (hours, [])


def _order(table: str, hours: SessionHours) -> Iterator[tuple[str, str]]:
    if table == "day":
        if hours.opens < SMALL_HOURS:
            yield "opens", f"is before {SMALL_HOURS:%H:%M}, which belongs to the night; write a later time"
        if not hours.opens < hours.closes <= _LAST:
            yield "closes", f"is not between the opening and {_LAST:%H:%M}; write a time of the same day"
    else:
        if hours.opens < _EVENING:
            yield "opens", f"is before {_EVENING:%H:%M}; a night opens in the evening"
        if not (hours.closes > hours.opens or hours.closes <= SMALL_HOURS):
            yield "closes", f"is neither after the opening nor by {SMALL_HOURS:%H:%M} of the morning after; correct it"
    if hours.ready_by is not None and hours.ready_by >= hours.opens:
        yield "ready_by", f"is not before the opening ({hours.opens:%H:%M}); write an earlier time of the same day"


def _time(value: object) -> time | None:
    if isinstance(value, time):
        return value if not value.second and not value.microsecond else None
    return time.fromisoformat(value) if isinstance(value, str) and _TIME.fullmatch(value) else None


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute


def _shifted(at: str, minutes: int) -> str:
    """Never before midnight: a day that opens very early has its jobs at 00:00."""
    hours, rest = divmod(max(0, _minutes(time.fromisoformat(at)) + minutes), 60)
    return f"{hours:02}:{rest:02}"
