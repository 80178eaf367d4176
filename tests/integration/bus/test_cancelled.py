"""Cancelling a connection, a request or the way out: it is heard at every single step, and leaves nothing behind.

asyncio's ``wait_for``, with which nats-py connects and waits for answers, loses a cancellation in Python 3.11 when what
it waits for is done in the same turn of the loop. One attempt in a hundred hits that turn, so each is tried.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import pytest

from gateway import client
from gateway.bus.dial import Dialler, NatsOptions, server_of
from gateway.bus.link import Link
from gateway.bus.nats import NatsBus
from gateway.control import StatusReply
from gateway.errors import BusError
from gateway.subjects import control_subject
from gateway.testing.nats import NatsServer

_DEADLINE_S = 60.0
"""An attempt that is still there by then hangs."""

Work = Callable[[], Awaitable[None]]


class SteppedLoop(asyncio.SelectorEventLoop):
    """Acts once, right behind the n-th thing that is scheduled."""

    left = 0
    act: Callable[[], object] | None = None

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        if self.act is not None:
            self.left -= 1
            if self.left <= 0:
                act, self.act = self.act, None
                super().call_soon(act)
        return handle


async def cancelled_at_every_step(work: Work, *, most: int = 10_000, tidy: bool = True) -> None:
    """Run ``work`` again and again, cancelled one step later each time, until it ends before that or ``most`` times.

    ``tidy``: it leaves no task behind.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    others = asyncio.all_tasks()
    for step in range(1, most + 1):
        is_over = asyncio.Event()
        task = asyncio.ensure_future(_and_stay(work, is_over))
        watching = asyncio.ensure_future(is_over.wait())
        loop.left, loop.act = step, task.cancel
        await asyncio.wait({task, watching}, timeout=_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        was_over, loop.act = loop.act is not None, None
        watching.cancel()
        if was_over:
            task.cancel()
        _, going_on = await asyncio.wait({task}, timeout=_DEADLINE_S)
        if going_on:
            task.cancel()
            await asyncio.wait({task}, timeout=_DEADLINE_S)
            pytest.fail(f"cancelled at step {step}, it went on")
        assert task.cancelled(), f"cancelled at step {step}, it ended as {task}"
        left = asyncio.all_tasks() - others - {watching}
        assert not (tidy and left), f"cancelled at step {step}, it left {left}"
        if was_over:
            return


async def _and_stay(work: Work, is_over: asyncio.Event) -> None:
    await work()
    is_over.set()
    await asyncio.Event().wait()


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        runner.run(whole())


@contextmanager
def refused() -> Iterator[str]:
    """A URL where nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"nats://127.0.0.1:{held.getsockname()[1]}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[NatsBus]:
    bus = NatsBus(url)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.aclose()


async def serve_status(bus: NatsBus) -> None:
    status = StatusReply(name="feedgate", version="0", epoch=1, codec="json", lines=[], counters={})

    async def answer(_payload: bytes) -> bytes:
        return msgspec.json.encode(status)

    await bus.serve("feedgate", "0.1.0", {control_subject("status", "feedgate"): answer})


def test_a_client_that_connects_asks_and_closes_can_be_cancelled_at_every_step():
    async def main() -> None:
        async with NatsServer() as server, opened(server.url) as bus:
            await serve_status(bus)

            async def work() -> None:
                async with client.connect(server.url) as asking:
                    await asking.status()

            await cancelled_at_every_step(work)

    run(main)


def test_whoever_tries_again_until_a_server_is_there_can_be_cancelled_at_every_step():
    async def main() -> None:
        with refused() as url:

            async def work() -> None:
                while True:
                    try:
                        async with client.connect(url):
                            return
                    except BusError:
                        await asyncio.sleep(0)

            await cancelled_at_every_step(work, most=30)

    run(main)


def test_a_service_whose_start_is_cancelled_at_any_step_leaves_the_connection_whole():
    async def main() -> None:
        async with NatsServer() as server, opened(server.url) as bus:
            await cancelled_at_every_step(lambda: serve_status(bus), tidy=False)
            # behind the PONGs for which nobody waits any more
            messages = bus.subscribe("probe")
            await bus.publish("probe", b"")
            await anext(messages)
            assert bus.counters.control.disconnects == 0

    run(main)


@pytest.mark.parametrize("is_back", [True, False], ids=["is back", "stays away"])
def test_a_link_that_looks_for_its_lost_server_can_be_closed_at_every_step(is_back: bool):
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        with refused() as dead_url:
            async with NatsServer() as server:
                before = asyncio.all_tasks()
                for step in range(1, 40):
                    dialler = Dialler(NatsOptions(urls=(server.url,), backoff_first=0.0, backoff_limit=0.0))
                    link = Link("ticks", dialler)
                    await link.open()
                    assert link.wire is not None
                    if not is_back:
                        dialler.servers[:] = [server_of(dead_url, dialler.options)]
                    now = asyncio.Event()
                    link.wire.fail(ConnectionError("cut"))
                    loop.left, loop.act = step, now.set
                    # a link that is up again has nothing more to do
                    waits = {asyncio.ensure_future(now.wait()), asyncio.ensure_future(link.wait_up())}
                    await asyncio.wait(waits, timeout=_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
                    loop.act = None
                    for wait in waits:
                        wait.cancel()
                    await asyncio.wait(waits)
                    closing = asyncio.ensure_future(link.aclose())
                    _, hanging = await asyncio.wait({closing}, timeout=_DEADLINE_S)
                    left = asyncio.all_tasks() - before
                    assert not hanging, f"closed at step {step}, it went on: {left}"
                    assert not left, f"closed at step {step}, it left {left}"

    run(main)
