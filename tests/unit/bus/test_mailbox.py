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


async def test_a_listener_gets_each_run_when_it_comes_and_what_waited_first():
    box = Mailbox("x", 3, lambda box: None)
    box.push_run([("x", b"1"), ("x", b"2")])
    taken: list[tuple[str, bytes]] = []
    box.listen(taken.extend, lambda: None)
    assert taken == [("x", b"1"), ("x", b"2")]
    box.push_run([("x", b"%d" % number) for number in range(3, 9)])
    box.push("x", b"9")
    assert [data for _, data in taken] == [b"%d" % number for number in range(1, 10)]
    assert (box.dropped, len(box)) == (0, 0)
    box.end()
    box.push("x", b"10")
    assert len(taken) == 9


async def test_a_listener_is_told_of_interruptions_and_of_the_end():
    box = Mailbox("x", 3, lambda box: None)
    told: list[tuple[int, bool]] = []
    box.listen(lambda run: None, lambda: told.append((box.interruptions, box.closed)))
    box.interrupt()
    await box.aclose()
    assert told == [(1, False), (1, True)]


async def test_a_listener_beside_a_reader_or_another_listener_is_refused():
    box, other = Mailbox("x", 3, lambda box: None), Mailbox("x", 3, lambda box: None)
    reading = asyncio.create_task(anext(box))
    await asyncio.sleep(0)
    other.listen(lambda run: None, lambda: None)
    for taken in (box, other):
        with pytest.raises(RuntimeError, match="two readers"):
            taken.listen(lambda run: None, lambda: None)
    box.push("x", b"")
    await reading


async def test_a_run_larger_than_the_box_keeps_the_latest_and_counts_the_rest():
    box = Mailbox("x", 3, lambda box: None)
    box.push_run([("x", b"%d" % number) for number in range(10)])
    assert (box.dropped, len(box)) == (7, 3)
    assert (await anext(box)).data == b"7"


async def test_an_interruption_is_no_message():
    box = Mailbox("x", 3, lambda box: None)
    reading = asyncio.create_task(anext(box))
    await asyncio.sleep(0)
    box.interrupt()
    assert box.interruptions == 1
    box.push("x", b"1")
    assert (await reading).data == b"1"
