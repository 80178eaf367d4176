"""A storm of states reaches the core as few messages, and the first of something new is not kept waiting."""

from __future__ import annotations

import threading

import pytest

from gateway.clock import SystemClock
from gateway.lines.cells import Cells
from gateway.lines.coalescing import Event, Pace
from gateway.lines.handoff import Handoff
from gateway.lines.messages import Confirmed, StateChanged, Tuning
from gateway.model import Instrument, LineState
from tests.unit.lines.test_handoff import Outlet, parse

LOST: Event = (LineState.LOST, "disconnected: 0x1001 reading from the network failed")
UP: Event = (LineState.CONNECTED, "")


def test_repetitions_wait_longer_each_time_up_to_a_bound() -> None:
    pace = Pace()
    delays = []
    for _ in range(8):
        pace.told([LOST, LOST, LOST])
        delays.append(pace.delay_s)
    assert delays[0] == min(delays) == 0.005
    assert delays == sorted(delays)
    assert delays[-2:] == [0.1, 0.1]


@pytest.mark.parametrize(
    "news", [[UP], [LOST, UP], [LOST], [LOST, Confirmed([Instrument("SSE", "10004567")]), LOST]], ids=str
)
def test_anything_new_and_a_slow_repetition_end_the_waiting(news: list[Event]) -> None:
    pace = Pace()
    for _ in range(8):
        pace.told([LOST, LOST])
    pace.told(news)
    assert pace.delay_s == 0.005


def test_a_look_that_finds_nothing_changes_nothing() -> None:
    pace = Pace()
    for _ in range(3):
        pace.told([LOST, LOST])
    before = pace.delay_s
    pace.told([])
    assert pace.delay_s == before > 0.005


async def test_a_storm_from_a_vendors_thread_is_told_by_few_messages_that_count_every_call() -> None:
    outlet = Outlet()
    with Cells() as cells:
        handoff = Handoff(outlet, parse, tuning=Tuning(), clock=SystemClock(), cells=cells)
        calls, stop = 0, threading.Event()

        def storm() -> None:
            nonlocal calls
            while not stop.wait(1 / 730):
                handoff.state(LineState.LOST, LOST[1])  # type: ignore[index]  # it is a tuple
                calls += 1

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            await outlet.until(lambda: told(outlet) >= 400)
        finally:
            stop.set()
            thread.join()
        handoff.flush()
        assert told(outlet) == calls
        # 0.005, 0.005, 0.01 … 0.1 s apart: a dozen or two, whatever else this machine does
        assert len(outlet.messages) * 4 < calls
        handoff.close()


def told(outlet: Outlet) -> int:
    return sum(message.calls for message in outlet.messages if isinstance(message, StateChanged))
