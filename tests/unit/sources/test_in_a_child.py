"""The built-in sources in a line's own process, as ``death`` needs them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import pytest

from gateway.lines.frame import TickUnpacker
from gateway.lines.hosts import ChildHost, ChildSpec
from gateway.lines.messages import Confirmed, FromLine, Start, StateChanged, Subscribe, Tuning
from gateway.model import Account, Instrument, LineId, LineState
from tests.unit.sources.recorder import until

RB = Instrument("SHFE", "rb2701")


class Events:
    def __init__(self) -> None:
        self.count = 0
        self.messages: list[FromLine] = []
        self.over: str | None = None
        self._unpacker = TickUnpacker(Instrument)

    def ticks(self, body: bytes) -> None:
        self.count += sum(arrival[0] == RB for arrival in self._unpacker.unpack(body))

    def message(self, message: FromLine) -> None:
        self.messages.append(message)

    def ended(self, reason: str) -> None:
        self.over = reason


def child(events: Events, **options: Any) -> ChildHost:
    start = Start(
        line=LineId("sim", "primary"),
        account=Account(name="primary"),
        factory="gateway.sources.sim:build_source",
        options={"contracts": 10, "rate": 1000} | options,
        tuning=Tuning(),
        path=list(sys.path),
    )
    return ChildHost(ChildSpec(start, lambda: dict(os.environ)), events)


@pytest.mark.parametrize(
    ("how", "reason"), [("exit", "70"), ("segv", "SIGSEGV"), ("kill", "SIGKILL"), ("abort", "SIGABRT")]
)
async def test_death_ends_the_process_of_the_line(how: str, reason: str) -> None:
    events = Events()
    host = child(events, faults=[{"kind": "death", "at_s": 0.05, "how": how}])
    await host.start()
    await until(lambda: events.over is not None, 30)
    await host.stop(5)
    assert reason in (events.over or "")


async def test_a_sim_line_streams_from_its_own_process() -> None:
    events = Events()
    host = child(events)
    await host.start()
    up = StateChanged(state=LineState.LOGGED_IN)
    await until(lambda: up in events.messages, 30)
    host.send(Subscribe([RB]))
    await until(lambda: events.count > 50, 30)
    await host.stop(5)
    assert Confirmed([RB]) in events.messages


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> Any:
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
