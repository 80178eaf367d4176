"""Cards of the ticks themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from gateway.model import UNPUBLISHED, Tick
from gateway.testing.cards import card, expect
from gateway.testing.counter import Counter
from gateway.testing.rig import Rig
from gateway.testing.tick_values import problems_of

_TICKS = 4


@card(
    "FEED-16",
    "Every number of a tick is finite or None, and every field what the model says",
    needs=("login", "ticks"),
    fix="turn the vendor's DBL_MAX and NaN into None, cut absent levels, leave the provenance to the gateway",
)
async def _finite(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        ticks = await _some(rig)
        for tick in ticks:
            wrong = next(problems_of(tick), "")
            expect(not wrong, f"a tick of {tick.instrument} has {wrong}")
            mark = (tick.epoch, tick.seq, tick.recv_ns, tick.line, tick.account)
            expect(mark == UNPUBLISHED, f"a tick of {tick.instrument} fills its provenance: write *UNPUBLISHED there")


@card(
    "FEED-17",
    "Per contract, time and volume never go back within a trading day",
    needs=("login", "ticks"),
    fix="deliver in the order of the callbacks, on one path; volume is cumulative for the trading day",
)
async def _monotone(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        await _some(rig)
        for instrument in rig.pair:
            ticks = rig.ticks_of(instrument)
            for earlier, later in itertools.pairwise(ticks):
                expect(later.trading_day >= earlier.trading_day, f"{instrument}: the trading day goes back")
                if later.trading_day == earlier.trading_day:
                    expect(later.exchange_ns >= earlier.exchange_ns, f"{instrument}: exchange_ns goes back")
                    words = f"{instrument}: volume goes from {earlier.volume} back to {later.volume}"
                    expect(later.volume >= earlier.volume, words)


async def _some(rig: Rig) -> Sequence[Tick]:
    await rig.log_in()
    await rig.subscribe(*rig.pair)
    for _ in range(_TICKS):
        for instrument in rig.pair:
            await rig.tick(instrument)
    return rig.sink.ticks


CARDS = (_finite, _monotone)
