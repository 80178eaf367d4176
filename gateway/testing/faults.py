"""A feed kind around a counter's, with faults that a test sets off: silence, storms, sudden death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.errors import LineError
from gateway.hookspecs import FeedKind
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import FeedSource, ReferencingSource, TickSink
from gateway.testing.counter import Counter


class FaultyFeed:
    """Builds the counter's sources, each between a line and itself. Inline lines only; on the loop."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._sources: dict[str, FaultySource] = {}
        self._silent: set[str] = set()
        self.kind: FeedKind = replace(counter.kind, factory=self._make, native=False)

    def _make(self, account: Account, line: LineId, options: Mapping[str, Any]) -> FeedSource:
        inner = self._counter.build(account, line, options)
        wrapper = ParsingFaultySource if hasattr(inner, "parse") else FaultySource
        made = self._sources[account.name] = wrapper(inner, lambda: account.name in self._silent)
        return made

    def silence(self, account: str, *, silent: bool) -> None:
        """Whether ticks of the line are swallowed; also those of its next source."""
        if silent:
            self._silent.add(account)
        else:
            self._silent.discard(account)

    def storm(self, account: str, calls: int) -> None:
        """Tell LOST so often."""
        self._source(account).storm(calls)

    def kill(self, account: str) -> None:
        """Cancel the task that runs the line's source."""
        self._source(account).kill()

    def _source(self, account: str) -> FaultySource:
        if account not in self._sources:
            raise LineError(f"line {self.kind.name}:{account} has not been started yet, or there is no such account")
        return self._sources[account]


class FaultySource:
    """Passes everything on, but for the faults."""

    def __init__(self, inner: FeedSource, silent: Callable[[], bool]) -> None:
        self.inner = inner
        self._silent = silent
        # an attribute of the object, so that it is a ReferencingSource just when the other is
        if isinstance(inner, ReferencingSource):
            self.references: Callable[[], Sequence[tuple[Instrument, float]]] = inner.references
        self._sink: TickSink | None = None
        self._host: asyncio.Task[Any] | None = None

    async def start(self, sink: TickSink) -> None:
        self._host, self._sink = asyncio.current_task(), sink
        await self.inner.start(_Gate(sink, self._silent))

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        await self.inner.subscribe(instruments)

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        await self.inner.unsubscribe(instruments)

    async def aclose(self) -> None:
        self._host = None
        await self.inner.aclose()

    def storm(self, calls: int) -> None:
        if self._sink is not None:
            for _ in range(calls):
                self._sink.state(LineState.LOST, "a storm")

    def kill(self) -> None:
        if self._host is not None:
            self._host.cancel()


class ParsingFaultySource(FaultySource):
    """Around a source that parses."""

    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> Sequence[Tick]:
        parsed: Sequence[Tick] = self.inner.parse(records, reject)  # type: ignore[attr-defined]  # asked when it was made
        return parsed


class _Gate:
    """A sink that swallows ticks while the line is silent. Any thread, as every sink."""

    def __init__(self, sink: TickSink, silent: Callable[[], bool]) -> None:
        self._sink, self._silent = sink, silent

    @property
    def congested(self) -> bool:
        return bool(getattr(self._sink, "congested", False))

    def tick(self, tick: Tick) -> None:
        if not self._silent():
            self._sink.tick(tick)

    def raw(self, record: bytes) -> None:
        if not self._silent():
            self._sink.raw(record)

    def state(self, state: LineState, reason: str = "") -> None:
        self._sink.state(state, reason)

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self._sink.confirmed(instruments)

    def refused(self, instrument: Instrument, reason: str) -> None:
        self._sink.refused(instrument, reason)

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self._sink.unsubscribed(instruments)

    def reject(self, reason: str) -> None:
        self._sink.reject(reason)
