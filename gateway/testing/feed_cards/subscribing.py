"""Cards of subscriptions."""

from __future__ import annotations

from collections.abc import Callable

from gateway.testing.cards import card, expect
from gateway.testing.counter import Counter
from gateway.testing.rig import Rig

_AFTERWARDS = 3


@card(
    "FEED-07",
    "What is subscribed is confirmed and ticks; nothing else does",
    needs=("login", "ticks"),
    fix="tell sink.confirmed() of what the vendor accepted, and deliver only what was asked for",
)
async def _ticks_what_is_subscribed(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        await rig.log_in()
        wanted, other = rig.pair
        await rig.subscribe(wanted)
        if not counter.streams:
            await counter.send(other)
        await rig.tick(wanted, times=_AFTERWARDS)
        strange = {str(tick.instrument) for tick in rig.sink.ticks} - {str(wanted)}
        expect(not strange, f"{wanted} alone was subscribed, and ticks of {', '.join(sorted(strange))} came")
        confirmed = rig.sink.named("confirmed") - {wanted}
        expect(not confirmed, f"{', '.join(map(str, confirmed))} was confirmed, and nobody had asked for it")


@card(
    "FEED-08",
    "Unsubscribing stops the ticks of that contract, and of no other",
    needs=("login", "ticks"),
    fix="pass the unsubscription on to the vendor, tell sink.unsubscribed(), and deliver nothing of it afterwards",
)
async def _unsubscribes(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        await rig.log_in()
        left, kept = rig.pair
        await rig.subscribe(left, kept)
        await rig.tick(left)
        await rig.unsubscribe(left)
        came = len(rig.ticks_of(left))
        for _ in range(_AFTERWARDS):
            if not counter.streams:
                await counter.send(left)
            await rig.tick(kept)
        more = len(rig.ticks_of(left)) - came
        expect(not more, f"{more} ticks of {left} came after sink.unsubscribed() was told")


@card(
    "FEED-09",
    "A contract that the counter does not know is refused with a reason, and takes no other with it",
    needs=("login", "unknown"),
    fix="tell sink.refused(instrument, the vendor's words) for it, and confirm the rest of the request",
)
async def _refuses_the_unknown(make: Callable[[], Counter]) -> None:
    async with make() as counter, Rig(counter) as rig:
        await rig.log_in()
        unknown, known = counter.unknown, rig.pair[0]
        if unknown is None:
            return
        await rig.within(rig.source.subscribe([unknown, known]), "subscribe()")
        sink = rig.sink
        await rig.come(
            lambda: unknown in sink.named("refused") | sink.named("confirmed"), f"an answer for the unknown {unknown}"
        )
        expect(unknown not in sink.named("confirmed"), f"{unknown} was confirmed, and the counter does not know it")
        reasons = [value[1] for what, value in sink.events if what == "refused" and isinstance(value, tuple)]
        expect(all(reasons), f"{unknown} was refused without a reason")
        await rig.come(lambda: known in sink.named("confirmed"), f"the confirmation of {known}, asked for beside it,")


CARDS = (_ticks_what_is_subscribed, _unsubscribes, _refuses_the_unknown)
