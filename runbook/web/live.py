"""What happens, as server-sent events: how things are, and runs that begin, go on and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from runbook.model import Role
from runbook.runner import Run, RunState
from runbook.web.api.status import status_of
from runbook.web.console import Console
from runbook.web.errors import ApiError
from runbook.web.fanout import Fanout, Reader, frame, heard
from runbook.web.meters import Meters
from runbook.web.streams import HEARTBEAT_S, RETRY, Streams, event_id, event_stream
from runbook.web.tickstream import tick_events

log = logging.getLogger(__name__)

_LATEST: Final = 20
"""Runs that are looked at for changes."""
_LOOK_S: Final = 1.0
_IDLE_LOOK_S: Final = 3.0
_LINGER_S: Final = 30.0
"""How long news is kept up for a client that lost its connection and comes back."""

LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="Of the last event that came; browsers send it by themselves"),
]


class RunNews(msgspec.Struct, frozen=True, kw_only=True):
    """The event ``run``: a run that began, went on or ended."""

    id: str
    action: str
    state: RunState
    operator: str
    mode: str
    started: str
    """RFC 3339, +08:00; empty: not begun yet."""
    finished: str
    exit_code: int | None
    message: str
    stages: int
    """How many it has told."""
    stage: str
    """The latest one."""


class Live:
    """The stream of ``/api/events``. Everything in it is made once a second, for all clients, while there are any."""

    def __init__(self, console: Console, streams: Streams, meters: Meters) -> None:
        self._console = console
        self._streams = streams
        self._meters = meters
        self.fanout = Fanout(console.runbook.clock.wall_ns() // 1_000_000)
        self._runs: dict[str, RunNews] | None = None
        self._status = b"{}"
        self._looks = 0
        self._awake_until = 0.0

    # -- once for all ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look, count and publish until cancelled."""
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("live events: a look failed; trying again")
            if self._is_awake():
                await asyncio.sleep(_LOOK_S)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_LOOK_S):
                        await self.fanout.somebody()

    def close(self) -> None:
        """All clients of it end. Idempotent."""
        self.fanout.close()

    def _is_awake(self) -> bool:
        now = self._console.runbook.clock.monotonic()
        if self.fanout:
            self._awake_until = now + _LINGER_S
        return now < self._awake_until

    async def _look(self) -> None:
        before = self._runs
        found = {run.id: _news(run) for run in await self._console.runbook.runner.runs(_LATEST)}
        self._runs = found
        self._meters.running.set(sum(news.state is RunState.RUNNING for news in found.values()))
        changed = [] if before is None else [news for number, news in found.items() if before.get(number) != news]
        for news in changed:
            if news.state is RunState.DONE:
                self._meters.runs.labels(news.action, str(news.exit_code)).inc()
        if not self._is_awake():
            self.fanout.forget()
            return
        for news in reversed(changed):
            self.fanout.publish("run", msgspec.json.encode(news))
        if self._console.observatory.looks != self._looks:
            self._looks = self._console.observatory.looks
            self._status = msgspec.json.encode(await status_of(self._console))
            self.fanout.publish("status", self._status)

    # -- of one client -----------------------------------------------------------------------------------------------

    async def events(self, last_id: int | None) -> AsyncIterator[bytes]:
        """As bytes for the wire, until the client is too slow or the console ends."""
        reader = self.fanout.join(last_id)
        try:
            with self._streams.one("events"):
                yield RETRY
                for one in await self._first(reader):
                    yield one
                async for one in heard(reader, HEARTBEAT_S):
                    yield one
        finally:
            self.fanout.leave(reader)
            if reader.dropped:
                self._streams.dropped("events")

    async def _first(self, reader: Reader) -> list[bytes]:
        """What was missed; the whole picture for whoever is new, or was away for too long."""
        if reader.missed is not None:
            return [event.frame for event in reader.missed]
        if self._looks != self._console.observatory.looks:
            self._status = msgspec.json.encode(await status_of(self._console))
        running = [news for news in (self._runs or {}).values() if news.state is not RunState.DONE]
        number = reader.after = self.fanout.last_id
        return [
            frame("status", self._status, number),
            *(frame("run", msgspec.json.encode(news), number) for news in running),
        ]


def _news(run: Run) -> RunNews:
    return RunNews(
        id=run.id,
        action=run.request.action,
        state=run.state,
        operator=run.request.operator,
        mode=run.request.mode,
        started=run.started,
        finished=run.finished,
        exit_code=run.exit_code,
        message=run.result.message if run.result else "",
        stages=len(run.stages),
        stage=run.stages[-1].stage if run.stages else "",
    )


# -- routes --------------------------------------------------------------------------------------------------------


@get(
    "/api/events",
    opt={"role": Role.VIEWER},
    tags=["live"],
    summary="Status and runs as they change",
    description=(
        "Server-sent events: `status` (what GET /api/status answers) each second, `run` when a run begins, goes on or "
        "ends. Ids rise; with `Last-Event-ID` what was missed comes first, or the whole picture."
    ),
)
async def events(
    live: NamedDependency[Live], streams: NamedDependency[Streams], last_event_id: LastEventId = None
) -> Stream:
    """The stream."""
    streams.check()
    return event_stream(live.events(event_id(last_event_id)))


@get(
    "/api/runbook/runs/{run_id:str}/events",
    opt={"role": Role.VIEWER},
    tags=["live"],
    summary="The stages of a run as they come",
    description=(
        "Server-sent events: `stage` for each stage, from the first, its id the stage's number; then `done` with the "
        "run, and the stream ends. `Last-Event-ID` leaves out what the client already has."
    ),
)
async def run_events(
    run_id: FromPath[str],
    console: NamedDependency[Console],
    streams: NamedDependency[Streams],
    last_event_id: LastEventId = None,
) -> Stream:
    """The stream."""
    if await console.runbook.runner.get(run_id) is None:
        raise ApiError(404, "unknown_run", "there is no such run; GET /api/runbook/runs lists them")
    streams.check()
    return event_stream(_stages(console, streams, run_id, event_id(last_event_id) or 0))


async def _stages(console: Console, streams: Streams, run_id: str, seen: int) -> AsyncIterator[bytes]:
    runner = console.runbook.runner
    number = 0
    with streams.one("run"):
        yield RETRY
        async with contextlib.aclosing(streams.until_closed(runner.watch(run_id))) as stages:
            async for stage in stages:
                if stage is None:
                    yield b": \n\n"
                    continue
                number += 1
                if number > seen:
                    yield frame("stage", msgspec.json.encode(stage), number)
        run = await runner.get(run_id)
        if run is not None and run.state is RunState.DONE:
            yield frame("done", msgspec.json.encode(run.as_json()), number + 1)


LIVE: Final = (events, run_events, tick_events)
