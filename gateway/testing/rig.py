"""One source at one counter, as a card has it before itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import FeedSource
from gateway.testing.cards import CardFailed
from gateway.testing.counter import Counter
from gateway.testing.sink import RecordingSink

T = TypeVar("T")


class Rig:
    """Builds a source at a counter that runs; closes the source when the block is left."""

    def __init__(self, counter: Counter, account: str = "primary") -> None:
        self.counter = counter
        self.account: Account = counter.account(account)
        self.line = LineId(counter.kind.name, account)
        self.sink = RecordingSink()
        self.source: FeedSource = counter.build(self.account, self.line, counter.options())
        self.sink.parse = getattr(self.source, "parse", None)
        self._wanted: set[Instrument] = set()

    async def within(self, work: Awaitable[T], what: str) -> T:
        """Await it; CardFailed when it takes longer than the counter's patience."""
        try:
            async with asyncio.timeout(self.counter.patience_s) as limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            raise CardFailed(
                f"{what} did not return within {self.counter.patience_s:g} s; told: {self.sink.last_words()}"
            ) from None

    async def come(self, true: Callable[[], object], what: str) -> None:
        """Wait for it; CardFailed when it does not come."""
        if not await self.sink.until(true, self.counter.patience_s):
            raise CardFailed(
                f"{what} did not come within {self.counter.patience_s:g} s; told: {self.sink.last_words()}"
            )

    async def start(self) -> None:
        """Start the source."""
        await self.within(self.source.start(self.sink), "start()")

    async def log_in(self) -> None:
        """Start it and wait for the login."""
        await self.start()
        await self.logged_in(1)

    async def logged_in(self, times: int) -> None:
        """Wait until the login was told so often."""
        sink = self.sink
        await self.come(
            lambda: sink.states.count(LineState.LOGGED_IN) >= times or LineState.REFUSED in sink.states,
            f"LOGGED_IN ({times} times)" if times > 1 else "LOGGED_IN",
        )
        if LineState.REFUSED in sink.states:
            raise CardFailed(f"the login was refused: {sink.last_words()}")

    async def subscribe(self, *instruments: Instrument) -> None:
        """Subscribe, and wait until each is confirmed anew. CardFailed when one is refused."""
        sink, begun = self.sink, len(self.sink.events)
        self._wanted.update(instruments)
        await self.within(self.source.subscribe(list(instruments)), "subscribe()")

        def answered() -> bool:
            there = _named(sink.events[begun:], "confirmed") | _named(sink.events[begun:], "refused")
            return there.issuperset(instruments)

        await self.come(answered, "an answer for each subscribed contract")
        refused = _named(sink.events[begun:], "refused") & set(instruments)
        if refused:
            raise CardFailed(f"{', '.join(map(str, sorted(refused)))} was refused, and the counter knows it")

    async def unsubscribe(self, *instruments: Instrument) -> None:
        """Unsubscribe, and wait until each is told to be off."""
        sink, begun = self.sink, len(self.sink.events)
        self._wanted.difference_update(instruments)
        await self.within(self.source.unsubscribe(list(instruments)), "unsubscribe()")
        await self.come(
            lambda: _named(sink.events[begun:], "unsubscribed").issuperset(instruments), "the end of a subscription"
        )

    def ticks_of(self, instrument: Instrument) -> list[Tick]:
        """All that came of it so far."""
        return [
            tick for tick in self.sink.ticks if (tick.exchange, tick.code) == (instrument.exchange, instrument.code)
        ]

    async def tick(self, instrument: Instrument, times: int = 1) -> Tick:
        """Have the counter send so many ticks of it (or wait for them, when it streams) and return the last."""
        before = len(self.ticks_of(instrument))
        if not self.counter.streams:
            for _ in range(times):
                await self.counter.send(instrument)
        await self.come(lambda: len(self.ticks_of(instrument)) >= before + times, f"a tick of {instrument}")
        return self.ticks_of(instrument)[-1]

    @property
    def pair(self) -> Sequence[Instrument]:
        """Two contracts that the counter knows."""
        return self.counter.instruments[:2]

    async def close(self) -> None:
        """Close the source."""
        await self.within(self.source.aclose(), "aclose()")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
            return
        try:
            await self.close()
        except Exception as second:  # noqa: BLE001 - the first error is the one to tell
            error.add_note(f"and aclose() raised {second!r}")


def _named(events: Sequence[tuple[str, object]], what: str) -> set[Instrument]:
    found: set[Instrument] = set()
    for name, value in events:
        if name == what and isinstance(value, tuple):
            found.update(one for one in value if isinstance(one, Instrument))
    return found
