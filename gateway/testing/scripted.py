"""A feed that does what a test says, when it says it: plugin, feed kind and counter in one object.

::

    feed = ScriptedFeed("acme")
    async with harness(feeds=[feed]) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        feed.tick("SCRIPT.a1", last=3.5)

Everything happens on the caller's event loop, at once: no thread, no clock, no chance.
"""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.errors import LineError
from gateway.hookspecs import FeedKind, hookimpl
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import FeedSource, TickSink
from gateway.testing.counter import Counter
from gateway.testing.tick_values import problems_of
from gateway.testing.ticks import make_tick

INSTRUMENTS: Final = (Instrument("SCRIPT", "a1"), Instrument("SCRIPT", "b2"))


class ScriptedFeed(Counter):
    """A counter that is steered by method calls. Pass it to a harness, or to a Gateway as a plugin."""

    unknown = Instrument("SCRIPT", "nothing")

    def __init__(
        self,
        name: str = "scripted",
        *,
        instruments: Sequence[Instrument | str] = INSTRUMENTS,
        accounts: Sequence[str] = ("primary",),
        logs_in: bool = True,
        raw: bool = False,
    ) -> None:
        """``logs_in``: a source that starts is logged in at once; else :meth:`log_in` does it.

        ``raw``: its sources hand over records, and parse them later.
        """
        self.name = name
        self.instruments = tuple(Instrument.parse(one) if isinstance(one, str) else one for one in instruments)
        self.accounts = tuple(accounts)
        self.logs_in = logs_in
        self.raw = raw
        self.refusal = ""
        """Logins are refused in these words, when there are any."""
        self.sources: dict[str, ScriptedSource] = {}
        """The source that lives now, by account."""
        self.logins: Count[str] = Count()
        """Sources that were started, by account."""
        self._numbers: Count[Instrument] = Count()
        self._made: list[ScriptedSource] = []
        self.kind = FeedKind(name=name, factory=self._make, needs_account=False, sessions="always")

    def _make(self, account: Account, line: LineId, _options: Mapping[str, Any]) -> FeedSource:
        source = self.make_source(account, line)
        self._made.append(source)
        return source

    def make_source(self, account: Account, line: LineId) -> ScriptedSource:
        """A source of this feed, not started. Override it for one that behaves in another way."""
        return (ParsedSource if self.raw else ScriptedSource)(self, account, line)

    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        """The kind, under the feed's name."""
        return (self.kind,)

    # -- the script: for all lines, or for one account's ---------------------------------------------------

    def tick(self, instrument: Instrument | str, *, account: str | None = None, **fields: Any) -> Tick:
        """A new tick of it, to each line that subscribed it. ``fields`` as in :func:`~gateway.testing.make_tick`."""
        name = Instrument.parse(instrument) if isinstance(instrument, str) else instrument
        self._numbers[name] += 1
        tick = make_tick(name, **{"number": self._numbers[name]} | fields)
        self.replay(tick, account=account)
        return tick

    def replay(self, tick: Tick, *, account: str | None = None) -> None:
        """The same tick again: to send it late, again, or by one line only."""
        self._each(account, lambda source: source.deliver(tick))

    def log_in(self, account: str | None = None) -> None:
        """The counter accepts the login of lines that wait for it, or that were lost."""
        self._each(account, lambda source: source.log_in())

    def lose(self, reason: str = "the front closed the connection", *, account: str | None = None) -> None:
        """The connection is gone, and stays so until :meth:`log_in`. Subscriptions are forgotten."""
        self._each(account, lambda source: source.lose(reason))

    def say(self, state: LineState, reason: str = "", *, account: str | None = None, calls: int = 1) -> None:
        """Tell a state so many times: a storm, when they are many."""

        def tell(source: ScriptedSource) -> None:
            for _ in range(calls):
                source.say(state, reason)

        self._each(account, tell)

    def bad(self, *, account: str | None = None) -> None:
        """A record that cannot be a tick."""
        self._each(account, lambda source: source.spoil())

    def _each(self, account: str | None, do: Callable[[ScriptedSource], None]) -> None:
        if account is not None and account not in self.accounts:
            raise LineError(f"feed {self.name} has no account {account!r}; it has: {', '.join(self.accounts)}")
        for name, source in tuple(self.sources.items()):
            if account in (None, name):
                do(source)

    # -- as a counter ----------------------------------------------------------------------------------------

    async def send(self, instrument: Instrument) -> None:
        self.tick(instrument)

    async def drop(self) -> None:
        self.lose()
        self.log_in()

    async def refuse(self, words: str) -> None:
        self.refusal = words

    async def send_bad(self) -> None:
        self.bad()

    async def late(self) -> None:
        for source in self._made:
            source.say(LineState.LOST, "too late")
            source.spoil()
            for instrument in self.instruments:
                source.deliver(make_tick(instrument))


class ScriptedSource:
    """One line of a scripted feed; told what to do by the feed."""

    def __init__(self, feed: ScriptedFeed, account: Account, line: LineId) -> None:
        self.feed, self.account, self.line = feed, account, line
        self.sink: TickSink | None = None
        """While it runs."""
        self.subscribed: set[Instrument] = set()

    async def start(self, sink: TickSink) -> None:
        """Connect, and log in when the script has no objection."""
        self.sink = sink
        self.feed.sources[self.account.name] = self
        self.feed.logins[self.account.name] += 1
        sink.state(LineState.CONNECTING)
        sink.state(LineState.CONNECTED)
        if self.feed.refusal:
            sink.state(LineState.REFUSED, self.feed.refusal)
        elif self.feed.logs_in:
            sink.state(LineState.LOGGED_IN)

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        if self.sink is None:
            raise LineError(f"{self.line} is not running")
        for instrument in instruments:
            if instrument in self.feed.instruments:
                self.subscribed.add(instrument)
                self.sink.confirmed((instrument,))
            else:
                self.sink.refused(instrument, f"{self.feed.name} lists no {instrument}")

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        self.subscribed.difference_update(instruments)
        if self.sink is not None:
            self.sink.unsubscribed(instruments)

    async def aclose(self) -> None:
        self.sink = None
        if self.feed.sources.get(self.account.name) is self:
            del self.feed.sources[self.account.name]

    # -- told by the feed --------------------------------------------------------------------------------------

    def say(self, state: LineState, reason: str) -> None:
        if self.sink is not None:
            self.sink.state(state, reason)

    def log_in(self) -> None:
        self.say(LineState.CONNECTED, "")
        self.say(LineState.LOGGED_IN, "")

    def lose(self, reason: str) -> None:
        self.subscribed.clear()
        self.say(LineState.LOST, reason)

    def deliver(self, tick: Tick) -> None:
        if self.sink is not None and tick.instrument in self.subscribed:
            try:
                self.hand_over(self.sink, tick)
            except Exception:  # noqa: BLE001 - a sink that raises costs this tick, as with a vendor's thread
                self.sink.reject("callback")

    def spoil(self) -> None:
        if self.sink is not None:
            self.sink.reject("bad_record")

    def hand_over(self, sink: TickSink, tick: Tick) -> None:
        """Give the tick to the sink."""
        sink.tick(tick)


class ParsedSource(ScriptedSource):
    """The same with records: msgpack of a tick."""

    def hand_over(self, sink: TickSink, tick: Tick) -> None:
        sink.raw(msgspec.msgpack.encode(tick))

    def spoil(self) -> None:
        if self.sink is not None:
            self.sink.raw(b"\xc1 no tick")

    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> Sequence[Tick]:
        ticks = []
        for _, record in records:
            try:
                tick = msgspec.msgpack.decode(record, type=Tick)
            except (msgspec.DecodeError, UnicodeDecodeError):
                reject("bad_record")
                continue
            if next(problems_of(tick), ""):
                reject("bad_value")
            else:
                ticks.append(tick)
        return ticks
