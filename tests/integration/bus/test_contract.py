"""What every bus does: the same tests against a real nats-server and against the bus in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.bus.memory import MemoryBus
from gateway.bus.nats import NatsBus
from gateway.errors import BusError, CatalogueError, ControlError
from gateway.ports import Bus
from gateway.testing.nats import NatsServer

LIMIT = 200


@pytest.fixture(params=["nats", "memory"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "memory":
        memory = MemoryBus(queue_limit=LIMIT, request_limit=2)
        await memory.start()
        yield memory
        await memory.aclose()
        return
    async with NatsServer() as server:
        nats = NatsBus(server.url, queue_limit=LIMIT, request_limit=2)
        await nats.start()
        yield nats
        await nats.aclose()


async def sync(bus: Bus) -> None:
    """Return when the server knows every subscription made so far: a request goes the same way behind them."""
    with pytest.raises(ControlError):
        await bus.request("nobody.there", b"")


async def take(messages, count):
    async with asyncio.timeout(60):
        return [(message.subject, message.data) for message in [await anext(messages) for _ in range(count)]]


async def test_posted_messages_arrive_complete_and_in_order(bus: Bus):
    messages = bus.subscribe("md.tick.SHFE.*")
    await sync(bus)
    sent = [(f"md.tick.SHFE.rb{number}", bytes([number]) * number) for number in range(100)]
    bus.post([(bus.head(subject), payload) for subject, payload in sent])
    await bus.settle()
    assert await take(messages, 100) == sent


async def test_payloads_may_hold_any_bytes(bus: Bus):
    messages = bus.subscribe("raw")
    await sync(bus)
    payloads = [b"", b"\r\n", b"PUB raw 1\r\nx\r\n", bytes(range(256)), b"x" * 70_000]
    bus.post([(bus.head("raw"), payload) for payload in payloads])
    assert [data for _, data in await take(messages, 5)] == payloads


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("md.tick.*.rb2510", ["md.tick.SHFE.rb2510"], ["md.tick.SHFE.rb2511", "md.tick.SHFE.x.rb2510"]),
        ("md.>", ["md.tick", "md.tick.DCE.SP%20a2105&a2109"], ["md", "mdx.tick"]),
        ("md.event", ["md.event"], ["md.event.more", "md"]),
        ("*.b.>", ["a.b.c", "a.b.c.d"], ["a.b", "b.c", "a"]),
    ],
)
async def test_wildcards_select_what_nats_says_they_select(bus: Bus, pattern, matches, others):
    messages = bus.subscribe(pattern)
    await sync(bus)
    bus.post([(bus.head(subject), b"") for subject in [*others, *matches]])
    assert [subject for subject, _ in await take(messages, len(matches))] == matches


async def test_an_event_is_published(bus: Bus):
    messages = bus.subscribe("md.event.>")
    await bus.publish("md.event.gap", b"words")
    assert await take(messages, 1) == [("md.event.gap", b"words")]


async def test_each_subscriber_gets_its_own_copy_until_it_closes(bus: Bus):
    first, second = bus.subscribe("x"), bus.subscribe("x")
    await bus.publish("x", b"1")
    assert await take(first, 1) == await take(second, 1) == [("x", b"1")]
    await first.aclose()
    await bus.publish("x", b"2")
    assert await take(second, 1) == [("x", b"2")]
    with pytest.raises(StopAsyncIteration):
        await anext(first)
    await first.aclose()


async def test_a_slow_reader_loses_the_oldest_and_sees_how_many(bus: Bus):
    messages = bus.subscribe("flood")
    await sync(bus)
    total = LIMIT + 50
    bus.post([(bus.head("flood"), b"%d" % number) for number in range(total)])
    await bus.settle()
    async with asyncio.timeout(60):
        while messages.dropped + len(messages) < total:
            await bus.settle()
    assert messages.dropped == 50
    assert [int(data) for _, data in await take(messages, LIMIT)] == list(range(50, total))


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x 0", "a..b", ".a", "a.", "a.*", "a.>", "a\tb"])
async def test_a_text_that_is_no_subject_is_refused_and_named(bus: Bus, subject):
    with pytest.raises(BusError) as caught:
        bus.head(subject)
    assert repr(subject) in str(caught.value)
    with pytest.raises(BusError):
        await bus.publish(subject, b"")


@pytest.mark.parametrize("pattern", ["", "a b", "a.>.b", "a*", "a..b", "a\r\nSUB x 1"])
async def test_a_text_that_is_no_pattern_is_refused_and_named(bus: Bus, pattern):
    with pytest.raises(BusError) as caught:
        bus.subscribe(pattern)
    assert repr(pattern) in str(caught.value)


async def test_a_request_is_answered(bus: Bus):
    async def double(payload: bytes) -> bytes:
        return payload * 2

    await bus.serve("feedgate", "0.1.0", {"md.ctl.one.double": double})
    assert await bus.request("md.ctl.one.double", b"ab") == b"abab"


async def test_an_error_on_purpose_reaches_the_asker_with_code_and_text(bus: Bus):
    async def refuse(payload: bytes) -> bytes:
        raise CatalogueError("合约表读不到: no such file\nset CATALOGUE")

    await bus.serve("feedgate", "0.1.0", {"md.ctl.one.list": refuse})
    with pytest.raises(ControlError, match="合约表读不到: no such file") as caught:
        await bus.request("md.ctl.one.list", b"")
    assert caught.value.fields == {"subject": "md.ctl.one.list", "reply_code": "catalogue"}


async def test_a_bug_in_a_handler_is_logged_here_and_not_shown_there(bus: Bus, caplog):
    async def broken(payload: bytes) -> bytes:
        raise KeyError("the password")

    await bus.serve("feedgate", "0.1.0", {"md.ctl.one.broken": broken})
    with pytest.raises(ControlError) as caught:
        await bus.request("md.ctl.one.broken", b"")
    assert caught.value.fields["reply_code"] == "internal"
    assert "password" not in str(caught.value)
    assert "the password" in caplog.text
    assert "Traceback" in caplog.text


async def test_nobody_there_is_said_at_once(bus: Bus):
    with pytest.raises(ControlError, match=r"nobody answers on md\.ctl\.none") as caught:
        await bus.request("md.ctl.none", b"", timeout=60)
    assert caught.value.fields["reply_code"] == "no_responder"


async def test_a_handler_that_takes_too_long_is_a_time_out(bus: Bus):
    async def hang(payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    await bus.serve("feedgate", "0.1.0", {"md.ctl.one.hang": hang})
    with pytest.raises(ControlError, match=r"did not answer within 0\.05 s") as caught:
        await bus.request("md.ctl.one.hang", b"", timeout=0.05)
    assert caught.value.fields["reply_code"] == "timeout"


async def test_requests_run_side_by_side_up_to_the_limit_and_more_are_refused(bus: Bus):
    inside, go = asyncio.Semaphore(0), asyncio.Event()

    async def wait(payload: bytes) -> bytes:
        inside.release()
        await go.wait()
        return payload

    await bus.serve("feedgate", "0.1.0", {"md.ctl.one.wait": wait})
    async with asyncio.timeout(60):
        running = [asyncio.create_task(bus.request("md.ctl.one.wait", b"%d" % n, timeout=60)) for n in range(2)]
        for _ in running:
            await inside.acquire()
        with pytest.raises(ControlError) as caught:
            await bus.request("md.ctl.one.wait", b"3")
        assert caught.value.fields["reply_code"] == "busy"
        go.set()
        assert await asyncio.gather(*running) == [b"0", b"1"]


async def test_closing_ends_subscriptions_and_is_idempotent(bus: Bus):
    messages = bus.subscribe("x")
    reader = asyncio.create_task(anext(messages, None))
    await bus.settle()
    await bus.aclose()
    await bus.aclose()
    async with asyncio.timeout(60):
        assert await reader is None
    assert not bus.connected


async def test_a_closed_bus_takes_nothing_and_says_so(bus: Bus):
    head = bus.head("x")
    assert bus.connected
    await bus.wait_connected()
    await bus.aclose()
    with pytest.raises(BusError):
        bus.post([(head, b"")])
    with pytest.raises(BusError):
        await bus.settle()
    with pytest.raises(BusError):
        await bus.publish("x", b"")


async def test_the_largest_message_is_told_and_arrives(bus: Bus):
    messages = bus.subscribe("x")
    await sync(bus)
    assert bus.max_payload == 1 << 20
    bus.post([(bus.head("x"), bytes(bus.max_payload))])
    assert len((await take(messages, 1))[0][1]) == 1 << 20
