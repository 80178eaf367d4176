from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.bus.memory import MemoryBus
from gateway.client import Client, Loss
from gateway.codec import CODECS
from gateway.control import Subscription, SubscriptionState
from gateway.control.service import ControlService
from gateway.errors import ControlError
from gateway.model import Instrument, Tick
from gateway.ports import Message
from tests.unit.control.market import Market, tick_of


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus(queue_limit=100_000)
    await bus.start()
    yield bus
    await bus.aclose()


@pytest.fixture
async def market(bus) -> Market:
    market = Market(bus)
    await ControlService(bus, market, "feedgate", figures=market.figures, page_bytes=1_000).start()
    return market


@pytest.fixture
async def client(bus) -> AsyncIterator[Client]:
    async with Client(bus) as client:
        yield client


async def take(stream, count: int) -> list[tuple[str, int, int]]:
    """The next ticks as (instrument, epoch, seq)."""
    return [key(await anext(stream)) for _ in range(count)]


def key(tick: Tick) -> tuple[str, int, int]:
    return str(tick.instrument), tick.epoch, tick.seq


async def test_the_last_ticks_come_first_and_the_stream_goes_on_from_them(market, client) -> None:
    market.publish("SHFE.rb2510", "SHFE.rb2510", "DCE.m2601", "SHFE.ag2512")
    async with client.ticks("SHFE.rb*", "DCE.*") as stream:
        assert await take(stream, 2) == [("SHFE.rb2510", 1, 2), ("DCE.m2601", 1, 1)]
        market.publish("SHFE.rb2510", "SHFE.ag2512", "DCE.m2601")
        assert await take(stream, 2) == [("SHFE.rb2510", 1, 3), ("DCE.m2601", 1, 2)]
    assert (stream.lost, stream.repeats, stream.filtered, stream.yielded) == (0, 0, 1, 4)


async def test_ticks_published_while_the_snapshot_is_fetched_are_neither_lost_nor_repeated(market, client) -> None:
    names = [f"SHFE.rb{number}" for number in range(40)]
    market.publish(*names)
    market.before_page = lambda _start: market.publish(*names)
    async with client.ticks("*") as stream:
        first = await take(stream, 40)
        market.before_page = None
        market.publish(*names)
        seen = dict.fromkeys(names, 0) | {name: seq for name, _, seq in first}
        while min(seen.values()) < market._seq["SHFE.rb0"]:
            name, _, seq = (await take(stream, 1))[0]
            assert seq == seen[name] + 1
            seen[name] = seq
    assert market._seq["SHFE.rb0"] > 5, "several pages, or the test shows nothing"
    assert (stream.lost, stream.rejected) == (0, 0)


async def test_json_ticks_are_read_without_being_told(market, client) -> None:
    market.codec = "json"
    market.publish("SHFE.rb2510")
    async with client.ticks("SHFE.rb2510") as stream:
        first = await anext(stream)
        market.publish("SHFE.rb2510")
        tick = await anext(stream)
    assert first.seq == 1
    assert (tick.seq, tick.last, tick.bid_prices) == (2, 3500.0, (3499.0,))


async def test_without_a_gateway_a_snapshot_is_refused_with_the_fix(client) -> None:
    with pytest.raises(ControlError, match=r"nobody answers.*is a gateway named 'feedgate' running.*'optional'"):
        await anext(client.ticks("SHFE.*"))


@pytest.mark.parametrize("snapshot", ["optional", False])
async def test_a_stream_goes_without_a_snapshot_when_it_may(bus, client, snapshot) -> None:
    lone = Market(bus)
    async with client.ticks("SHFE.*", snapshot=snapshot) as stream:
        lone.publish("SHFE.rb2510")
        assert await take(stream, 1) == [("SHFE.rb2510", 1, 1)]


async def test_an_optional_snapshot_still_reports_a_gateway_that_refuses(bus, client) -> None:
    async def refuse(_payload: bytes) -> bytes:
        raise ControlError("not for you")

    await bus.serve("feedgate", "0.1.0", {"md.ctl.feedgate.last": refuse})
    with pytest.raises(ControlError, match="not for you"):
        await anext(client.ticks(snapshot="optional"))


async def test_a_gateway_that_restarts_between_two_pages_makes_the_snapshot_begin_again(market, client) -> None:
    names = [f"SHFE.rb{number}" for number in range(30)]
    market.publish(*names)

    def restart(start: int) -> None:
        if start:
            market.before_page = None
            market.restart()
            market.publish("SHFE.new", *names)

    market.before_page = restart
    async with client.ticks("*") as stream:
        seen = []
        while ("SHFE.rb29", 2, 1) not in seen:
            seen += await take(stream, 1)
    assert {name for name, epoch, _ in seen if epoch == 2} == {"SHFE.new", *names}
    assert (stream.restarts, stream.lost) == (1, 0)


async def test_a_gateway_that_restarts_forever_ends_the_snapshot_with_an_error(market, client) -> None:
    def restart(start: int) -> None:
        if start:
            market.epoch += 1

    market.publish(*(f"SHFE.rb{number}" for number in range(30)))
    market.before_page = restart
    with pytest.raises(ControlError, match="restarts again and again"):
        await client.last()


async def test_a_jump_in_seq_is_a_loss_with_its_limits(market, client) -> None:
    told: list[Loss] = []
    async with client.ticks("SHFE.*", snapshot=False, on_loss=told.append) as stream:
        market.publish("SHFE.rb2510")
        market.skip("SHFE.rb2510", 3)
        market.publish("SHFE.rb2510")
        assert await take(stream, 2) == [("SHFE.rb2510", 1, 1), ("SHFE.rb2510", 1, 5)]
    loss = told[0]
    assert (loss.instrument, loss.epoch, loss.first_seq, loss.last_seq, loss.ticks) == (
        Instrument("SHFE", "rb2510"),
        1,
        2,
        4,
        3,
    )
    assert loss.noticed_ns > 0
    assert (stream.lost, list(stream.losses)) == (3, told)


async def test_what_is_posted_again_after_a_reconnect_is_invisible(market, client) -> None:
    async with client.ticks("SHFE.*", snapshot=False) as stream:
        again = []
        for seq in (1, 2, 3):
            market.publish("SHFE.rb2510")
            again.append(market.payload(tick_of("SHFE.rb2510", seq)))
        for payload in again:
            market.send("md.tick.SHFE.rb2510", payload)
        market.publish("SHFE.rb2510")
        assert [seq for _, _, seq in await take(stream, 4)] == [1, 2, 3, 4]
    assert (stream.repeats, stream.lost) == (3, 0)


async def test_a_restarted_gateway_is_a_restart_and_not_a_loss(market, client) -> None:
    async with client.ticks("SHFE.*", snapshot=False) as stream:
        market.publish("SHFE.rb2510", "SHFE.ag2512", "SHFE.rb2510")
        market.restart()
        market.publish("SHFE.rb2510", "SHFE.ag2512")
        market.epoch = 1
        market.send("md.tick.SHFE.rb2510", market.payload(tick_of("SHFE.rb2510", 9)))
        market.epoch = 2
        market.publish("SHFE.rb2510")
        assert (await take(stream, 6))[3:] == [
            ("SHFE.rb2510", 2, 1),
            ("SHFE.ag2512", 2, 1),
            ("SHFE.rb2510", 2, 2),
        ]
    assert (stream.restarts, stream.epoch, stream.lost, stream.stale) == (1, 2, 0, 1)


async def test_a_slow_consumer_sees_what_it_missed_as_loss_and_as_overflow(market, client) -> None:
    async with client.ticks("SHFE.*", queue=10, snapshot=False) as stream:
        market.publish("SHFE.rb2510")
        assert await take(stream, 1) == [("SHFE.rb2510", 1, 1)]
        market.publish(*["SHFE.rb2510"] * 50)
        assert [seq for _, _, seq in await take(stream, 10)] == list(range(42, 52))
    assert (stream.overflow, stream.lost) == (40, 40)


class Foreign(MemoryBus):
    """A bus of another make: its subscriptions can be iterated, and count what they drop, and no more."""

    def subscribe(self, subject: str) -> AsyncIterator[Message]:
        return ForeignMessages(super().subscribe(subject))


class ForeignMessages(AsyncIterator[Message]):
    def __init__(self, source: AsyncIterator[Message]) -> None:
        self._source = source

    @property
    def dropped(self) -> int:
        return getattr(self._source, "dropped", 0)

    async def __anext__(self) -> Message:
        return await anext(self._source)


async def test_what_the_bus_dropped_for_this_consumer_counts_as_overflow_too() -> None:
    bus = Foreign(queue_limit=4)
    await bus.start()
    async with Client(bus) as client, client.ticks("SHFE.*", snapshot=False) as stream:
        market = Market(bus)
        market.publish("SHFE.rb2510")
        await take(stream, 1)
        market.publish(*["SHFE.rb2510"] * 10)
        assert (await take(stream, 1))[0][2] == 8
        assert (stream.overflow, stream.lost) == (6, 6)
    await bus.aclose()


async def test_bad_bytes_are_counted_with_the_reason_and_the_stream_goes_on(market, client) -> None:
    async with client.ticks("*", snapshot=False) as stream:
        market.send("md.tick.SHFE.rb2510", b"")
        market.send("md.tick.SHFE.rb2510", b"\xdc\x00\x1d\x02")
        market.send("md.tick.SHFE.rb2510", b"{}")
        market.send("md.tick.SHFE.rb2510", market.payload(tick_of("SHFE.rb2510"))[:-1])
        market.publish("SHFE.rb2510")
        assert await take(stream, 1) == [("SHFE.rb2510", 1, 1)]
    assert stream.rejected == 4
    assert stream.last_reject.startswith("md.tick.SHFE.rb2510: not a tick of wire format 1")


async def test_a_tick_under_another_instruments_subject_is_a_reject(market, client) -> None:
    async with client.ticks("*", snapshot=False) as stream:
        market.send("md.tick.SHFE.rb2510", market.payload(tick_of("SHFE.rb2601")))
        market.send("md.tick.SHFE.%72b2510", market.payload(tick_of("SHFE.rb2510")))
        market.send("md.tick.SHFE.rb2510", market.payload(tick_of("SHFE.rb2510", seq=0)))
        market.publish("SHFE.rb2510")
        assert await take(stream, 1) == [("SHFE.rb2510", 1, 1)]
    assert stream.rejected == 3


async def test_chunks_give_everything_since_the_last_wake_up_at_once(market, client) -> None:
    async with client.ticks("SHFE.*", snapshot=False) as stream:
        chunks = stream.chunks()
        market.publish(*["SHFE.rb2510"] * 2_500)
        sizes = [len(await anext(chunks)) for _ in range(3)]
    assert sizes == [256, 256, 256]


async def test_overlapping_patterns_give_each_tick_once(market, client, bus) -> None:
    async with client.ticks("SHFE.rb2510", "SHFE.*", "*.ag2512", snapshot=False) as stream:
        market.publish("SHFE.rb2510", "SHFE.ag2512", "INE.ag2512")
        got = await take(stream, 3)
    assert sorted(name for name, _, _ in got) == ["INE.ag2512", "SHFE.ag2512", "SHFE.rb2510"]
    assert stream.repeats == 1


async def test_a_bad_pattern_is_refused_before_anything_is_sent(client) -> None:
    with pytest.raises(ValueError, match="'rb2510' is not an instrument pattern"):
        client.ticks("rb2510")


async def test_a_batch_stream_yields_lists_and_sees_repeats_and_losses(market, client) -> None:
    async with client.batches("sim") as stream:
        market.publish_batch("sim", "SHFE.rb2510", "DCE.m2601", "SHFE.rb2510")
        assert [key(tick) for tick in await anext(stream)] == [
            ("SHFE.rb2510", 1, 1),
            ("DCE.m2601", 1, 1),
            ("SHFE.rb2510", 1, 2),
        ]
        market.send("md.batch.sim", b"\xdd\xff")
        market.send("md.batch.sim", CODECS["msgpack"].batch([market.payload(tick_of("DCE.m2601", 1))]))
        market.skip("DCE.m2601", 2)
        market.publish_batch("sim", "DCE.m2601")
        assert [tick.seq for tick in await anext(stream)] == [4]
    assert (stream.rejected, stream.repeats, stream.lost) == (1, 1, 2)


async def test_a_stream_ends_when_the_bus_closes_and_hands_out_what_had_arrived(market, client, bus) -> None:
    stream = client.ticks("SHFE.*", snapshot=False)
    await stream.open()
    market.publish("SHFE.rb2510", "SHFE.rb2510")
    await bus.aclose()
    assert [tick.seq async for tick in stream] == [1, 2]


async def test_closing_the_client_ends_a_waiting_iteration(market, client) -> None:
    stream = client.ticks("SHFE.*")
    market.publish("SHFE.rb2510")
    await anext(stream)
    waiting = asyncio.create_task(anext(stream, None))
    await asyncio.sleep(0)
    await client.aclose()
    assert await waiting is None
    await stream.aclose()
    assert [tick async for tick in stream] == []


async def test_a_cancelled_read_loses_no_tick(market, client) -> None:
    async with client.ticks("SHFE.*", snapshot=False) as stream:
        reading = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        market.publish("SHFE.rb2510", "SHFE.rb2510")
        assert [seq for _, _, seq in await take(stream, 2)] == [1, 2]


async def test_the_last_ticks_can_be_asked_for_alone(market, client) -> None:
    market.publish(*(f"SHFE.rb{number}" for number in range(30)), "DCE.m2601", "SHFE.rb7")
    ticks = {key(tick) for tick in await client.last("SHFE.rb*")}
    assert len(ticks) == 30
    assert ("SHFE.rb7", 1, 2) in ticks


async def test_contracts_come_complete_over_several_pages(market, client) -> None:
    market.list_contracts(*(f"SHFE.rb{number}" for number in range(50)), "DCE.m2601")
    assert [str(contract.instrument) for contract in await client.contracts("DCE.*")] == ["DCE.m2601"]
    assert len(await client.contracts()) == 51


async def test_subscriptions_come_complete_over_several_pages(market, client) -> None:
    market.rows["sim:primary"] = [
        Subscription(line="sim:primary", instrument=f"SHFE.rb{number}", state=SubscriptionState.PENDING)
        for number in range(50)
    ]
    reply = await client.subscriptions("SHFE.*", line="sim:primary", states=[SubscriptionState.PENDING])
    assert len({row.instrument for row in reply.subscriptions}) == 50
    assert (reply.lines[0].wanted, reply.cursor) == (50, None)


async def test_subscribe_tells_names_from_patterns(market, client) -> None:
    market.list_contracts("SHFE.rb2510", "SHFE.rb2601", "DCE.m2601")
    reply = await client.subscribe("SHFE.rb*", "DCE.m2601", Instrument("DCE", "SP m&y"))
    assert (reply.accepted, reply.unknown_names) == (3, ["DCE.SP m&y"])
    assert sorted(market.asked[0][1]) == ["DCE.m2601", "SHFE.rb2510", "SHFE.rb2601"]
    assert (await client.unsubscribe("SHFE.rb2510")).unknown_names == ["SHFE.rb2510"]


async def test_status_is_typed(market, client) -> None:
    status = await client.status()
    assert (status.name, status.epoch, status.lines[0].line) == ("feedgate", 1, "sim:primary")


async def test_an_answer_that_is_something_else_is_named(bus, client) -> None:
    async def answer(_payload: bytes) -> bytes:
        return msgspec.json.encode({"ok": True})

    await bus.serve("feedgate", "0.1.0", {"md.ctl.feedgate.status": answer})
    with pytest.raises(ControlError, match=r"status: gateway 'feedgate' answered with something else.*version"):
        await client.status()
