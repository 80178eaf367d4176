"""An action's context on a temporary directory, with a gateway that is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Client
from gateway.errors import BusError
from gateway.model import SHANGHAI
from gateway.settings import Settings
from gateway.testing.clock import ManualClock
from runbook.context import ActionContext
from runbook.model import ActionRequest, Trigger
from runbook.settings import RunbookSettings

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=SHANGHAI)


@asynccontextmanager
async def nobody() -> AsyncIterator[Client]:
    raise BusError("nats://127.0.0.1:4222 refuses; start it")
    yield  # a generator


class Desk:
    """Makes contexts, and files of a given age."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = ManualClock(int(NOON.timestamp() * 1e9))
        self.told: list[str] = []
        self.gateway = Settings.model_validate({"metrics": {"enabled": False}})
        self.places = {
            "log_dir": root / "logs" / "runbooks",
            "soak_dir": root / "logs" / "soak",
            "archive_dir": root / "logs" / "archive",
            "incident_dir": root / "logs" / "incidents",
            "state_dir": root / "state",
            "vault": {"runtime_file": root / "logs" / "runbooks" / "odd-name.txt"},
        }
        self.settings = RunbookSettings.model_validate(self.places)

    def configure(self, **more: Any) -> None:
        self.settings = RunbookSettings.model_validate({**self.places, **more})

    def context(self, action: str, *, dry_run: bool = False, **more: Any) -> ActionContext:
        request = ActionRequest(action=action, operator="li", trigger=Trigger.CLI, dry_run=dry_run, **more)
        return ActionContext(
            run="20261120T120000-0a1b2c3d",
            request=request,
            settings=self.gateway,
            runbook=self.settings,
            clock=self.clock,
            log_dir=self.settings.log_dir,
            connect=nobody,
            tell=lambda stage, text, fields: self.told.append(text),
        )

    def file(self, name: str, content: str | bytes = "text\n", age_days: float = 0.0) -> Path:
        import os

        path = self.root / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        moment = self.clock.wall_ns() - int(age_days * 86_400e9)
        os.utime(path, ns=(moment, moment))
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
