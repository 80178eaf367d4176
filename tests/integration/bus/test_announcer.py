"""Events over a real nats-server that goes away."""

from __future__ import annotations

import asyncio

import msgspec

from gateway.clock import SystemClock
from gateway.control.announcer import Announcer
from gateway.control.events import ControlEvent, LineSpeaks
from gateway.flow.gaps import Gap, GapEvent
from gateway.observing import Observers
from gateway.testing.nats import NatsServer

from .waiting import until


def speaks(number: int) -> LineSpeaks:
    return LineSpeaks(feed="ctp", at_ns=number, line="ctp:primary", silent_s=1.0)


async def test_events_told_while_nats_is_gone_are_published_in_order_when_it_is_back(server: NatsServer, open_bus):
    bus = await open_bus(server.url)
    # on the same connection, so that it is back before the first event can be sent
    messages = bus.subscribe("md.event.>")
    announcer = Announcer(bus, Observers([]), SystemClock())
    running = asyncio.create_task(announcer.run())

    async def next_event() -> ControlEvent:
        return msgspec.json.decode((await anext(messages)).data, type=ControlEvent)

    async with asyncio.timeout(30):
        announcer.tell(speaks(0))
        assert await next_event() == speaks(0)
        await server.kill()
        await until(lambda: not bus.connected and not bus.control_connected)
        for number in range(1, 200):
            announcer.tell(speaks(number))
        for number in range(300):
            row = Gap(
                id=f"1-{number}", feed="ctp", instrument=f"SHFE.rb{number:04}", trading_day=20250829, session="day",
                outage_ns=1, start_ns=1,
            )  # fmt: skip
            announcer.gap(GapEvent("opened", 5, row))
        await until(lambda: announcer.waiting == 201)
        assert announcer.published == 1
        await server.start()
        assert [(await next_event()).at_ns for _ in range(1, 200)] == list(range(1, 200))
        assert [len((await next_event()).gaps) for _ in range(2)] == [200, 100]
        assert (announcer.published, announcer.dropped, announcer.waiting) == (202, 0, 0)
        announcer.tell(speaks(200))
        await announcer.aclose()
        assert await next_event() == speaks(200)
    running.cancel()
    await asyncio.wait({running})
