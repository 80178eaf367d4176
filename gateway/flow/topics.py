"""One published stream per instrument: its subject, its ``seq``, its last payload."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gateway.model import Instrument
from gateway.subjects import matcher, tick_subject


class Topic:
    """What the core remembers of an instrument. A few plain attributes, because every tick passes here."""

    __slots__ = ("arbitration", "head", "instrument", "name", "payload", "recv_ns", "seq", "taps")

    def __init__(self, instrument: Instrument, head: bytes) -> None:
        self.instrument = instrument
        self.name = str(instrument)
        self.head = head
        self.arbitration: Any = None
        """The arbiter's own notes on this instrument."""
        self.seq = 0
        self.payload = b""
        """The last published tick; what a late joiner gets first."""
        self.recv_ns = 0
        self.taps: tuple[Callable[[bytes], None], ...] = ()
        """Consumers inside this process."""


class Topics:
    """All topics of a gateway, made on first sight."""

    def __init__(self, head_of: Callable[[str], bytes]) -> None:
        self._head_of = head_of
        self._topics: dict[tuple[str, str], Topic] = {}
        self._taps: list[tuple[tuple[str, ...], Callable[[bytes], None]]] = []

    def of(self, exchange: str, code: str) -> Topic:
        """The topic of an instrument."""
        topic = self._topics.get((exchange, code))
        if topic is None:
            instrument = Instrument(exchange, code)
            topic = Topic(instrument, self._head_of(tick_subject(instrument)))
            topic.taps = self._taps_of(topic)
            self._topics[exchange, code] = topic
        return topic

    def get(self, instrument: Instrument) -> Topic | None:
        """The topic of an instrument that was seen before."""
        return self._topics.get((instrument.exchange, instrument.code))

    def matching(self, patterns: Iterable[str]) -> list[Topic]:
        """Topics that match any pattern and have ticked, in order of first sight."""
        tests = [matcher(pattern) for pattern in patterns]
        return [topic for topic in self if topic.payload and any(test(topic.name) for test in tests)]

    def tap(self, patterns: Sequence[str], take: Callable[[bytes], None]) -> Callable[[], None]:
        """Give ``take`` every payload of instruments that match any pattern, in order. Returns what undoes it."""
        entry = (tuple(patterns), take)
        self._taps.append(entry)
        self._resolve_taps()

        def undo() -> None:
            if entry in self._taps:
                self._taps.remove(entry)
                self._resolve_taps()

        return undo

    def _resolve_taps(self) -> None:
        # patterns are matched here, once, never per tick
        for topic in self:
            topic.taps = self._taps_of(topic)

    def _taps_of(self, topic: Topic) -> tuple[Callable[[bytes], None], ...]:
        return tuple(take for patterns, take in self._taps if any(matcher(p)(topic.name) for p in patterns))

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def __len__(self) -> int:
        return len(self._topics)
