"""Events of a gateway in plain words, for people who watch it: the last ones, and every switch of lines."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.control import events as told
from gateway.model import LineState

_KEPT: Final = 100
_SWITCHES: Final = 1_000
_SHORT_MS: Final = 10

_DOWN = (LineState.LOST, LineState.REFUSED, LineState.STOPPED)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line to show. ``at_ns`` is Unix nanoseconds; ``style`` is rich's."""

    at_ns: int
    text: str
    style: str = ""


class SwitchRow(msgspec.Struct, frozen=True, kw_only=True):
    """A failover or failback in the summary; the fields mean what they mean in the event ``switch``."""

    source: str | None = msgspec.field(name="from")
    target: str | None = msgspec.field(name="to")
    trigger: str
    latency_ms: float | None
    ok: bool
    error: str


class EventLog:
    """What :meth:`run` has read so far: the last 100 entries and the last 1,000 switches, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=_KEPT)
        self.switches: deque[SwitchRow] = deque(maxlen=_SWITCHES)
        self._down: set[str] = set()

    async def run(self, events: AsyncIterable[told.ControlEvent | dict[str, Any]]) -> None:
        """Read until the events end."""
        async for event in events:
            self.add(event)

    def add(self, event: told.ControlEvent | dict[str, Any]) -> None:
        """Take an event. Steps on the way to a streaming line, and phases as they stand at the start, are not shown."""
        if isinstance(event, dict):
            at_ns = event.get("at_ns")
            text = f"{event.get('type')} {event.get('feed') or ''}".rstrip()
            self.note(at_ns if isinstance(at_ns, int) else 0, text)
            return
        if isinstance(event, told.Switch):
            self.switches.append(
                SwitchRow(
                    source=event.source, target=event.target, trigger=event.trigger, latency_ms=event.latency_ms,
                    ok=event.ok, error=event.error,
                )
            )  # fmt: skip
        words = self._of_state(event) if isinstance(event, told.LineStateChanged) else _words(event)
        if words is not None:
            self.note(event.at_ns, *words)

    def note(self, at_ns: int, text: str, style: str = "") -> None:
        """Add an entry of one's own."""
        self.entries.append(Entry(at_ns, text, style))

    def _of_state(self, event: told.LineStateChanged) -> tuple[str, str] | None:
        reason = f": {event.reason}" if event.reason else ""
        if event.state in _DOWN:
            self._down.add(event.line)
            return f"{event.line} {event.state}{reason}", "bold red"
        if event.state == LineState.STREAMING:
            again = " again" if event.line in self._down else ""
            self._down.discard(event.line)
            return f"{event.line} streaming{again}", "green"
        return None


def _words(event: told.ControlEvent) -> tuple[str, str] | None:
    """Text and style; None for what is not worth a line."""
    if isinstance(event, told.Switch):
        return _of_switch(event)
    return _of_silence(event) or _of_trust(event) or _of_gap(event) or _of_the_rest(event)


def _of_silence(event: told.ControlEvent) -> tuple[str, str] | None:
    match event:
        case told.LineSilent():
            return f"{event.line} silent for {event.silent_s:.0f} s", "bold yellow"
        case told.LineSpeaks():
            return f"{event.line} ticks again after {event.silent_s:.0f} s of silence", "green"
        case told.ContractStalled():
            return f"{event.instrument} stalled on {event.line} for {event.silent_s:.0f} s", "yellow"
        case told.ContractBack():
            return f"{event.instrument} ticks again on {event.line}", "green"
    return None


def _of_trust(event: told.ControlEvent) -> tuple[str, str] | None:
    match event:
        case told.LineSuspect():
            return f"{event.line} suspect: {event.reason} {event.contract}".rstrip(), "bold yellow"
        case told.LineTrusted():
            return f"{event.line} trusted again", "green"
        case told.LineWithdrawn():
            return f"{event.line}: a snapshot of {event.contract} was withdrawn: {event.reason}", "yellow"
    return None


def _of_gap(event: told.ControlEvent) -> tuple[str, str] | None:
    match event:
        case told.GapOpened(part=1):
            return f"gap in {event.count:,} contracts of {event.feed}: {event.reason}", "bold red"
        case told.GapClosed(part=1):
            return f"gap over in {event.count:,} contracts of {event.feed}: {event.ending}", "green"
        case told.GapMeasured(part=1):
            return f"gap measured in {event.count:,} contracts of {event.feed}", ""
    return None


def _of_the_rest(event: told.ControlEvent) -> tuple[str, str] | None:
    match event:
        case told.Unplaced(count=0):
            return f"every wanted contract of {event.feed} has a line again", "green"
        case told.Unplaced():
            return f"no line has room for {event.count:,} contracts of {event.feed}", "bold yellow"
        case told.LedgerHealth(degraded=True):
            return f"gap ledger cannot write: {event.reason}", "bold red"
        case told.LedgerHealth():
            return "gap ledger writes again", "green"
        case told.PhaseChanged() if event.was is not None:
            return f"{event.feed} {event.was} → {event.now}: {' '.join(event.products)}", ""
    return None


def _of_switch(event: told.Switch) -> tuple[str, str]:
    way = f"{event.kind} {event.source or 'no line'} → {event.target or 'no line'}"
    if not event.ok:
        return f"{way} failed: {event.error}", "bold red"
    return way if event.latency_ms is None else f"{way}, {short_ms(event.latency_ms)}", "bold green"


def short_ms(value: float) -> str:
    """``0 ms``, ``1.1 ms``, ``250 ms``."""
    return f"{value:.1f} ms" if 0 < value < _SHORT_MS else f"{value:.0f} ms"
