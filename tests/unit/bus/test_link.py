"""The connection that comes back, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.bus.dial import NatsOptions
from gateway.bus.link import Link
from gateway.bus.wire import Wire
from gateway.errors import BusError


@dataclass
class Dials:
    """Hands out wires that are connected to nothing; ``before`` runs first in each dial, and may raise."""

    options: NatsOptions = field(
        default_factory=lambda: NatsOptions(urls=("x",), backoff_first=0.001, backoff_limit=0.002)
    )
    before: list = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    async def dial(self, role, on_lost, on_told) -> Wire:
        if self.before:
            await self.before.pop(0)()
        wire = Wire(role, lambda error: on_lost(wire, error), on_told)
        self.wires.append(wire)
        return wire


async def nothing() -> None:
    pass


async def test_closing_succeeds_even_when_a_connect_under_way_swallows_the_cancellation():
    dialling = asyncio.Event()

    async def swallow() -> None:
        dialling.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    dials = Dials(before=[nothing, swallow])
    link = Link("ticks", dials)
    await link.open()
    dials.wires[0].fail(OSError("gone"))
    async with asyncio.timeout(60):
        await dialling.wait()
        await link.aclose()
    assert link.wire is None
    assert dials.wires[-1].lost.done()
    await link.aclose()


async def test_failed_attempts_are_counted_and_the_same_reason_is_said_once(caplog):
    async def refuse() -> None:
        raise BusError("NATS at nats://x:1 refused the credentials")

    async def break_() -> None:
        raise RuntimeError("a bug")

    caplog.set_level(logging.WARNING)
    dials = Dials(before=[nothing, refuse, refuse, refuse, break_])
    link = Link("ticks", dials)
    await link.open()
    dials.wires[0].fail(OSError("gone"))
    assert link.wire is None
    async with asyncio.timeout(60):
        await link.wait_up()
    assert link.counters.failed_attempts == 4
    assert caplog.text.count("refused the credentials") == 1
    assert "a bug" in caplog.text
    assert link.wire is dials.wires[1]
    await link.aclose()


async def test_a_wire_that_is_lost_while_it_is_set_up_is_replaced():
    lose = [False, True, False]

    async def up(wire: Wire) -> None:
        if lose.pop(0):
            wire.fail(OSError("too soon"))

    dials = Dials()
    link = Link("control", dials, on_up=up)
    await link.open()
    dials.wires[0].fail(OSError("gone"))
    assert link.wire is None
    async with asyncio.timeout(60):
        await link.wait_up()
    assert link.wire is dials.wires[2]
    await link.aclose()
