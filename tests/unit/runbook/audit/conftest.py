"""Records, a clock that moves a second per look, and a log of thirty records in several files."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook.audit import AuditIndex, AuditLog
from runbook.model import AuditRecord

NOVEMBER = 1_795_222_800 * 1_000_000_000
"""2026-11-21T11:00:00+08:00."""


class StepClock:
    """Each look at the wall is a second later."""

    def __init__(self, wall_ns: int = NOVEMBER, step_s: float = 1.0) -> None:
        self.now_ns = wall_ns
        self.step_ns = round(step_s * 1e9)

    def wall_ns(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def pass_days(self, days: float) -> None:
        self.now_ns += round(days * 86_400 * 1e9)


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture(scope="session")
def new_clock() -> Callable[[], StepClock]:
    return StepClock


@pytest.fixture(scope="session")
def record() -> Callable[..., AuditRecord]:
    numbers = itertools.count(1)

    def make(**changes: Any) -> AuditRecord:
        fields: dict[str, Any] = {
            "run": f"run-{next(numbers)}",
            "event": "start",
            "at": "2026-11-21T08:45:00.000+08:00",
            "action": "failover",
            "operator": "wang",
            "trigger": "cli",
            "session": "day",
            "window": "day",
            "profile": "live",
            "config": "primary",
            "mode": "live",
            "reason": "主线断开",
            "parameters": {"fault": "kill-line"},
        }
        return AuditRecord(**(fields | changes))

    return make


@pytest.fixture(scope="session")
def fill(record: Callable[..., AuditRecord]) -> Callable[..., AuditLog]:
    """Thirty records in about four files; with index."""

    def make(directory: Path, *, key: bytes | None = None, count: int = 30, max_bytes: int = 5000) -> AuditLog:
        log = AuditLog(directory, StepClock(), key=key, max_bytes=max_bytes)
        for number in range(count):
            log.append(record(run=f"run-{number // 2}", event=("start", "stop")[number % 2], message=f"step {number}"))
        AuditIndex(directory).refresh()
        return log

    return make


@pytest.fixture
def directory(tmp_path: Path, fill: Callable[..., AuditLog]) -> Path:
    """Of an audit with thirty records, without a key."""
    fill(tmp_path / "audit")
    return tmp_path / "audit"
