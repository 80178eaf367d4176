"""Whatever happens in whatever order: nothing is lost, and neither rate nor limit is exceeded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LineError
from gateway.flow.bucket import TokenBucket
from gateway.flow.subscriptions import SubscriptionPolicy, Subscriptions
from gateway.model import Instrument, LineId
from gateway.testing.clock import ManualClock

ALL = [Instrument("DCE", f"m{number:02d}") for number in range(12)]
LIMIT, RATE, BURST = 4, 4.0, 5

some = st.lists(st.sampled_from(ALL), max_size=8)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("want"), some),
        st.tuples(st.just("release"), some),
        st.tuples(st.just("confirm"), some),
        st.tuples(st.just("refuse"), some),
        st.tuples(st.just("off"), some),
        st.tuples(st.just("up"), st.none()),
        st.tuples(st.just("down"), st.none()),
        st.tuples(st.just("break"), st.booleans()),
        st.tuples(st.just("advance"), st.sampled_from([0.1, 0.9, 2.0, 5.0, 30.0])),
    ),
    max_size=40,
)


class Port:
    """Holds what a vendor would hold, from its own point of view."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.broken = False
        self.up = False
        self.sent: list[tuple[float, int]] = []

    async def subscribe(self, instruments: Sequence[Instrument], /) -> None:
        await self._call(instruments)

    async def unsubscribe(self, instruments: Sequence[Instrument], /) -> None:
        await self._call(instruments)

    async def _call(self, instruments: Sequence[Instrument]) -> None:
        assert self.up, "called while the line is down"
        assert len(set(instruments)) == len(instruments) > 0
        self.sent.append((self.clock.monotonic(), len(instruments)))
        await asyncio.sleep(0)
        if self.broken:
            raise LineError("broken")


def check(subs: Subscriptions, port: Port) -> None:
    parts = [subs.unsent, set(subs.pending), set(subs.confirmed), set(subs.failed)]
    assert sum(map(len, parts)) == len(subs.wanted)
    assert set().union(*parts) == set(subs.wanted)
    assert len(subs.pending) + len(subs.confirmed) <= LIMIT
    for first, (begin, _) in enumerate(port.sent):
        total = 0
        for at, count in port.sent[first:]:
            total += count
            assert total <= BURST + RATE * (at - begin) + 1e-3


async def play(script: list[tuple[str, object]]) -> None:  # noqa: C901 - a table of verbs
    clock = ManualClock()
    port = Port(clock)
    policy = SubscriptionPolicy(
        batch_size=4, per_second=RATE, burst=BURST, per_login_limit=LIMIT, max_retries=2, retry_max_s=8
    )
    subs = Subscriptions(LineId("sim", "primary"), port, policy, clock, sleep=clock.sleep)
    subs_task = asyncio.create_task(subs.run())
    try:
        for verb, what in script:
            if verb == "want":
                subs.want(what)  # type: ignore[arg-type]  # each step has an argument of its own type
            elif verb == "release":
                subs.release(what)  # type: ignore[arg-type]  # each step has an argument of its own type
            elif verb == "confirm":
                subs.on_confirmed(what)  # type: ignore[arg-type]  # each step has an argument of its own type
            elif verb == "refuse":
                for instrument in what:  # type: ignore[attr-defined]  # each step has an argument of its own type
                    subs.on_refused(instrument, "refused")
            elif verb == "off":
                subs.on_unsubscribed(what)  # type: ignore[arg-type]  # each step has an argument of its own type
            elif verb == "break":
                port.broken = bool(what)
            elif verb == "advance":
                await clock.advance(what)  # type: ignore[arg-type]  # each step has an argument of its own type
            else:
                port.up = verb == "up"
                subs.line_up() if port.up else subs.line_down("gone")
            check(subs, port)
            await clock.settle()
            check(subs, port)
        # Left alone on a good line, everything ends up confirmed or failed.
        port.broken, port.up = False, True
        subs.line_up()
        for _ in range(200):
            await clock.advance(2)
            subs.on_confirmed(list(subs.pending))
            check(subs, port)
        assert not subs.unsent
        assert not subs.pending
        await asyncio.wait_for(subs.settled(), 60)
        assert not subs_task.done()
    finally:
        subs_task.cancel()
        await asyncio.gather(subs_task, return_exceptions=True)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_any_history_keeps_every_contract_in_one_state_within_rate_and_limit(
    script: list[tuple[str, object]],
) -> None:
    asyncio.run(play(script))


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 3)), max_size=30))
def test_a_token_bucket_never_lets_more_through_than_burst_and_rate(takes: list[tuple[int, float]]) -> None:
    clock = ManualClock()
    bucket = TokenBucket(RATE, BURST, clock)
    taken: list[tuple[float, int]] = []
    for count, pause in takes:
        clock._now += pause
        clock._now += bucket.delay(count)
        bucket.take(count)
        taken.append((clock.monotonic(), count))
    for first, (begin, _) in enumerate(taken):
        for last in range(first, len(taken)):
            total = sum(count for _, count in taken[first : last + 1])
            assert total <= BURST + RATE * (taken[last][0] - begin) + 1e-3
