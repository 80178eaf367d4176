"""A gateway with everything that could be left behind: a child process, a nats-server, a metrics port, a ledger."""

from __future__ import annotations

import asyncio

from gateway import FeedSettings, Gateway, MetricsSettings, Settings, connect
from tests.integration.embedding.leftovers import children, other_tasks

TICKS = 50


def everything(**more: object) -> Settings:
    feed = FeedSettings(host="child", options={"contracts": 5, "rate": 500})
    return Settings.model_validate({"feeds": {"sim": feed}, "metrics": MetricsSettings(port=0)} | more)


async def course() -> int:
    """Ticks from inside and from outside, then the end. Returns how many came."""
    tasks = other_tasks()
    async with Gateway(everything()) as gw:
        assert gw.url is not None
        async with (
            asyncio.timeout(30),
            gw.ticks() as inside,
            connect(gw.url) as client,
            client.ticks("*", snapshot="optional") as outside,
        ):
            for _ in range(TICKS):
                await anext(inside)
                await anext(outside)
        pid = gw.line_pid("sim:primary")
        assert pid in children()
        assert len(children()) >= 2  # the line's process and nats-server
    assert other_tasks() == tasks
    books = gw.balance()
    assert books.received >= TICKS
    assert books.received == books.published + books.total_dropped
    return TICKS
