"""A sink that remembers, for tests that run in one process."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model import Instrument, LineState, Tick


class RecordingSink:
    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []

    def tick(self, tick: Tick) -> None:
        self.events.append(("tick", tick))

    def raw(self, record: bytes) -> None:
        self.events.append(("raw", record))

    def state(self, state: LineState, reason: str = "") -> None:
        self.events.append((state.value, reason))

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self.events.append(("confirmed", list(map(str, instruments))))

    def refused(self, instrument: Instrument, reason: str) -> None:
        self.events.append(("refused", (str(instrument), reason)))

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self.events.append(("unsubscribed", list(map(str, instruments))))

    def reject(self, reason: str) -> None:
        self.events.append(("reject", reason))
