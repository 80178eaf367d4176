"""What only the bus in memory does; the rest is in the contract that it shares with NATS."""

from __future__ import annotations

import asyncio

import pytest

from gateway.bus.memory import MemoryBus
from gateway.errors import BusError, ControlError


async def test_a_subject_is_served_once():
    bus = MemoryBus()
    await bus.start()

    async def echo(payload: bytes) -> bytes:
        return payload

    await bus.serve("one", "0.1.0", {"a": echo})
    with pytest.raises(BusError, match="a is served already"):
        await bus.serve("two", "0.1.0", {"b": echo, "a": echo})
    with pytest.raises(ControlError):
        await bus.request("b", b"")
    await bus.aclose()


async def test_an_asker_is_told_when_the_bus_closes_while_it_waits():
    bus = MemoryBus()
    await bus.start()
    inside = asyncio.Event()

    async def hang(payload: bytes) -> bytes:
        inside.set()
        await asyncio.Event().wait()
        return b""

    await bus.serve("one", "0.1.0", {"hang": hang})
    asking = asyncio.create_task(bus.request("hang", b"", timeout=60))
    await inside.wait()
    await bus.aclose()
    with pytest.raises(ControlError, match="stopped while it answered"):
        await asking


async def test_waiting_for_the_start_returns_with_it():
    bus = MemoryBus()
    waiting = asyncio.create_task(bus.wait_connected())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not bus.connected
    await bus.start()
    await waiting
    await bus.aclose()


async def test_a_subscriber_that_comes_later_gets_subjects_already_seen():
    bus = MemoryBus()
    await bus.start()
    await bus.publish("a.b", b"before")
    messages = bus.subscribe("a.*")
    await bus.publish("a.b", b"after")
    assert (await anext(messages)).data == b"after"
    await bus.aclose()
