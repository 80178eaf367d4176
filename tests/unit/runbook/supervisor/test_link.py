"""What a caller is told when the supervisor goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runbook.supervisor.link import EndingSupervisorError, LostSupervisorError, NoSupervisorError, SupervisorLink
from runbook.supervisor.place import Place


@asynccontextmanager
async def answering(state_dir: Path, *lines: bytes) -> AsyncIterator[SupervisorLink]:
    """A supervisor that writes these lines to whoever asks, then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.writelines(lines)
        await writer.drain()
        writer.close()

    place = Place(state_dir)
    async with await asyncio.start_unix_server(serve, sock=place.listen()):
        yield SupervisorLink(place)


def silent(*_: object) -> None:
    pass


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(NoSupervisorError, match="run `runbook start`"):
        await SupervisorLink(Place(tmp_path)).order("stop", silent)


async def test_an_order_that_was_never_taken_is_as_if_nobody_listened(tmp_path: Path) -> None:
    async with answering(tmp_path) as link:
        with pytest.raises(NoSupervisorError, match="before it took the order"):
            await link.order("stop", silent)


async def test_a_supervisor_that_ends_in_the_middle_is_an_error(tmp_path: Path) -> None:
    async with answering(tmp_path, b'{"taken": "stop"}\n') as link:
        with pytest.raises(LostSupervisorError, match="in the middle of stop") as lost:
            await link.order("stop", silent)
    assert lost.value.exit_code == 13


async def test_one_that_is_just_ending_says_so(tmp_path: Path) -> None:
    async with answering(tmp_path, b'{"ending": true}\n') as link:
        with pytest.raises(EndingSupervisorError):
            await link.order("start", silent)


async def test_stages_are_told_and_the_result_comes_at_the_end(tmp_path: Path) -> None:
    told = []
    lines = (
        b'{"taken": "stop"}\n',
        b'{"told": {"stage": "stop", "text": "nats is off", "fields": {"exit_code": 0}}}\n',
        b'{"done": {"exit_code": 13, "message": "m", "details": {}, "output": ""}}\n',
    )
    async with answering(tmp_path, *lines) as link:
        result = await link.order("stop", lambda *one: told.append(one))
    assert told == [("stop", "nats is off", {"exit_code": 0})]
    assert (result.exit_code, result.message) == (13, "m")
