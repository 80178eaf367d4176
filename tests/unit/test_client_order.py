"""Whatever arrives in whatever order: each number once, rising, and every hole counted."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from gateway.bus.memory import MemoryBus
from gateway.client import Client
from gateway.control.service import ControlService
from gateway.model import Instrument
from gateway.subjects import tick_subject
from tests.unit.control.market import Market, tick_of

NAMES = ("SHFE.rb2510", "DCE.m2601")

happening = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("lose"), st.sampled_from(NAMES), st.integers(1, 3)),
    st.tuples(st.just("repeat"), st.sampled_from(NAMES), st.integers(0, 5)),
)
happenings = st.lists(happening, max_size=40)


class Script:
    """Plays happenings on a market and keeps what was on the wire, by instrument."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.sent: dict[str, list[int]] = defaultdict(list)

    def play(self, events: list[tuple[str, str, int]]) -> None:
        for what, name, number in events:
            if what == "publish":
                self.market.publish(name)
                self.sent[name].append(self.market._seq[name])
            elif what == "lose":
                self.market.skip(name, number)
            elif self.sent[name]:
                seq = self.sent[name][-1 - number % len(self.sent[name])]
                subject = tick_subject(Instrument.parse(name))
                self.market.send(subject, self.market.payload(tick_of(name, seq)))


@given(before=happenings, meanwhile=happenings, after=happenings)
def test_snapshot_and_stream_together_give_each_number_once_and_count_exactly_the_holes(
    before, meanwhile, after
) -> None:
    async def run() -> None:
        bus = MemoryBus()
        await bus.start()
        market = Market(bus)
        script = Script(market)
        await ControlService(bus, market, "feedgate", figures=market.figures).start()
        script.play([("publish", "INE.start", 0), *before])
        async with Client(bus) as client, client.ticks("*") as stream:
            script.play(meanwhile)
            snapshot = {name: numbers[-1] for name, numbers in script.sent.items() if numbers}
            got: dict[str, list[int]] = defaultdict(list)
            for _ in snapshot:
                tick = await anext(stream)
                got[str(tick.instrument)].append(tick.seq)
            script.play(after)
            market.publish("INE.end")
            async for tick in stream:
                if tick.code == "end":
                    break
                got[str(tick.instrument)].append(tick.seq)
        await bus.aclose()
        for name in NAMES:
            first = snapshot.get(name, 1)
            expected = [seq for seq in script.sent[name] if seq >= first]
            assert got[name] == expected
        holes = sum(numbers[-1] - numbers[0] + 1 - len(numbers) for numbers in got.values() if numbers)
        assert stream.lost == holes == sum(loss.ticks for loss in stream.losses)
        assert (stream.rejected, stream.overflow, stream.stale, stream.restarts) == (0, 0, 0, 0)

    asyncio.run(run())


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_on_the_wire_are_rejects_and_never_a_crash(noise) -> None:
    async def run() -> None:
        bus = MemoryBus()
        await bus.start()
        market = Market(bus)
        async with (
            Client(bus) as client,
            client.ticks("*", snapshot=False) as stream,
            client.batches("sim") as batches,
        ):
            for data in noise:
                market.send("md.tick.SHFE.rb2510", data)
                market.send("md.batch.sim", data)
            market.publish("SHFE.rb2510")
            market.publish_batch("sim", "DCE.m2601")
            assert (await anext(stream)).code == "rb2510"
            assert [tick.code for tick in await anext(batches)] == ["m2601"]
        await bus.aclose()
        assert stream.rejected == len(noise)
        empty = sum(data in (b"\x90", b"[]") or data.startswith((b"\xdc\0\0", b"\xdd\0\0\0\0")) for data in noise)
        assert len(noise) - empty <= batches.rejected <= len(noise)

    asyncio.run(run())
