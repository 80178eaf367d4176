"""The figures of a start as a picture, and a start that does without one."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from gateway import FeedSettings, LineState, Settings
from gateway.errors import BusError
from gateway.testing.clock import ManualClock
from runbook.context import ActionContext
from runbook.model import ActionRequest, ActionResult, Trigger
from runbook.settings import RunbookSettings
from runbook.supervisor import picture as module
from runbook.supervisor.picture import picture

STAGES = [
    {"stage": "nats", "text": "bundled", "tries": 1, "seconds": 0.42},
    {"stage": "subscriptions", "text": "warning: 39 of 40", "tries": 2, "seconds": 3.0},
]
READY = ActionResult(exit_code=1, message="up", details={"stages": STAGES, "startup_s": 12.5})
SECRET = "Pl4nted-word-1"


class Gateway:
    """Answers with three values; ``away`` is raised in their place."""

    away: Exception | None = None

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Any]:
        if self.away is not None:
            raise self.away
        yield self

    async def status(self) -> Any:
        line = SimpleNamespace(
            line="ctp:primary",
            role="active",
            state=LineState.STREAMING,
            account="16***9",
            confirmed=39,
            wanted=40,
        )
        return SimpleNamespace(lines=[line])

    async def figures(self) -> Any:
        return SimpleNamespace(received_rate=6200.0, published_rate=6150.4)

    async def coverage(self) -> Any:
        return [SimpleNamespace(feed="ctp", ratio=0.975, confirmed=39, wanted=40, session="night")]


def context(logs: Path, gateway: Gateway) -> ActionContext:
    account = {"user_id": "160219", "password": SECRET}
    return ActionContext(
        run="r1",
        request=ActionRequest(action="start", operator="li", trigger=Trigger.CLI, profile="live", window="night"),
        settings=Settings(feeds={"ctp": FeedSettings(accounts={"primary": account})}),
        runbook=RunbookSettings(),
        clock=ManualClock(1_795_231_800_000_000_000),
        log_dir=logs,
        connect=gateway.connect,
    )


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cells of the last picture."""
    cells: list[str] = []
    real = module._drawn

    def drawn(rows: Any) -> bytes:
        cells[:] = [cell for row in rows for cell in row]
        return real(rows)

    monkeypatch.setattr(module, "_drawn", drawn)
    return cells


async def test_it_shows_stages_lines_coverage_throughput_and_for_whom(tmp_path: Path, shown: list[str]) -> None:
    name, failed = await picture(context(tmp_path, Gateway()), READY)
    assert (name, failed) == ("20261121_startup.png", "")
    with Image.open(io.BytesIO((tmp_path / name).read_bytes())) as image:
        image.load()
        assert (image.format, len(image.getcolors(1 << 24) or ())) > ("PNG", 10)  # letters, not blank paper
    text = " | ".join(shown)
    for said in (
        "ready, exit code 1",
        "session night   window night   profile live   account primary 16***9",
        "nats | 0 | 0.4 | 1",
        "subscriptions | 1 | 3.0 | 2",
        "start to ready |  | 12.5",
        "ctp:primary | active | streaming | 16***9 | 39 of 40",
        "0.9750",
        "6,150",
    ):
        assert said in text
    assert "160219" not in text


async def test_the_next_one_of_the_day_does_not_replace_it(tmp_path: Path) -> None:
    names = [(await picture(context(tmp_path, Gateway()), READY))[0] for _ in range(2)]
    assert names == ["20261121_startup.png", "20261121_startup_1.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


async def test_a_failed_start_is_shown_without_the_gateway_and_without_secrets(
    tmp_path: Path, shown: list[str]
) -> None:
    gateway = Gateway()
    gateway.away = BusError("nobody answers")
    details = {"stages": STAGES[:1], "failed_stage": "gateway"}
    failed = ActionResult(exit_code=13, message=f"gateway failed: login {SECRET}\nnext", details=details)
    assert (await picture(context(tmp_path, gateway), failed))[0]
    text = " | ".join(shown)
    assert "failed, exit code 13" in text
    assert "! gateway | 13" in text
    assert "the gateway does not answer: nobody answers" in text
    assert SECRET not in text


async def test_where_there_are_no_figures_there_is_no_picture(tmp_path: Path) -> None:
    busy = ActionResult(exit_code=75, message="start runs already")
    assert await picture(context(tmp_path, Gateway()), busy) == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trouble", ["pillow", "disk"])
async def test_one_that_cannot_be_drawn_says_why_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    logs = tmp_path / "logs"
    if trouble == "disk":
        logs.write_text("a file in its place")
    else:
        monkeypatch.setitem(sys.modules, "PIL", None)
    name, failed = await picture(context(logs, Gateway()), READY)
    assert name == ""
    assert failed.startswith("no picture of the figures could be made: ")
