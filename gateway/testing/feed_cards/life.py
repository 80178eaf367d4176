"""Cards of a source's life: start, login, close."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from gateway.errors import FeedgateError
from gateway.model import LineState
from gateway.testing.cards import card, expect
from gateway.testing.counter import Counter
from gateway.testing.leaks import Footprint, left_since
from gateway.testing.rig import Rig

_SENT = 3
_OF_A_SOURCE: Final = frozenset(
    {LineState.CONNECTING, LineState.CONNECTED, LineState.LOGGED_IN, LineState.REFUSED, LineState.LOST}
)


async def _whole_life(counter: Counter) -> None:
    async with Rig(counter) as rig:
        await rig.log_in()
        await rig.subscribe(*rig.pair)
        if "ticks" in counter.capabilities():
            await rig.tick(rig.pair[0])


@card(
    "FEED-01",
    "Start and stop leave no thread, task, child process or descriptor",
    needs=("login",),
    fix="let aclose() wait for what start() made: join threads, cancel and await tasks, close sockets, reap children",
)
async def _leaves_nothing(make: Callable[[], Counter]) -> None:
    Footprint.lend_pool()
    async with make() as counter:
        await _whole_life(counter)  # imports and caches are made once, and stay
        before = Footprint.take()
        await _whole_life(counter)
        left = await left_since(before, counter.patience_s / 2)
        expect(not left, f"after aclose() there is still: {'; '.join(left)}")


@card(
    "FEED-02",
    "Closing twice, also at the same time, is closing once",
    needs=("login",),
    fix="remember that aclose() ran; a second caller waits for the first and raises nothing",
)
async def _closes_twice(make: Callable[[], Counter]) -> None:
    async with make() as counter:
        rig = Rig(counter)
        await rig.log_in()
        await rig.within(_both(rig), "aclose(), twice at the same time,")
        await rig.within(rig.source.aclose(), "aclose() of a closed source")


async def _both(rig: Rig) -> None:
    await asyncio.gather(rig.source.aclose(), rig.source.aclose())


@card(
    "FEED-03",
    "Closing before, during and after a start that failed leaves nothing",
    needs=("login",),
    fix="aclose() must cope with every attribute that start() has not filled yet",
)
async def _closes_unstarted(make: Callable[[], Counter]) -> None:
    Footprint.lend_pool()
    async with make() as counter:
        await _whole_life(counter)
        before = Footprint.take()
        await Rig(counter).close()
        await _cancelled(Rig(counter))
        left = await left_since(before, counter.patience_s / 2)
        expect(not left, f"after a start that was broken off there is still: {'; '.join(left)}")
        deserted = Rig(counter)
        # stop() of the counter closes things of its own, so what is there is counted again
        await counter.stop()
        await deserted.sink.until(lambda: False, 0.05)
        before = Footprint.take()
        with contextlib.suppress(FeedgateError, OSError):
            await deserted.start()
        await deserted.close()
        left = await left_since(before, counter.patience_s / 2)
        expect(not left, f"after a start without a counter there is still: {'; '.join(left)}")


async def _cancelled(rig: Rig) -> None:
    starting = asyncio.ensure_future(rig.source.start(rig.sink))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait({starting})
    await rig.close()


@card(
    "FEED-04",
    "A login is told once per connection, and only a source's own states are told",
    needs=("login",),
    fix="tell CONNECTING, CONNECTED, LOGGED_IN, REFUSED or LOST; STREAMING, IDLE and STOPPED are the line's",
)
async def _tells_the_login(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        await rig.log_in()
        await rig.subscribe(*rig.pair)
        await rig.sink.until(lambda: False, counter.quiet_s)
        foreign = [state.value for state in rig.sink.states if state not in _OF_A_SOURCE]
        expect(not foreign, f"it told {', '.join(foreign)}, which a source must not")
        logins = rig.sink.states.count(LineState.LOGGED_IN)
        expect(logins == 1, f"one connection was told as logged in {logins} times")


@card(
    "FEED-05",
    "Nothing reaches the sink after aclose() has returned",
    needs=("login", "ticks"),
    fix="aclose() first takes the sink away from the callbacks, then lets go of the vendor's library or connection",
)
async def _silent_when_closed(make: Callable[[], Counter]) -> None:
    async with make() as counter:
        rig = Rig(counter)
        await rig.log_in()
        await rig.subscribe(*rig.pair)
        await rig.tick(rig.pair[0])
        await rig.close()
        said = len(rig.sink.events)
        for _ in range(_SENT):
            if not counter.streams:
                await counter.send(rig.pair[0])
        if "drop" in counter.capabilities():
            await counter.drop()
        await rig.sink.until(lambda: len(rig.sink.events) > said, counter.quiet_s)
        late = rig.sink.events[said:]
        expect(not late, f"after aclose() the sink was told {late[0][0]}" if late else "")


@card(
    "FEED-06",
    "A callback that comes late, after aclose(), reaches nobody and does no harm",
    needs=("login", "late"),
    fix="callbacks ask whether the source is closed before anything else, and never raise",
)
async def _late_callbacks(make: Callable[[], Counter]) -> None:
    async with make() as counter:
        rig = Rig(counter)
        await rig.log_in()
        await rig.subscribe(*rig.pair)
        await rig.close()
        said = len(rig.sink.events)
        await counter.late()
        await rig.sink.until(lambda: len(rig.sink.events) > said, counter.quiet_s)
        late = rig.sink.events[said:]
        expect(not late, f"a late callback told the sink {late[0][0]}" if late else "")


CARDS = (_leaves_nothing, _closes_twice, _closes_unstarted, _tells_the_login, _silent_when_closed, _late_callbacks)
