"""The queue of one subscriber."""

from __future__ import annotations

import asyncio

import pytest

from gateway.bus.mailbox import Mailbox


async def test_what_arrived_before_the_bus_closed_is_still_read():
    box = Mailbox("x", 10, lambda box: None)
    box.push("x", b"1")
    box.end()
    box.push("x", b"2")
    assert [message.data async for message in box] == [b"1"]


async def test_closing_discards_what_waits_and_tells_the_bus_once():
    told: list[Mailbox] = []
    box = Mailbox("x", 10, told.append)
    box.push("x", b"1")
    await box.aclose()
    await box.aclose()
    assert told == [box]
    assert [message async for message in box] == []


async def test_a_cancelled_reader_loses_no_message():
    box = Mailbox("x", 10, lambda box: None)
    reading = asyncio.create_task(anext(box))
    await asyncio.sleep(0)
    box.push("x", b"1")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await anext(box)).data == b"1"


async def test_a_second_reader_is_refused():
    box = Mailbox("md.event", 10, lambda box: None)
    reading = asyncio.create_task(anext(box))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match=r"two readers.*md\.event"):
        await anext(box)
    box.push("md.event", b"")
    await reading


async def test_a_reader_of_runs_gets_everything_that_waits_at_once():
    box = Mailbox("x", 3, lambda box: None)
    box.push("x", b"1")
    box.push_run([("x", b"2"), ("x", b"3"), ("x", b"4")])
    runs = box.runs()
    assert [data for _, data in await anext(runs)] == [b"2", b"3", b"4"]
    assert box.dropped == 1
    reading = asyncio.create_task(anext(runs))
    await asyncio.sleep(0)
    box.push("x", b"5")
    assert await reading == [("x", b"5")]
    box.push("x", b"6")
    box.end()
    assert [run async for run in runs] == [[("x", b"6")]]


async def test_a_run_larger_than_the_box_keeps_the_latest_and_counts_the_rest():
    box = Mailbox("x", 3, lambda box: None)
    box.push_run([("x", b"%d" % number) for number in range(10)])
    assert (box.dropped, len(box)) == (7, 3)
    assert (await anext(box)).data == b"7"


async def test_an_interruption_wakes_a_reader_of_runs_and_no_other():
    box, other = Mailbox("x", 3, lambda box: None), Mailbox("x", 3, lambda box: None)
    runs = box.runs()
    told, untold = asyncio.create_task(anext(runs)), asyncio.create_task(anext(other))
    await asyncio.sleep(0)
    box.interrupt()
    other.interrupt()
    async with asyncio.timeout(10):
        assert await told == []
    assert (box.interruptions, other.interruptions) == (1, 1)
    other.push("x", b"1")
    assert (await untold).data == b"1"
    await box.aclose()
    assert [run async for run in runs] == []
