"""A sink that remembers what a source delivered, from whatever thread, and lets a test wait for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from gateway.clock import Clock, SystemClock
from gateway.model import Instrument, LineState, Tick

Parse = Callable[[Sequence[tuple[int, bytes]], Callable[[str], None]], Sequence[Tick]]


class RecordingSink:
    """A :class:`gateway.ports.TickSink`. Made on a loop; its own methods beside the sink's are for that loop."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._wall_ns = (clock or SystemClock()).wall_ns
        self.parse: Parse | None = None
        """The ``parse`` of a source that hands over raw records."""
        self.events: list[tuple[str, object]] = []
        """Everything, in order: the sink method's name (a state's own name for states) and what came."""
        self.records: list[tuple[int, bytes]] = []
        """Raw records with their ``recv_ns``."""
        self.raise_next = 0
        """The next so many calls of ``tick`` and ``raw`` raise."""
        self._entries: list[Tick | tuple[int, bytes]] = []
        self._parsed: list[Tick] = []
        self.rejects: Counter[str] = Counter()
        """By reason; those of ``parse`` are added when :attr:`ticks` is looked at."""

    # -- the sink, any thread ----------------------------------------------------------------------------

    def tick(self, tick: Tick) -> None:
        self._may_raise()
        self._entries.append(tick)
        self._add("tick", tick)

    def raw(self, record: bytes) -> None:
        self._may_raise()
        entry = (self._wall_ns(), record)
        self._entries.append(entry)
        self.records.append(entry)
        self._add("raw", record)

    def state(self, state: LineState, reason: str = "") -> None:
        self._add(state.value, reason)

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self._add("confirmed", tuple(instruments))

    def refused(self, instrument: Instrument, reason: str) -> None:
        self._add("refused", (instrument, reason))

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self._add("unsubscribed", tuple(instruments))

    def reject(self, reason: str) -> None:
        self.rejects[reason] += 1
        self._add("reject", reason)

    def _may_raise(self) -> None:
        if self.raise_next:
            self.raise_next -= 1
            raise RuntimeError("this sink raises on purpose")

    def _add(self, what: str, value: object) -> None:
        self.events.append((what, value))
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    # -- the loop ------------------------------------------------------------------------------------------

    @property
    def ticks(self) -> Sequence[Tick]:
        """All ticks so far, raw records parsed."""
        while self._entries:
            entry = self._entries.pop(0)
            if isinstance(entry, Tick):
                self._parsed.append(entry)
            elif self.parse is not None:
                self._parsed += self.parse([entry], self._count)
        return self._parsed

    def _count(self, reason: str) -> None:
        self.rejects[reason] += 1

    @property
    def states(self) -> list[LineState]:
        """The states, in order."""
        values = {state.value: state for state in LineState}
        return [values[what] for what, _ in self.events if what in values]

    def reasons(self, state: LineState) -> list[str]:
        """What was said with that state, each time."""
        return [str(value) for what, value in self.events if what == state.value]

    def named(self, what: str) -> frozenset[Instrument]:
        """The instruments of all ``confirmed``, ``unsubscribed`` or ``refused``."""
        found: set[Instrument] = set()
        for name, value in self.events:
            if name == what and isinstance(value, tuple):
                found.update(one for one in value if isinstance(one, Instrument))
        return frozenset(found)

    async def until(self, true: Callable[[], object], limit_s: float = 10.0) -> bool:
        """Wait until it is true; False when that was not so within the limit."""
        try:
            async with asyncio.timeout(limit_s):
                while not true():
                    self._news.clear()
                    if not true():
                        await self._news.wait()
        except TimeoutError:
            return bool(true())
        return True

    def last_words(self) -> str:
        """The latest events, for messages."""
        shown = [f"{what} {value}".strip() for what, value in self.events if what not in ("tick", "raw")]
        return "; ".join(shown[-6:])[-400:] or "nothing"
