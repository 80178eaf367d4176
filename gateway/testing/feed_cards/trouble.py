"""Cards of what goes wrong: losses, refusals, sinks that raise, neighbours."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from gateway.model import Instrument, LineState
from gateway.testing.cards import card, expect
from gateway.testing.counter import Counter
from gateway.testing.rig import Rig

WORDS: Final = "no such investor, says the counter"
_TICKS = 3


@card(
    "FEED-10",
    "After a loss it is LOST, logs in again, takes the subscriptions again and sends each tick once",
    needs=("login", "ticks", "drop"),
    fix="tell LOST at the end of the connection and LOGGED_IN after the next login; the line subscribes again, "
    "so a source that does it too must not deliver twice",
)
async def _comes_back(make: Callable[[], Counter]) -> None:
    async with make() as counter, AsyncExitStack() as stack:
        rig = await stack.enter_async_context(Rig(counter))
        await rig.log_in()
        await rig.subscribe(*rig.pair)
        await rig.tick(rig.pair[0])
        await counter.drop()
        await rig.come(lambda: LineState.LOST in rig.sink.states, "LOST, after the connection was cut,")
        if counter.reconnects:
            await rig.logged_in(2)
        else:
            await rig.close()
            rig = await stack.enter_async_context(Rig(counter))
            await rig.log_in()
        await rig.subscribe(*rig.pair)
        before = len(rig.ticks_of(rig.pair[0]))
        await rig.tick(rig.pair[0], times=_TICKS)
        await rig.tick(rig.pair[1])
        again = rig.ticks_of(rig.pair[0])[before:]
        doubled = [number for number, times in Count(again).items() if times > 1]
        expect(not doubled, f"{len(doubled)} of {_TICKS} ticks came more than once after the connection was back")


@card(
    "FEED-11",
    "A refused login is REFUSED in the vendor's words, not a wait for ever",
    needs=("login", "refuse"),
    fix="tell sink.state(LineState.REFUSED, the vendor's code and text); start() must not raise or wait for it",
)
async def _refused_login(make: Callable[[], Counter]) -> None:
    async with make() as counter:
        await counter.refuse(WORDS)
        async with Rig(counter) as rig:
            await rig.start()
            await rig.come(lambda: LineState.REFUSED in rig.sink.states, "REFUSED")
            said = rig.sink.reasons(LineState.REFUSED)[0]
            expect(WORDS in said, f"the counter said {WORDS!r}, and the reason told is {said!r}")
            expect(LineState.LOGGED_IN not in rig.sink.states, "it was told as logged in, too")


@card(
    "FEED-12",
    "A sink that raises does not end the feed in silence: the next tick comes, or the line is told LOST",
    needs=("login", "ticks"),
    fix="catch everything in the callback: a raise there ends the vendor's thread or your read loop",
)
async def _survives_a_raising_sink(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        await rig.log_in()
        first = rig.pair[0]
        await rig.subscribe(first)
        await rig.tick(first)
        rig.sink.raise_next = 1
        if not counter.streams:
            await counter.send(first)
        await rig.come(lambda: not rig.sink.raise_next, "the tick at which the sink raises")
        came = len(rig.ticks_of(first))
        if not counter.streams and LineState.LOST not in rig.sink.states:
            await counter.send(first)
        await rig.come(
            lambda: len(rig.ticks_of(first)) > came or LineState.LOST in rig.sink.states,
            "another tick, or LOST, after the sink raised once,",
        )


@card(
    "FEED-13",
    "Two sources in one process share nothing",
    needs=("login", "ticks"),
    fix="keep everything on the source object: no module-level connection, no class attribute that is filled",
)
async def _shares_nothing(make: Callable[[], Counter]) -> None:
    async with make() as here, make() as there, Rig(there, "backup") as other:
        one = Rig(here)
        try:
            await one.log_in()
            await other.log_in()
            first, second = one.pair
            await one.subscribe(first)
            await other.subscribe(second)
            for counter in (here, there):
                await _send(counter, first, second)
            await one.tick(first)
            await other.tick(second)
            for rig, own in ((one, first), (other, second)):
                strange = {str(tick.instrument) for tick in rig.sink.ticks} - {str(own)}
                expect(not strange, f"{rig.line} subscribed {own} and got {', '.join(strange)}, which the other wanted")
            if "drop" in here.capabilities():
                await here.drop()
                await one.come(lambda: LineState.LOST in one.sink.states, "LOST, after the connection was cut,")
        finally:
            await one.close()
        await other.tick(second)
        expect(LineState.LOST not in other.sink.states, f"the trouble of {one.line} was told to {other.line}, too")


async def _send(counter: Counter, *instruments: Instrument) -> None:
    if not counter.streams:
        for instrument in instruments:
            await counter.send(instrument)


CARDS = (_comes_back, _refused_login, _survives_a_raising_sink, _shares_nothing)
