"""A run of an action: what it is while it goes on, and what is kept of it. Values only."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.model import SHANGHAI
from runbook.model import ActionRequest, ActionResult, Trigger


class RunState(enum.StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    """Accepted; its start is being recorded."""
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One thing that a run told about itself."""

    at: str
    """RFC 3339 with +08:00."""
    stage: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as of now. Everything in it is masked, so that it may be shown."""

    id: str
    request: ActionRequest
    """As asked, its parameters, reason and operator masked."""
    state: RunState
    result: ActionResult | None = None
    """Of a run that is done."""
    started: str = ""
    """RFC 3339 with +08:00; empty: never begun."""
    finished: str = ""
    stages: tuple[Stage, ...] = ()
    """The latest ones; the run's log has all."""
    refused: bool = False
    """It was never begun: wrong parameters, not allowed, busy, or no audit."""
    replayed: bool = False
    """The answer to a second request with the same idempotency key: nothing was done for it."""
    died: bool = False
    """Its process ended in the middle of it."""

    @property
    def exit_code(self) -> int | None:
        """Of a run that is done."""
        return self.result.exit_code if self.result else None

    def as_json(self) -> dict[str, Any]:
        """JSON values, for files and the API."""
        return asdict(self)


def run_from_json(value: Mapping[str, Any]) -> Run:
    """What :meth:`Run.as_json` made. Raises KeyError, TypeError or ValueError for anything else."""
    request = dict(value["request"])
    request["trigger"] = Trigger(request["trigger"])
    result = value["result"]
    return Run(
        id=str(value["id"]),
        request=ActionRequest(**request),
        state=RunState(value["state"]),
        result=ActionResult(**result) if result is not None else None,
        started=value["started"],
        finished=value["finished"],
        stages=tuple(Stage(**stage) for stage in value.get("stages", ())),
        refused=value.get("refused", False),
        replayed=value.get("replayed", False),
        died=value.get("died", False),
    )


def shanghai(wall_ns: int) -> str:
    """RFC 3339 with milliseconds and +08:00."""
    seconds, ns = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, SHANGHAI).replace(microsecond=ns // 1000)
    return moment.isoformat(timespec="milliseconds")


def run_id(wall_ns: int, salt: str) -> str:
    """``20260930T204500-1f3a9c5e``: sorts by time, reads well in a file name."""
    return f"{datetime.fromtimestamp(wall_ns // 1_000_000_000, SHANGHAI):%Y%m%dT%H%M%S}-{salt}"


def new_run_id(wall_ns: int) -> str:
    """One that nobody else has, ``20260930T204500-8f3a1`` and eight digits of chance.

    The first five digits are the fraction of the second, so that two runs of one second sort as they began.
    """
    fraction = (wall_ns % 1_000_000_000 << 20) // 1_000_000_000
    return run_id(wall_ns, f"{fraction:05x}{secrets.token_hex(4)}")


def replay_of(run: Run) -> Run:
    """The same answer, for whoever asked again."""
    return replace(run, replayed=True)
