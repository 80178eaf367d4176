"""The stream of events for many: numbered, resumed, bounded."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from runbook.web.fanout import QUEUE, RING, Fanout, Reader, frame, heard
from runbook.web.meters import Meters
from runbook.web.streams import Streams, event_id


async def frames(reader: Reader, count: int) -> list[bytes]:
    found = []
    async with aclosing(heard(reader, 60)) as source:
        async for one in source:
            found.append(one)
            if len(found) == count:
                break
    return found


def test_an_event_on_the_wire_has_its_number_name_and_data() -> None:
    assert frame("status", b'{"a":1}', 7) == b'id: 7\nevent: status\ndata: {"a":1}\n\n'
    assert frame("tick", b"{}") == b"event: tick\ndata: {}\n\n"


async def test_every_reader_gets_every_event_in_order_and_the_bytes_are_made_once() -> None:
    with Fanout(100) as fanout:
        readers = [fanout.join(None) for _ in range(200)]
        made = [fanout.publish("run", b"%d" % number) for number in range(5)]
        assert [event.id for event in made] == [101, 102, 103, 104, 105]
        for reader in readers:
            got = await frames(reader, 5)
            assert all(one is event.frame for one, event in zip(got, made, strict=True))


def test_who_comes_back_gets_what_was_missed_and_nothing_twice() -> None:
    fanout = Fanout(0)
    events = [fanout.publish("run", b"x") for _ in range(10)]
    assert fanout.join(events[6].id).missed == tuple(events[7:])
    assert fanout.join(events[9].id).missed == ()


def test_who_was_away_for_too_long_or_names_something_else_needs_the_whole_picture() -> None:
    fanout = Fanout(0)
    events = [fanout.publish("run", b"x") for _ in range(RING + 10)]
    assert fanout.join(events[8].id).missed is None
    assert fanout.join(events[9].id).missed is not None
    assert fanout.join(events[-1].id + 1).missed is None
    assert fanout.join(None).missed is None


def test_after_a_pause_without_readers_nobody_is_told_that_nothing_happened() -> None:
    fanout = Fanout(0)
    last = fanout.publish("run", b"x").id
    fanout.forget()
    assert fanout.join(last).missed is None


async def test_a_reader_that_does_not_read_is_dropped_and_counted_and_harms_nobody() -> None:
    fanout = Fanout(0)
    slow, quick = fanout.join(None), fanout.join(None)
    for _ in range(QUEUE):
        fanout.publish("run", b"x")
        assert await quick.next(1) is not None
    assert not slow.dropped
    fanout.publish("run", b"x")
    assert slow.dropped
    assert fanout.drops == 1
    assert len(fanout) == 1
    with pytest.raises(StopAsyncIteration):
        await slow.next(1)
    assert await quick.next(1) is not None


async def test_a_silence_is_filled_with_comments() -> None:
    reader = Fanout(0).join(None)
    async with aclosing(heard(reader, 0.001)) as source:
        assert await anext(source) == b": \n\n"


async def test_when_it_is_closed_readers_get_the_rest_and_end() -> None:
    fanout = Fanout(0)
    reader = fanout.join(None)
    fanout.publish("run", b"last")
    fanout.close()
    fanout.close()
    async with aclosing(heard(reader, 60)) as source:
        assert [one async for one in source] == [b"id: 1\nevent: run\ndata: last\n\n"]
    async with aclosing(heard(fanout.join(None), 60)) as source:
        assert [one async for one in source] == []


async def test_somebody_is_waited_for() -> None:
    fanout = Fanout(0)
    waiting = asyncio.create_task(fanout.somebody())
    await asyncio.sleep(0)
    assert not waiting.done()
    reader = fanout.join(None)
    await waiting
    fanout.leave(reader)
    again = asyncio.create_task(fanout.somebody())
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" 7 ", 7), (None, None), ("", None), ("-1", None), ("1e9", None), ("٣", None), ("9" * 30, None)],
)
def test_an_id_that_we_never_sent_is_none(text: str | None, number: int | None) -> None:
    assert event_id(text) == number


async def test_there_are_only_so_many_streams_and_closing_ends_those_that_wait() -> None:
    from litestar.exceptions import ServiceUnavailableException

    streams = Streams(1, Meters())

    async def silent() -> object:
        await asyncio.Event().wait()
        yield None

    async def listen() -> list[object]:
        with streams.one("run"):
            async with aclosing(streams.until_closed(silent(), 60)) as source:  # type: ignore[type-var]  # a generator
                return [one async for one in source]

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    with pytest.raises(ServiceUnavailableException):
        streams.check()
    streams.close()
    assert await listening == []
    assert len(streams) == 0


async def test_a_source_that_ends_ends_the_stream_and_silences_are_told() -> None:
    streams = Streams(1, Meters())
    go_on = asyncio.Event()

    async def source() -> object:
        yield 1
        await go_on.wait()
        yield 2

    got: list[object] = []
    async with aclosing(streams.until_closed(source(), 0.001)) as both:  # type: ignore[type-var]  # a generator
        async for one in both:
            got.append(one)
            if one is None:
                go_on.set()
    assert got[0] == 1
    assert got[-1] == 2
    assert None in got


async def test_who_was_given_the_whole_picture_does_not_get_older_events_after_it() -> None:
    fanout = Fanout(0)
    reader = fanout.join(None)
    for _ in range(3):
        fanout.publish("run", b"x")
    reader.after = 2
    event = await reader.next(1)
    assert event is not None
    assert event.id == 3
    assert await reader.next(0.001) is None
