"""A gateway works wherever asyncio does, and closing it leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway import Gateway, MetricsSettings
from gateway.errors import FeedgateError
from tests.integration.embedding.course import TICKS, course, everything
from tests.integration.embedding.leftovers import Leftovers, children

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]


async def nothing() -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()


@pytest.fixture(scope="module", autouse=True)
def _what_a_loop_keeps() -> None:
    """libuv opens a pipe for signals with the first process that it starts, one for all loops, for good."""
    for loop in LOOPS:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(nothing())


@pytest.fixture
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Leftovers:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return Leftovers()


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_it_runs_on_this_loop_and_closing_it_leaves_nothing_behind(loop: Any, leftovers: Leftovers) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(course()) == TICKS
    assert leftovers.found() == []


def test_two_threads_have_a_gateway_each_on_loops_of_their_own_and_leave_nothing_behind(leftovers: Leftovers) -> None:
    came: list[int] = []
    threads = [threading.Thread(target=lambda: came.append(asyncio.run(course()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert came == [TICKS, TICKS]
    assert leftovers.found() == []


class TestAFixtureOfPytest:
    @pytest.fixture
    def nothing_left(self, leftovers: Leftovers) -> Iterator[None]:
        yield
        assert leftovers.found(loop_runs=True) == []

    @pytest.fixture
    async def gw(self, nothing_left: None) -> AsyncIterator[Gateway]:
        async with Gateway(everything()) as gw:
            yield gw

    async def test_holds_a_gateway_and_leaves_nothing_behind(self, gw: Gateway) -> None:
        async with asyncio.timeout(30), gw.ticks() as ticks:
            assert (await anext(ticks)).seq > 0


def test_a_start_that_fails_late_gives_back_what_was_started(leftovers: Leftovers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = everything(metrics=MetricsSettings(port=taken.getsockname()[1]))

        async def start() -> None:
            with pytest.raises(FeedgateError, match="METRICS__PORT"):
                await Gateway(settings).start()
            assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()

        asyncio.run(start())
    assert leftovers.found() == []


def test_a_start_that_is_cancelled_gives_back_what_was_started(leftovers: Leftovers) -> None:
    before = children()

    async def start() -> None:
        starting = asyncio.create_task(Gateway(everything()).start())
        async with asyncio.timeout(30):
            while children() == before and not starting.done():
                await asyncio.sleep(0.001)
        assert starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()

    asyncio.run(start())
    assert leftovers.found() == []


async def test_without_a_block_start_and_aclose_do_the_same_and_aclose_may_come_twice() -> None:
    gw = await Gateway(everything(bus={"kind": "memory"}, feeds={"sim": {"host": "inline"}})).start()
    async with asyncio.timeout(30), gw.ticks() as ticks:
        await anext(ticks)
    await asyncio.gather(gw.aclose(), gw.aclose())
    await gw.aclose()
    assert gw.balance().received > 0
    with pytest.raises(FeedgateError, match="make another one"):
        await gw.start()
    await gw.aclose()


async def test_closing_a_gateway_that_was_never_started_does_nothing() -> None:
    await Gateway(everything()).aclose()
