"""A gateway whose epoch is earlier than the known one: dropped as replaced, or, after a clock step back, taken."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.bus.memory import MemoryBus
from gateway.client import Client, TickStream
from gateway.stream.order import TAKEOVER_SECONDS
from gateway.testing.clock import ManualClock
from tests.unit.control.market import Market, tick_of

RB, AG = "SHFE.rb2510", "SHFE.ag2512"


class Scene:
    """One stream, a gateway that it knows (epoch 9) and one of an earlier epoch (5)."""

    def __init__(self, bus: MemoryBus, stream: TickStream, clock: ManualClock) -> None:
        self.known = Market(bus, epoch=9)
        self.earlier = Market(bus, epoch=5)
        self.stream = stream
        self.clock = clock
        self._ends = 0

    async def read(self) -> list[tuple[str, int, int]]:
        """What the stream yields of everything published so far."""
        got = []
        self._ends += 1
        self.known.send("md.tick.INE.end", self.known.payload(tick_of("INE.end", seq=self._ends)))
        async for tick in self.stream:
            if tick.code == "end":
                return got
            got.append((tick.code, tick.epoch, tick.seq))
        return got


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    bus, clock = MemoryBus(), ManualClock()
    await bus.start()
    async with Client(bus, clock=clock) as client, client.ticks("*", snapshot=False) as stream:
        scene = Scene(bus, stream, clock)
        scene.known.publish(RB, AG)
        await scene.read()
        yield scene
    await bus.aclose()


async def test_after_a_clock_step_back_the_new_gateway_is_taken_as_a_restart(scene) -> None:
    scene.earlier.publish(RB, RB)
    assert await scene.read() == []
    await scene.clock.advance(TAKEOVER_SECONDS)
    scene.earlier.publish(RB, RB)
    assert await scene.read() == [("rb2510", 5, 3), ("rb2510", 5, 4)]
    stream = scene.stream
    assert (stream.stale, stream.restarts, stream.epoch, stream.lost) == (2, 1, 5, 0)


async def test_what_one_instrument_showed_holds_for_all_others_at_once(scene) -> None:
    scene.earlier.publish(RB)
    await scene.read()
    await scene.clock.advance(TAKEOVER_SECONDS)
    scene.earlier.publish(RB, AG)
    assert await scene.read() == [("rb2510", 5, 2), ("ag2512", 5, 1)]
    assert (scene.stream.stale, scene.stream.restarts) == (1, 1)


async def test_one_tick_or_repeat_of_the_known_gateway_in_between_begins_the_wait_anew(scene) -> None:
    again = scene.known.payload(tick_of(RB, 1))
    for still_there in (lambda: scene.known.publish(RB), lambda: scene.known.send(f"md.tick.{RB}", again)):
        scene.earlier.publish(RB)
        await scene.read()
        await scene.clock.advance(TAKEOVER_SECONDS)
        still_there()
        scene.earlier.publish(RB)
        await scene.read()
        await scene.clock.advance(TAKEOVER_SECONDS / 2)
        scene.earlier.publish(RB)
        assert await scene.read() == []
        scene.known.publish(RB)
        await scene.read()
    assert (scene.stream.restarts, scene.stream.epoch) == (0, 9)
    assert scene.stream.stale == 6


async def test_a_gateway_that_was_taken_for_gone_does_not_come_back_with_one_tick(scene) -> None:
    scene.earlier.publish(RB)
    await scene.read()
    await scene.clock.advance(TAKEOVER_SECONDS)
    scene.earlier.publish(RB)
    await scene.read()
    scene.known.publish(RB)
    scene.earlier.publish(RB)
    assert await scene.read() == [("rb2510", 5, 3)]
    assert (scene.stream.stale, scene.stream.restarts) == (2, 1)
    scene.known.publish(RB)
    await scene.read()
    await scene.clock.advance(TAKEOVER_SECONDS)
    scene.known.publish(RB)
    assert await scene.read() == [("rb2510", 9, 4)]
    assert (scene.stream.restarts, scene.stream.epoch) == (2, 9)


async def test_a_later_epoch_is_still_taken_at_once(scene) -> None:
    later = Market(scene.known.bus, epoch=12)
    later.publish(RB)
    assert await scene.read() == [("rb2510", 12, 1)]
    assert (scene.stream.restarts, scene.stream.stale) == (1, 0)


async def test_two_gateways_with_different_instruments_do_not_disturb_each_other(scene) -> None:
    for _ in range(3):
        scene.known.publish(RB)
        scene.earlier.publish("DCE.m2601")
        await scene.clock.advance(TAKEOVER_SECONDS)
    assert [(code, epoch) for code, epoch, _ in await scene.read()] == [("rb2510", 9), ("m2601", 5)] * 3
    assert (scene.stream.stale, scene.stream.restarts, scene.stream.lost) == (0, 0, 0)
