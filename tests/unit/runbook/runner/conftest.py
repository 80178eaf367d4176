"""A runner on a temporary directory, with an audit in memory and actions made of functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.client import Client
from gateway.settings import Settings
from runbook.context import ActionContext
from runbook.hookspecs import Action, ActionKind, NoParameters
from runbook.model import ActionRequest, ActionResult, AuditRecord, Trigger
from runbook.runner import ActionRunner, Kinds
from runbook.settings import RunbookSettings

Body = Callable[[ActionContext, Any], Awaitable[ActionResult]]


class MemoryAudit:
    """Keeps records; ``full`` names events that do not fit on the disk."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.full: set[str] = set()
        self._lock = threading.Lock()

    def append(self, record: AuditRecord) -> None:
        assert threading.current_thread() is not threading.main_thread()
        assert self._lock.acquire(blocking=False), "two at once"
        try:
            if record.event in self.full:
                raise OSError(28, "No space left on device")
            self.records.append(record)
        finally:
            self._lock.release()

    @property
    def events(self) -> list[str]:
        return [record.event for record in self.records]


class Bench:
    """Makes runners that share an audit and a directory, and actions to give them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.audit = MemoryAudit()
        self.kinds: dict[str, ActionKind] = {}
        self.runners: list[ActionRunner] = []
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.calls = 0

    def action(self, name: str, body: Body, parameters: type[BaseModel] = NoParameters, **options: Any) -> None:
        async def counted(context: ActionContext, given: Any) -> ActionResult:
            self.calls += 1
            return await body(context, given)

        def build() -> Action:
            return counted

        self.kinds[name] = ActionKind(name=name, title=name, build=build, parameters=parameters, **options)

    def waiting_action(self, name: str = "wait", **options: Any) -> None:
        """Sets ``began`` and ends once ``go_on`` is set."""

        async def wait(_context: ActionContext, _parameters: Any) -> ActionResult:
            self.began.set()
            await self.go_on.wait()
            return ActionResult(exit_code=0, message="waited")

        self.action(name, wait, **options)

    def runner(self, *, settings: Settings | None = None, **options: Any) -> ActionRunner:
        def connect() -> AbstractAsyncContextManager[Client]:
            raise AssertionError("no gateway here")

        runbook = options.pop("runbook", {})
        made = ActionRunner(
            Kinds(self.kinds),
            options.pop("audit", self.audit),
            settings=settings or Settings(),
            runbook=RunbookSettings(
                **{"log_dir": self.root / "logs", "state_dir": self.root / "state", "cancel_grace_s": 1} | runbook
            ),
            connect=connect,
            session=options.pop("session", lambda _ns: "day"),
            **options,
        )
        self.runners.append(made)
        return made

    def files(self) -> Sequence[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]


def request_of(action: str, **fields: Any) -> ActionRequest:
    return ActionRequest(**{"action": action, "operator": "wang", "trigger": Trigger.CLI} | fields)


@pytest.fixture
def ask() -> Callable[..., ActionRequest]:
    return request_of


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.go_on.set()
    for runner in made.runners:
        await runner.aclose()
