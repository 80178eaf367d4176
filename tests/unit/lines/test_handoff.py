"""The hand-off from vendor threads to the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.lines.cells import OVERFLOWED, RECEIVED, REJECTED, SENT, Cells
from gateway.lines.frame import TickUnpacker
from gateway.lines.handoff import Handoff
from gateway.lines.messages import Beat, Confirmed, FromLine, Rejected, StateChanged, Tuning
from gateway.model import Instrument, LineState, Tick
from tests.chaos_feed import tick


class Outlet:
    def __init__(self) -> None:
        self.writable = True
        self.arrivals: list[Any] = []
        self.frames = 0
        self.messages: list[FromLine] = []
        self.news = asyncio.Event()
        self._unpacker: TickUnpacker[str] = TickUnpacker(lambda exchange, code: f"{exchange}.{code}")

    def ticks(self, body: bytes) -> None:
        self.frames += 1
        self.arrivals += self._unpacker.unpack(body)
        self.news.set()

    def message(self, message: FromLine) -> None:
        self.messages.append(message)
        self.news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def arrived(self, count: int) -> None:
        await self.until(lambda: len(self.arrivals) == count)

    def volumes(self) -> list[int]:
        return [arrival[3] for arrival in self.arrivals]


@pytest.fixture
def cells() -> Iterator[Cells]:
    with Cells() as cells:
        yield cells


def parse(records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> list[Tick]:
    """Records are decimal volumes; ``bad`` is rejected, ``boom`` is a bug of the plugin."""
    ticks = []
    for _recv_ns, record in records:
        if record == b"boom":
            raise RuntimeError("bug")
        if record == b"bad":
            reject("bad_record")
        else:
            ticks.append(tick("X", "a", int(record)))
    return ticks


def make(outlet: Outlet, cells: Cells, **tuning: Any) -> Handoff:
    return Handoff(outlet, parse, tuning=Tuning(**tuning), clock=SystemClock(), cells=cells)


async def test_ticks_of_another_thread_come_in_order_and_in_few_frames(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells, batch=256)
    thread = threading.Thread(target=lambda: [handoff.tick(tick("X", "a", n)) for n in range(1000)])
    thread.start()
    await outlet.until(lambda: len(outlet.arrivals) == 1000)
    thread.join()
    assert outlet.volumes() == list(range(1000))
    assert outlet.frames < 500
    assert list(cells.view) == [1000, 0, 0, 1000]


async def test_four_threads_at_once_lose_and_double_nothing(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells)

    def deliver(of: int) -> None:
        for n in range(2000):
            handoff.raw(b"%d" % (of * 10_000 + n))

    threads = [threading.Thread(target=deliver, args=(of,)) for of in range(4)]
    for thread in threads:
        thread.start()
    await outlet.until(lambda: len(outlet.arrivals) == 8000)
    for thread in threads:
        thread.join()
    for of in range(4):
        mine = [volume for volume in outlet.volumes() if volume // 10_000 == of]
        assert mine == [of * 10_000 + n for n in range(2000)]
    assert cells.view[RECEIVED] == 8000


async def test_a_bad_record_is_a_counted_reject_and_costs_no_neighbour_its_time_stamp(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells)
    for record in (b"1", b"bad", b"2", b"boom", b"3"):
        handoff.raw(record)
    handoff.flush()
    handoff.beat()
    assert outlet.volumes() == [1, 2, 3]
    stamps = [arrival[4] for arrival in outlet.arrivals]
    assert stamps == sorted(stamps)
    assert Rejected({"bad_record": 1, "parse_error": 1}) in outlet.messages
    assert list(cells.view) == [5, 2, 0, 3]


async def test_a_reject_from_a_callback_counts_as_received(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells)
    handoff.reject("empty_struct")
    handoff.flush()
    handoff.beat()
    assert Rejected({"empty_struct": 1}) in outlet.messages
    assert (cells.view[RECEIVED], cells.view[REJECTED]) == (1, 1)


async def test_when_nobody_takes_the_frames_the_oldest_drop_and_the_books_balance(cells: Cells) -> None:
    outlet = Outlet()
    outlet.writable = False
    handoff = make(outlet, cells, queue=100)
    for n in range(250):
        handoff.raw(b"%d" % n)
    assert handoff.congested
    outlet.writable = True
    handoff.resume()
    await outlet.until(lambda: len(outlet.arrivals) == 100)
    assert outlet.volumes() == list(range(150, 250))
    view = cells.view
    assert (view[RECEIVED], view[OVERFLOWED], view[SENT]) == (250, 150, 100)
    assert not handoff.congested


async def test_a_handoff_that_was_held_back_wakes_up_again_for_later_ticks(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells, linger_s=0)
    handoff.raw(b"1")
    await outlet.until(lambda: len(outlet.arrivals) == 1)
    outlet.writable = False
    handoff.raw(b"2")
    await asyncio.sleep(0)
    outlet.writable = True
    handoff.resume()
    await outlet.until(lambda: len(outlet.arrivals) == 2)
    handoff.raw(b"3")
    await outlet.until(lambda: len(outlet.arrivals) == 3)


async def test_a_steady_stream_wakes_the_loop_once(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    wakes: list[object] = []
    wake = loop.call_soon_threadsafe

    def counting(call: Callable[..., object], *args: object) -> asyncio.Handle:
        wakes.append(call)
        return wake(call, *args)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
    outlet = Outlet()
    handoff = make(outlet, cells, linger_s=0.001)
    handoff.raw(b"0")
    for n in range(1, 20):
        # the frame with the last record is out, the next look at the queue is due: this record waits for it
        await outlet.arrived(n)
        handoff.raw(b"%d" % n)
    await outlet.until(lambda: len(outlet.arrivals) == 20)
    assert len(wakes) == 1


async def test_all_lines_look_at_their_queues_at_the_same_times(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    linger_s = 0.004
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    looks: list[float] = []

    def noting(when: float, call: Callable[..., object], *args: object, **more: Any) -> asyncio.TimerHandle:
        if "_drain" in repr(call):
            now = loop.time()
            assert when - now <= linger_s
            looks.append(when)
        return call_at(when, call, *args, **more)

    monkeypatch.setattr(loop, "call_at", noting)
    outlet = Outlet()
    handoff = make(outlet, cells, linger_s=linger_s)
    for n in range(10):
        handoff.raw(b"%d" % n)
        await outlet.arrived(n + 1)
    assert len(looks) >= 10
    assert [when / linger_s for when in looks] == pytest.approx([round(when / linger_s) for when in looks], abs=1e-3)


async def test_one_drain_is_under_way_however_often_the_outlet_stops_and_goes_on(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells, linger_s=0.001)
    loop = asyncio.get_running_loop()
    drains = 0
    handoff.raw(b"0")
    for _ in range(50):
        outlet.writable = False
        await asyncio.sleep(0)
        outlet.writable = True
        handoff.resume()
        handoff.resume()
    for n in range(1, 5):
        await outlet.arrived(n)
        due = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]  # nothing public tells
        drains = max(drains, sum("_drain" in repr(handle) for handle in due))
        handoff.raw(b"%d" % n)
    await outlet.until(lambda: len(outlet.arrivals) == 5)
    assert outlet.volumes() == [0, 1, 2, 3, 4]
    assert drains == 1


async def test_a_storm_of_states_becomes_few_messages_that_say_how_many(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells)
    for _ in range(1000):
        handoff.state(LineState.LOST, "0x1001")
        handoff.state(LineState.CONNECTED)
    handoff.flush()
    states = [message for message in outlet.messages if isinstance(message, StateChanged)]
    assert len(states) == 2
    assert states[0].state is LineState.LOST
    assert states[-1].state is LineState.CONNECTED
    assert sum(state.calls for state in states) == 2000


async def test_states_and_confirmations_keep_their_order(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells)
    handoff.state(LineState.CONNECTED)
    handoff.state(LineState.LOGGED_IN)
    handoff.confirmed([Instrument("X", "a")])
    handoff.state(LineState.LOST, "gone")
    handoff.state(LineState.LOST, "gone")
    handoff.flush()
    assert outlet.messages == [
        StateChanged(state=LineState.CONNECTED),
        StateChanged(state=LineState.LOGGED_IN),
        Confirmed([Instrument("X", "a")]),
        StateChanged(state=LineState.LOST, reason="gone", calls=2),
    ]


async def test_nothing_is_delivered_after_close(cells: Cells) -> None:
    outlet = Outlet()
    handoff = make(outlet, cells, linger_s=0)
    handoff.raw(b"1")
    handoff.close()
    handoff.raw(b"2")
    handoff.state(LineState.LOST)
    await asyncio.sleep(0)
    handoff.flush()
    assert outlet.volumes() == []
    assert not [message for message in outlet.messages if not isinstance(message, Beat)]


async def test_a_beat_tells_how_much_is_queued(cells: Cells) -> None:
    outlet = Outlet()
    outlet.writable = False
    handoff = make(outlet, cells)
    handoff.raw(b"1")
    handoff.beat()
    assert outlet.messages == [Beat(1)]
