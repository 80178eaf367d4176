"""The T-5 checkpoint: everything is ready five minutes before the market opens. Source: operators' contract, §8."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.calendar import Calendar
from gateway.errors import FeedgateError
from gateway.model import SHANGHAI
from runbook.model import Exit, Window
from runbook.settings.sessions import SMALL_HOURS, SessionConfig


class T5MissedError(FeedgateError):
    """The environment was not ready in time."""

    code = "t5_missed"
    exit_code = Exit.T5_MISSED


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Of one window. Moments are aware, Shanghai."""

    window: Window
    trading_day: int
    due: datetime
    opens: datetime
    closes: datetime


def checkpoint_of(
    calendar: Calendar, window: Window, moment: datetime, lead_s: float, hours: SessionConfig | None = None
) -> Checkpoint | None:
    """The one that counts at a moment; None when the window has no session on that date, or is over.

    The window runs from the first product that opens to the last that closes, or as ``hours`` (SESSION_CONFIG) say,
    which may also say by when all has to be ready; else that is ``lead_s`` before the opening. Raises CalendarError
    beyond the calendar.
    """
    moment = moment.astimezone(SHANGHAI)
    on = moment.date()
    if window == "night" and moment.time() < SMALL_HOURS:
        on -= timedelta(days=1)
    trading_day = _trading_day(calendar, window, on)
    if trading_day is None:
        return None
    sessions = [
        session
        for group in calendar.same_hours(calendar.products)
        for session in calendar.sessions(group[0], trading_day)
        if session.kind == window
    ]
    if not sessions:
        return None
    hours = hours or SessionConfig()
    opens, closes = min(session.opens for session in sessions), max(session.closes for session in sessions)
    opens, closes = hours.bounds(window, opens, closes)
    if moment >= closes:
        return None
    return Checkpoint(window, sessions[0].trading_day, hours.due(window, opens, lead_s), opens, closes)


def _trading_day(calendar: Calendar, window: Window, on: date) -> date | None:
    if window == "day":
        return on if calendar.is_trading_day(on) else None
    return calendar.next_trading_day(on) if calendar.has_night(on) else None


class T5Book:
    """Which checkpoints were passed, over restarts: a small file in the state directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def judge(self, checkpoint: Checkpoint, moment: datetime) -> str:
        """How it stands with everything ready at this moment, in words; passing it is written down.

        A start after T-5 passes when an earlier one of the same session was in time. Raises T5MissedError.
        """
        name = f"{checkpoint.window} {checkpoint.trading_day}"
        due = f"{checkpoint.due.astimezone(SHANGHAI):%H:%M:%S}"
        at = f"{moment.astimezone(SHANGHAI):%H:%M:%S}"
        if moment <= checkpoint.due:
            self._write({name: at})
            early = int((checkpoint.due - moment).total_seconds())
            return f"ready at {at}, {early // 60} min {early % 60} s before T-5 ({due})"
        passed = self._read().get(name)
        if passed:
            return f"ready at {at}; T-5 ({due}) of this session was passed at {passed}"
        late = int((moment - checkpoint.due).total_seconds())
        raise T5MissedError(
            f"T-5 missed: ready at {at}, {late // 60} min {late % 60} s after {due}; tell the desk, and start earlier"
        )

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._path.read_text())
            if isinstance(found, dict):
                return found
        return {}

    def _write(self, passed: dict[str, str]) -> None:
        new = self._path.with_suffix(".new")
        with new.open("w") as file:
            json.dump(passed, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
