"""The publisher: nothing is out before the bus has confirmed it, nothing is lost without being counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from hypothesis import given
from hypothesis import strategies as st

from gateway.codec import CODECS, encode_market
from gateway.errors import BusError
from gateway.flow.publisher import Publisher
from gateway.flow.topics import Topics
from tests.chaos_feed import tick

CODEC = CODECS["msgpack"]


class ScriptedBus:
    """Takes what is posted; the test decides when it confirms, and when the connection breaks."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.up.set()
        self.confirms = asyncio.Event()
        self.confirms.set()
        self.inbox: list[tuple[bytes, bytes]] = []
        """What reached the server."""
        self.refuses = False
        self.connection = 1
        self.max_payload = 1 << 20

    def breaks(self) -> None:
        self.up.clear()

    def comes_back(self) -> None:
        if not self.connected:
            self.connection += 1
        self.up.set()

    @property
    def connected(self) -> bool:
        return self.up.is_set()

    def head(self, subject: str) -> bytes:
        return subject.encode()

    def post(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        if not self.connected or self.refuses:
            raise BusError("away")
        self.inbox += messages

    async def settle(self) -> None:
        if not self.connected:
            raise BusError("away")
        await self.confirms.wait()
        if not self.connected:
            raise BusError("the connection broke")

    async def wait_connected(self) -> None:
        await self.up.wait()

    def sequence(self) -> list[int]:
        return [CODEC.decode(payload).seq for _, payload in self.inbox]


async def at_once(_seconds: float) -> None:
    """Consumers are back as soon as we are."""
    await asyncio.sleep(0)


class Feeder:
    def __init__(self, bus: ScriptedBus, **options: object) -> None:
        given = {"form": "tick", "held": 1000, "batch": 4, "sleep": at_once} | options
        self.publisher = Publisher(bus, CODEC, **given)  # type: ignore[arg-type]  # the options of one test
        self.topics = Topics(bus.head)
        self.origin = CODEC.origin(7, "x:primary", "16***9")
        self.sent = 0

    def give(self, count: int, code: str = "a") -> None:
        topic = self.topics.of("X", code)
        batch = []
        for _ in range(count):
            self.sent += 1
            market = encode_market(tick("X", code, self.sent))
            batch.append((topic, 20251121, 1, self.sent, 99, market))
        self.publisher.publish(self.origin, b"md.batch.x", batch)

    def balanced(self) -> bool:
        p = self.publisher
        return p.taken == self.sent == p.settled + p.held + sum(p.dropped.values())


@asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[None]:
    task = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def settled(publisher: Publisher, count: int) -> None:
    async with asyncio.timeout(60):
        while publisher.settled < count:
            await asyncio.sleep(0.005)


async def test_ticks_are_posted_at_once_but_count_as_out_only_when_the_bus_has_confirmed_them() -> None:
    bus = ScriptedBus()
    bus.confirms.clear()
    feeder = Feeder(bus)
    async with running(feeder.publisher):
        feeder.give(3)
        assert bus.sequence() == [1, 2, 3]
        await asyncio.sleep(0)
        assert (feeder.publisher.settled, feeder.publisher.held) == (0, 3)
        bus.confirms.set()
        await settled(feeder.publisher, 3)
    assert feeder.publisher.held == 0
    assert feeder.balanced()


async def test_payloads_carry_line_account_epoch_and_their_time() -> None:
    bus = ScriptedBus()
    Feeder(bus).give(1, "rb2510")
    (subject, payload) = bus.inbox[0]
    got = CODEC.decode(payload)
    assert subject == b"md.tick.X.rb2510"
    assert (got.epoch, got.seq, got.recv_ns, got.line, got.account) == (7, 1, 99, "x:primary", "16***9")
    assert (got.exchange, got.code, got.volume) == ("X", "rb2510", 1)


async def test_what_a_broken_connection_left_unconfirmed_is_posted_again_in_order() -> None:
    bus = ScriptedBus()
    bus.confirms.clear()
    feeder = Feeder(bus)
    async with running(feeder.publisher):
        feeder.give(2)
        feeder.give(2)
        await asyncio.sleep(0)
        bus.breaks()  # the server may or may not have got them
        bus.confirms.set()
        feeder.give(2)
        bus.inbox.clear()
        bus.comes_back()
        await settled(feeder.publisher, 6)
    assert bus.sequence() == [1, 2, 3, 4, 5, 6]
    assert feeder.publisher.reposted == 4
    assert feeder.balanced()


async def test_after_a_break_nothing_is_posted_before_the_consumers_had_time_to_come_back() -> None:
    asked: list[float] = []
    go_on = asyncio.Event()

    async def wait(seconds: float) -> None:
        asked.append(seconds)
        await go_on.wait()

    bus = ScriptedBus()
    feeder = Feeder(bus, sleep=wait)
    async with running(feeder.publisher):
        feeder.give(2)
        await settled(feeder.publisher, 2)
        bus.breaks()
        feeder.give(2)
        bus.comes_back()
        async with asyncio.timeout(60):
            while not asked:
                await asyncio.sleep(0.005)
        feeder.give(2)
        await asyncio.sleep(0)
        assert bus.sequence() == [1, 2]
        go_on.set()
        await settled(feeder.publisher, 6)
    assert bus.sequence() == [1, 2, 3, 4, 5, 6]
    assert len(asked) == 1
    assert 0.3 <= asked[0] <= 2.8


async def test_a_connection_that_is_replaced_while_consumers_are_waited_for_is_waited_for_anew() -> None:
    waits = 0
    bus = ScriptedBus()

    async def wait(_seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 1:
            bus.breaks()
            bus.comes_back()
        await asyncio.sleep(0)

    feeder = Feeder(bus, sleep=wait)
    async with running(feeder.publisher):
        feeder.give(1)
        await settled(feeder.publisher, 1)
        bus.breaks()
        feeder.give(1)
        bus.comes_back()
        await settled(feeder.publisher, 2)
    assert waits == 2


async def test_while_the_bus_is_away_the_oldest_drop_beyond_the_bound_and_are_counted() -> None:
    bus = ScriptedBus()
    bus.breaks()
    feeder = Feeder(bus, held=10)
    async with running(feeder.publisher):
        for _ in range(8):
            feeder.give(2)
        assert feeder.publisher.held == 10
        assert feeder.publisher.dropped == {"bus_away": 6}
        bus.comes_back()
        await settled(feeder.publisher, 10)
    assert bus.sequence() == list(range(7, 17))
    assert feeder.balanced()


async def test_a_bus_that_takes_but_does_not_confirm_cannot_make_us_hold_more_than_the_bound() -> None:
    bus = ScriptedBus()
    bus.confirms.clear()
    feeder = Feeder(bus, held=10)
    async with running(feeder.publisher):
        for _ in range(20):
            feeder.give(2)
        assert feeder.publisher.held <= 10
        assert feeder.publisher.dropped["bus_slow"] > 0
        assert feeder.balanced()
        bus.confirms.set()
        await settled(feeder.publisher, feeder.sent - feeder.publisher.dropped["bus_slow"])
    assert feeder.balanced()
    assert bus.sequence() == sorted(set(bus.sequence()))


async def test_a_bus_that_refuses_a_post_gets_it_later() -> None:
    bus = ScriptedBus()
    bus.refuses = True
    feeder = Feeder(bus)
    async with running(feeder.publisher):
        feeder.give(3)
        assert bus.inbox == []
        bus.refuses = False
        await settled(feeder.publisher, 3)
    assert bus.sequence() == [1, 2, 3]


async def test_batches_hold_all_ticks_and_the_single_subjects_are_silent() -> None:
    bus = ScriptedBus()
    feeder = Feeder(bus, form="batch", batch=4)
    feeder.give(10)
    assert {subject for subject, _ in bus.inbox} == {b"md.batch.x"}
    batches = [CODEC.decode_batch(payload) for _, payload in bus.inbox]
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert [one.seq for batch in batches for one in batch] == list(range(1, 11))


async def test_a_batch_that_the_bus_would_refuse_for_its_size_is_split() -> None:
    bus = ScriptedBus()
    bus.max_payload = 400
    feeder = Feeder(bus, form="batch", batch=64)
    feeder.give(64)
    assert len(bus.inbox) > 1
    assert all(len(payload) <= 400 for _, payload in bus.inbox)
    seqs = [one.seq for _, payload in bus.inbox for one in CODEC.decode_batch(payload)]
    assert seqs == list(range(1, 65))


async def test_both_forms_count_a_tick_once() -> None:
    bus = ScriptedBus()
    feeder = Feeder(bus, form="both", batch=4)
    async with running(feeder.publisher):
        feeder.give(5)
        await settled(feeder.publisher, 5)
    assert len(bus.inbox) == 5 + 2
    assert feeder.balanced()


async def test_what_cannot_be_drained_at_the_end_is_counted() -> None:
    bus = ScriptedBus()
    bus.confirms.clear()
    feeder = Feeder(bus)
    async with running(feeder.publisher):
        feeder.give(5)
        await feeder.publisher.drain(0.05)
    assert feeder.publisher.dropped == {"closing": 5}
    assert feeder.balanced()


async def test_every_instrument_has_its_own_sequence() -> None:
    bus = ScriptedBus()
    feeder = Feeder(bus)
    feeder.give(2, "a")
    feeder.give(3, "b")
    feeder.give(1, "a")
    assert bus.sequence() == [1, 2, 1, 2, 3, 3]


@given(st.lists(st.sampled_from(["give", "down", "up", "stall", "go", "wait"]), max_size=40))
async def test_whatever_happens_to_the_bus_the_books_balance_and_order_holds(script: list[str]) -> None:
    bus = ScriptedBus()
    feeder = Feeder(bus, held=12)
    async with running(feeder.publisher):
        for step in script:
            match step:
                case "give":
                    feeder.give(3)
                case "down":
                    bus.breaks()
                case "up":
                    bus.comes_back()
                case "stall":
                    bus.confirms.clear()
                case "go":
                    bus.confirms.set()
                case _:
                    await asyncio.sleep(0)
            assert feeder.balanced()
            assert feeder.publisher.held <= 12
        bus.comes_back()
        bus.confirms.set()
        await feeder.publisher.drain(20)
    assert feeder.balanced()
    assert feeder.publisher.held == 0
    first_seen = list(dict.fromkeys(bus.sequence()))
    assert first_seen == sorted(first_seen)
    # a tick that was not dropped reached the bus
    assert len(set(bus.sequence())) >= feeder.publisher.settled
