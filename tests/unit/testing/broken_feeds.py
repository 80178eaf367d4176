"""One feed for each card, that breaks this promise and keeps all others."""

from __future__ import annotations

import logging
import threading
from collections import Counter as Count
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import TickSink
from gateway.testing import Counter, ScriptedFeed, make_tick
from gateway.testing.scripted import ParsedSource, ScriptedSource


class Broken(ScriptedFeed):
    """A scripted feed with another source; in a hurry."""

    source: type[ScriptedSource] = ScriptedSource
    patience_s = 0.5
    quiet_s = 0.02

    def make_source(self, account: Account, line: LineId) -> ScriptedSource:
        return self.source(self, account, line)


def feed(source: type[ScriptedSource], **more: Any) -> Callable[[], Counter]:
    return type(source.__name__, (Broken,), {"source": source} | more)


class LeavesAThread(ScriptedSource):
    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        await super().subscribe(instruments)
        threading.Thread(target=threading.Event().wait, args=(3.0,), daemon=True).start()


class ClosesOnce(ScriptedSource):
    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("closed before")
        self.closed = True
        await super().aclose()


class ClosesOnlyWhatWasStarted(ScriptedSource):
    async def aclose(self) -> None:
        if self not in self.feed.sources.values() and self.sink is None and self.line.account not in self.feed.logins:
            raise AttributeError("_socket")
        if self.feed.logins["primary"] and not hasattr(self, "began"):
            raise AttributeError("_socket")
        await super().aclose()

    async def start(self, sink: TickSink) -> None:
        self.began = True
        await super().start(sink)


class ClaimsToStream(ScriptedSource):
    def say(self, state: LineState, reason: str) -> None:
        super().say(state, reason)

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        await super().subscribe(instruments)
        self.say(LineState.STREAMING, "")


class TicksWhenClosed(ScriptedSource):
    async def aclose(self) -> None:
        """It does not let go."""


class NotLate(Broken):
    async def late(self) -> None:
        """It has no late callbacks, only early ones."""


class HearsLateCallbacks(ScriptedSource):
    ear: TickSink | None = None

    async def start(self, sink: TickSink) -> None:
        self.ear = sink
        await super().start(sink)

    def say(self, state: LineState, reason: str) -> None:
        if self.ear is not None:
            self.ear.state(state, reason)


class ConfirmsEverything(ScriptedSource):
    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        await super().subscribe(instruments)
        assert self.sink is not None
        self.sink.confirmed(self.feed.instruments)


class TicksOn(ScriptedSource):
    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        kept = set(self.subscribed)
        await super().unsubscribe(instruments)
        self.subscribed |= kept


class IgnoresTheUnknown(ScriptedSource):
    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        await super().subscribe([one for one in instruments if one in self.feed.instruments])


class DeliversTwiceAfterALoss(ScriptedSource):
    lost = False

    def lose(self, reason: str) -> None:
        super().lose(reason)
        self.lost = True

    def deliver(self, tick: Tick) -> None:
        super().deliver(tick)
        if self.lost:
            super().deliver(tick)


class SwallowsTheWords(ScriptedSource):
    def say(self, state: LineState, reason: str) -> None:
        super().say(state, reason)

    async def start(self, sink: TickSink) -> None:
        words, self.feed.refusal = self.feed.refusal, "error 3" if self.feed.refusal else ""
        await super().start(sink)
        self.feed.refusal = words


class DiesOfTheSink(ScriptedSource):
    dead = False

    def deliver(self, tick: Tick) -> None:
        if self.sink is not None and not self.dead and tick.instrument in self.subscribed:
            try:
                self.sink.tick(tick)
            except RuntimeError:
                self.dead = True


class SharesItsSubscriptions(ScriptedSource):
    everybodys: set[Instrument] = set()  # noqa: RUF012 - that is what is wrong with it

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.subscribed = self.everybodys

    async def start(self, sink: TickSink) -> None:
        self.subscribed.clear()
        await super().start(sink)


class LogsThePassword(ScriptedSource):
    async def start(self, sink: TickSink) -> None:
        logging.getLogger(__name__).debug("login %s %s", self.account.user_id, self.account.secrets)
        await super().start(sink)


class CountsInBatches(ParsedSource):
    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> Sequence[Tick]:
        ticks = super().parse(records, reject)
        return [msgspec.structs.replace(tick, volume=tick.volume + place) for place, tick in enumerate(ticks)]


class RaisesForNothing(ParsedSource):
    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> Sequence[Tick]:
        if any(not record for _, record in records):
            raise IndexError("index out of range")
        return super().parse(records, reject)


class MakesTicksOfAnything(ScriptedSource):
    def spoil(self) -> None:
        for instrument in tuple(self.subscribed):
            self.deliver(make_tick(instrument))


class HasNoNumber(Broken):
    def tick(self, instrument: Instrument | str, *, account: str | None = None, **fields: Any) -> Tick:
        return super().tick(instrument, account=account, **{"last": float("inf")} | fields)


class GoesBack(Broken):
    def __init__(self) -> None:
        super().__init__()
        self._sold: Count[str] = Count()

    def tick(self, instrument: Instrument | str, *, account: str | None = None, **fields: Any) -> Tick:
        self._sold[str(instrument)] += 1
        return super().tick(instrument, account=account, **{"volume": 1000 - self._sold[str(instrument)]} | fields)


class HasASecretOption(Broken):
    def options(self) -> dict[str, Any]:
        return {"url": "ws://127.0.0.1:1"}


class CannotBeImported(Broken):
    """Another process finds no way to its factory, a method of an object."""

    remote = True


BROKEN: dict[str, Callable[[], Counter]] = {
    "FEED-01": feed(LeavesAThread),
    "FEED-02": feed(ClosesOnce),
    "FEED-03": feed(ClosesOnlyWhatWasStarted),
    "FEED-04": feed(ClaimsToStream),
    "FEED-05": type("TicksWhenClosedFeed", (NotLate,), {"source": TicksWhenClosed}),
    "FEED-06": feed(HearsLateCallbacks),
    "FEED-07": feed(ConfirmsEverything),
    "FEED-08": feed(TicksOn),
    "FEED-09": feed(IgnoresTheUnknown),
    "FEED-10": feed(DeliversTwiceAfterALoss),
    "FEED-11": feed(SwallowsTheWords),
    "FEED-12": feed(DiesOfTheSink),
    "FEED-13": feed(SharesItsSubscriptions),
    "FEED-14": feed(LogsThePassword),
    "FEED-15": HasASecretOption,
    "FEED-16": HasNoNumber,
    "FEED-17": GoesBack,
    "FEED-18": feed(MakesTicksOfAnything),
    "FEED-19": feed(CountsInBatches),
    "FEED-20": feed(RaisesForNothing),
    "FEED-21": CannotBeImported,
}
