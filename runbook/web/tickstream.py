"""Ticks of a few contracts for people's eyes: the newest of each, at most four times a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream

from gateway.client import Client
from gateway.errors import FeedgateError
from gateway.model import SHANGHAI, Tick
from gateway.subjects import subscription_subject
from gateway.wanting import is_pattern
from runbook.model import Role
from runbook.runner import shanghai
from runbook.web.console import Console
from runbook.web.errors import ApiError
from runbook.web.fanout import frame
from runbook.web.streams import HEARTBEAT_S, RETRY, Streams, event_stream

CONTRACTS: Final = 20
"""Of so many ticks are shown at once."""
_EVERY_S: Final = 0.25
_QUEUE: Final = 4096
_LONGEST: Final = 64


class ShownTick(msgspec.Struct, frozen=True, kw_only=True):
    """The event ``tick``. Prices are null where the exchange sends none."""

    instrument: str
    """``SHFE.rb2601``"""
    last: float | None
    bid: float | None
    bid_volume: int | None
    ask: float | None
    ask_volume: int | None
    volume: int
    """Contracts traded in this trading day."""
    turnover: float | None
    open_interest: float | None
    open: float | None
    high: float | None
    low: float | None
    pre_settlement: float | None
    change: float | None
    """``last - pre_settlement``"""
    upper_limit: float | None
    lower_limit: float | None
    trading_day: int
    """``YYYYMMDD``"""
    time: str
    """Of the exchange, ``HH:MM:SS.mmm``, Shanghai."""
    received: str
    """When the line got it: RFC 3339, +08:00."""
    line: str
    """Which line brought it: ``ctp:primary``."""
    seq: int
    """1, 2, 3 … for each contract since the gateway started."""


def shown(tick: Tick) -> ShownTick:
    """A tick for people."""
    at = tick.exchange_time.astimezone(SHANGHAI)
    known = tick.last is not None and tick.pre_settlement is not None
    return ShownTick(
        instrument=str(tick.instrument),
        last=tick.last,
        bid=tick.bid_prices[0] if tick.bid_prices else None,
        bid_volume=tick.bid_volumes[0] if tick.bid_volumes else None,
        ask=tick.ask_prices[0] if tick.ask_prices else None,
        ask_volume=tick.ask_volumes[0] if tick.ask_volumes else None,
        volume=tick.volume,
        turnover=tick.turnover,
        open_interest=tick.open_interest,
        open=tick.open,
        high=tick.high,
        low=tick.low,
        pre_settlement=tick.pre_settlement,
        change=round((tick.last or 0) - (tick.pre_settlement or 0), 6) if known else None,
        upper_limit=tick.upper_limit,
        lower_limit=tick.lower_limit,
        trading_day=tick.trading_day,
        time=f"{at:%H:%M:%S}.{at.microsecond // 1000:03}",
        received=shanghai(tick.recv_ns),
        line=tick.line,
        seq=tick.seq,
    )


@get(
    "/api/ticks/events",
    opt={"role": Role.VIEWER},
    tags=["live"],
    summary="Live ticks of a few contracts",
    description=(
        f"Server-sent events: `tick`, the last known one of each contract first, then the newest, at most four a "
        f"second of each. Of at most {CONTRACTS} contracts, in the order of the catalogue; the event `contracts` at "
        "the start says which, and how many match. No ids: whoever comes back gets the last ticks again."
    ),
)
async def tick_events(
    console: NamedDependency[Console],
    streams: NamedDependency[Streams],
    pattern: Annotated[str, QueryParameter(description="`EXCHANGE.CODE`, or a shell glob over it: `SHFE.rb26*`")],
) -> Stream:
    """The stream."""
    try:
        if len(pattern) > _LONGEST or not pattern.isprintable() or " " in pattern:
            raise ValueError(pattern)  # noqa: TRY301 - refused as what is no pattern at all
        subscription_subject(pattern)
    except ValueError:
        raise ApiError(400, "pattern", "this is no pattern; write EXCHANGE.CODE, for example SHFE.rb2601") from None
    streams.check()
    async with console.observatory.client() as client:
        names, matching = await _names(client, pattern)
    return event_stream(_ticks(console, streams, names, matching))


async def _names(client: Client, pattern: str) -> tuple[list[str], int]:
    if not is_pattern(pattern):
        return [pattern], 1
    found = [str(contract.instrument) for contract in await client.contracts(pattern)]
    if not found:
        raise ApiError(404, "unknown_contract", "no contract of the catalogue matches this pattern")
    return found[:CONTRACTS], len(found)


async def _ticks(console: Console, streams: Streams, names: list[str], matching: int) -> AsyncIterator[bytes]:
    with streams.one("ticks"):
        yield RETRY
        yield frame("contracts", msgspec.json.encode({"shown": names, "matching": matching}))
        with contextlib.suppress(FeedgateError):  # the gateway went away: the client comes back by itself
            async with (
                console.observatory.client() as client,
                contextlib.aclosing(client.ticks(*names, snapshot="optional", queue=_QUEUE)) as source,
                contextlib.aclosing(streams.until_closed(_newest(source), HEARTBEAT_S)) as newest,
            ):
                async for ticks in newest:
                    if ticks is None:
                        yield b": \n\n"
                        continue
                    yield b"".join(frame("tick", msgspec.json.encode(shown(tick))) for tick in ticks)


async def _newest(source: AsyncIterator[Tick]) -> AsyncIterator[list[Tick]]:
    """The newest tick of each contract that had any, four times a second."""
    board: dict[str, Tick] = {}
    some = asyncio.Event()

    async def collect() -> None:
        async for tick in source:
            board[str(tick.instrument)] = tick
            some.set()

    collecting = asyncio.create_task(collect(), name="ticks of a page")
    try:
        while not collecting.done() or board:
            waiting = asyncio.ensure_future(some.wait())
            try:
                await asyncio.wait({waiting, collecting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            some.clear()
            ticks = list(board.values())
            board.clear()
            if ticks:
                yield ticks
            elif collecting.done():
                break
            await asyncio.sleep(_EVERY_S)
        collecting.result()
    finally:
        collecting.cancel()
        await asyncio.wait({collecting})
