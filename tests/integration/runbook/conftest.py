"""Supervisors of tests: nothing of them outlives its test."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runbook.supervisor.link import LostSupervisorError, NoSupervisorError
from tests.integration.runbook.supervised import Desk, processes_of


@pytest.fixture
async def desks(tmp_path: Path) -> AsyncIterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**how: str) -> Desk:
        directory = tmp_path / f"desk{len(made)}"
        directory.mkdir()
        made.append(Desk(directory, **how))
        return made[-1]

    yield make
    for desk in made:
        with contextlib.suppress(NoSupervisorError, LostSupervisorError):
            os.kill((await desk.link.status())["pid"], signal.SIGKILL)
        try:
            await desk.gone()
        finally:
            for pid, _ in processes_of(desk.directory):  # a failed test leaves nothing either
                os.kill(pid, signal.SIGKILL)
