"""A socket that is read without a stream: nothing is lost, nothing overtakes, nothing piles up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.bus.intake import Intake


class Reading:
    """An intake on one end of a socket pair; chunks that begin with ``slow`` are left to the owner."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: socket.socket) -> None:
        self.reader = reader
        self.writer = writer
        self.other = other
        self.fed: list[bytes] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.fault: Exception | None = None
        self.intake = Intake(writer.transport, self._feed, self.lost.set_result)

    def _feed(self, data: bytes) -> bytes:
        if self.fault is not None:
            raise self.fault
        if data.startswith(b"slow"):
            return data
        self.fed.append(data)
        return b""

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.other, data)

    async def until_fed(self, data: bytes) -> None:
        async with asyncio.timeout(60):
            while b"".join(self.fed) != data:
                await asyncio.sleep(0)


@pytest.fixture
async def reading() -> AsyncIterator[Reading]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=ours)
    yield Reading(reader, writer, theirs)
    writer.close()
    await writer.wait_closed()
    theirs.close()


async def test_what_can_be_dealt_with_at_once_wakes_nobody(reading: Reading) -> None:
    await reading.send(b"one")
    await reading.until_fed(b"one")
    await reading.send(b"two")
    await reading.until_fed(b"onetwo")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await reading.intake.rest()


async def test_nothing_overtakes_what_the_owner_is_dealing_with(reading: Reading) -> None:
    async with asyncio.timeout(60):
        reading.intake.take(b"slow 1")
        reading.intake.take(b"fast 2")
        assert await reading.intake.rest() == b"slow 1"
        assert await reading.intake.rest() == b"slow 1"
        reading.intake.done()
        assert await reading.intake.rest() == b"fast 2"
        assert reading.fed == []
        reading.intake.done()
        reading.intake.take(b"fast 3")
    assert reading.fed == [b"fast 3"]


async def test_the_socket_is_not_read_while_the_owner_does_not_keep_up(reading: Reading) -> None:
    transport = reading.writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    taken = 0
    while transport.is_reading():
        reading.intake.take(b"slow")
        taken += 1
        assert taken < 100
    for _ in range(taken):
        reading.intake.done()
    assert transport.is_reading()
    await reading.send(b"again")
    await reading.until_fed(b"again")


async def test_the_end_of_the_connection_is_told(reading: Reading) -> None:
    reading.other.close()
    async with asyncio.timeout(60):
        assert await reading.lost is None


async def test_what_feeding_raises_is_a_loss_with_that_reason(reading: Reading) -> None:
    reading.fault = ValueError("nonsense")
    await reading.send(b"x")
    async with asyncio.timeout(60):
        assert await reading.lost is reading.fault
    reading.lost = asyncio.get_running_loop().create_future()
    reading.intake._lost = reading.lost.set_result


async def test_who_waits_to_write_goes_on_when_the_other_side_reads(reading: Reading) -> None:
    reading.writer.write(bytes(8 << 20))
    waiting = asyncio.create_task(reading.writer.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        while not waiting.done():
            await loop.sock_recv(reading.other, 1 << 20)
    await waiting
