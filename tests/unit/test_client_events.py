"""Events as a consumer reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.bus.memory import MemoryBus
from gateway.client import Client
from gateway.control.events import ContractBack, ControlEvent, LedgerHealth, LineSpeaks, event_subject
from gateway.stream.events import decode_event, event_subjects
from tests.unit.control.market import switch_of


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.aclose()


@pytest.fixture
async def client(bus: MemoryBus) -> AsyncIterator[Client]:
    async with Client(bus) as client:
        yield client


async def tell(bus: MemoryBus, *events: ControlEvent) -> None:
    for event in events:
        await bus.publish(event_subject(event), msgspec.json.encode(event))


def speaks(feed: str = "ctp") -> LineSpeaks:
    return LineSpeaks(feed=feed, at_ns=1, line=f"{feed}:primary", silent_s=4.0)


def back(feed: str = "ctp") -> ContractBack:
    return ContractBack(feed=feed, at_ns=2, line=f"{feed}:primary", instrument="SHFE.rb2510", silent_s=61.0)


LEDGER = LedgerHealth(at_ns=3, degraded=True, reason="disk full", waiting=7, lost=0)


async def test_events_come_typed_and_in_order(bus, client) -> None:
    told = [switch_of("ctp", 1), speaks(), back("sopt"), LEDGER]
    async with client.events() as stream:
        await tell(bus, *told)
        assert [await anext(stream) for _ in told] == told
        assert (stream.yielded, stream.rejected, stream.overflow) == (4, 0, 0)


async def test_only_the_kinds_that_were_asked_for_come(bus, client) -> None:
    async with client.events("contract_back", "switch", "switch") as stream:
        await tell(bus, speaks(), back(), switch_of("ctp", 1), LEDGER, back("sopt"))
        found = [await anext(stream) for _ in range(3)]
        await bus.settle()
        assert stream.yielded == 3
    assert sorted(found, key=lambda one: (one.at_ns, one.feed)) == [back(), back("sopt"), switch_of("ctp", 1)]


async def test_a_feed_gets_its_own_events_and_those_that_concern_no_feed(bus, client) -> None:
    async with client.events(feed="ctp") as stream:
        await tell(bus, speaks("sopt"), speaks("all"), back("ctp"), LEDGER, switch_of("ctp", 1))
        found = [await anext(stream) for _ in range(3)]
    assert sorted(found, key=lambda one: one.at_ns) == [back("ctp"), LEDGER, switch_of("ctp", 1)]


async def test_a_feed_that_is_called_all_gets_each_event_once(bus, client) -> None:
    async with client.events(feed="all") as stream:
        await tell(bus, speaks("all"), back("ctp"), back("all"))
        assert [await anext(stream), await anext(stream)] == [speaks("all"), back("all")]


async def test_a_kind_that_this_version_does_not_know_comes_as_it_is(bus, client) -> None:
    new = {"type": "line_painted", "feed": "ctp", "at_ns": 5, "colour": "red"}
    async with client.events("line_painted", feed="ctp") as stream:
        await bus.publish("md.event.line_painted.sopt", msgspec.json.encode(new | {"feed": "sopt"}))
        await bus.publish("md.event.line_painted.ctp", msgspec.json.encode(new))
        assert await anext(stream) == new


async def test_an_event_that_has_grown_is_read_without_what_is_new(bus, client) -> None:
    grown = msgspec.to_builtins(speaks()) | {"mood": "cheerful"}
    assert decode_event(msgspec.json.encode(grown)) == speaks()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe{",
        b"[1]",
        b"{}",
        b'{"type": 7}',
        b'{"type": "line_speaks"}',
        b'{"type": "line_speaks", "feed": "ctp", "at_ns": "soon", "line": "a", "silent_s": 1}',
        b"[" * 100_000,
    ],
    ids=["empty", "no text", "list", "no type", "type no text", "fields missing", "field of wrong kind", "deep"],
)
async def test_what_is_no_event_is_counted_and_the_stream_goes_on(bus, client, data) -> None:
    async with client.events() as stream:
        await bus.publish("md.event.line_speaks.ctp", data)
        await tell(bus, speaks())
        assert await anext(stream) == speaks()
        assert stream.rejected == 1
        assert stream.first_rejection.startswith("md.event.line_speaks.ctp: no event: ")


async def test_a_slow_reader_loses_the_oldest_events_and_knows_how_many(bus, client) -> None:
    async with client.events(queue=2) as stream:
        await tell(bus, *(switch_of("ctp", at) for at in range(5)))
        await bus.settle()
        assert [await anext(stream), await anext(stream)] == [switch_of("ctp", 3), switch_of("ctp", 4)]
        assert stream.overflow == 3


async def test_closing_the_client_ends_a_waiting_iteration(bus) -> None:
    async with Client(bus) as client:
        stream = client.events()
        await stream.open()
        reading = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
    assert await reading is None
    await stream.aclose()
    assert await anext(stream, None) is None


async def test_a_bus_that_closes_ends_the_stream_behind_what_had_come(bus, client) -> None:
    async with client.events() as stream:
        await tell(bus, speaks())
        await bus.aclose()
        assert [event async for event in stream] == [speaks()]


@pytest.mark.parametrize("kind", ["", "*", ">", "md.event.switch", "Switch", "line silent", "switch.ctp"])
def test_a_name_that_cannot_be_a_kind_is_refused_with_those_that_are(client_without_bus, kind) -> None:
    with pytest.raises(ValueError, match=r"is no kind of event; the known ones are: .*contract_back.*switch"):
        client_without_bus.events(kind)


@pytest.fixture
def client_without_bus() -> Client:
    return Client(MemoryBus())


def test_subjects_are_as_narrow_as_the_wish() -> None:
    assert event_subjects((), None) == ("md.event.*.*",)
    assert event_subjects(("switch",), None) == ("md.event.switch.*",)
    assert event_subjects(("switch", "ledger"), "my.feed") == (
        "md.event.switch.my%2Efeed",
        "md.event.switch.all",
        "md.event.ledger.my%2Efeed",
        "md.event.ledger.all",
    )
    assert event_subjects((), "all") == ("md.event.*.all",)
