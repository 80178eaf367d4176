"""The card of a line's own process waits for the contract that it asked for."""

from __future__ import annotations

import asyncio

from gateway.model import LineState
from gateway.testing import ScriptedFeed, harness
from gateway.testing.feed_cards.process import ticks_come


class Streaming(ScriptedFeed):
    """Ticks come by themselves."""

    streams = True
    patience_s = 3.0


async def test_a_tick_of_another_contract_that_comes_first_does_not_stop_the_waiting_for_the_right_one() -> None:
    feed = Streaming("acme")
    first, other = feed.instruments
    async with harness([feed]) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        waiting = asyncio.create_task(ticks_come(h, feed))
        await h.settled()
        feed.tick(other)
        await h.tick(other)
        feed.tick(first)
        await waiting
        assert [tick.instrument for tick in h.ticks] == [other, first]
