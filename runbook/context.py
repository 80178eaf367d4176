"""What an action is given: settings, clock, places, and a way to say how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.client import Client
from gateway.clock import Clock
from gateway.settings import Settings
from runbook.model import ActionRequest
from runbook.settings import RunbookSettings


def _silent(_stage: str, _text: str, _fields: Mapping[str, Any]) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionContext:
    """One run. Nothing of it may be kept after the run."""

    run: str
    request: ActionRequest
    settings: Settings
    """Of the gateway, with secret references unresolved."""
    runbook: RunbookSettings
    clock: Clock
    log_dir: Path
    connect: Callable[[], AbstractAsyncContextManager[Client]]
    """A client of the running gateway; raises BusError (exit code 12) when it cannot be reached."""
    tell: Callable[[str, str, Mapping[str, Any]], None] = field(default=_silent)
    """``tell(stage, text, fields)``: progress, shown live and written to the run's log. Returns at once."""
