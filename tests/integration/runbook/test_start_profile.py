"""``start --profile``: the gateway that is started says the same as the audit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runbook.model import Exit
from tests.integration.runbook.supervised import Desk


async def test_the_gateway_that_a_start_starts_has_the_starts_profile(desks: Callable[..., Desk]) -> None:
    desk = desks(variables="FEEDGATE_PROFILE=dev")
    started = await desk.do("start", profile="test")
    assert started.exit_code == Exit.OK, started.message
    assert (await desk.status())["profile"] == "test"
    variables = Path(f"/proc/{await desk.pid('gateway')}/environ").read_bytes().split(b"\0")
    assert b"FEEDGATE_PROFILE=test" in variables
    # what runs already is not started again, and does not become something else
    again = await desk.do("start", profile="live")
    assert again.exit_code == Exit.WARNING
    assert "profile test, not live" in again.message


async def test_a_start_leaves_a_picture_of_its_figures_and_does_not_need_one(desks: Callable[..., Desk]) -> None:
    desk = desks()
    started = await desk.do("start")
    assert started.exit_code == Exit.OK, started.message
    assert started.output.endswith("_startup.png")
    assert (desk.logs / started.output).read_bytes().startswith(b"\x89PNG")
