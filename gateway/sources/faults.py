"""What goes wrong with a line, on purpose: ``faults = [{kind = "drop", ratio = 0.01}, …]`` in a feed's options.

Tick faults (``delay``, ``silence``, ``drop``, ``duplicate``, ``reorder``) are a stage in front of the sink. Line
faults (``death``, ``disconnect``, ``refuse_login``, ``storm``) are acted out by the source. Times count from the
source's start, so a line that is restarted meets its faults again. Dice are seeded by the feed's seed and the
line's name: the same line fails the same way, two lines of one feed differently. A fault with ``lines = ["backup"]``
befalls only the lines of these accounts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from gateway.model import Instrument, LineState, Tick
from gateway.ports import TickSink
from gateway.sources.option_values import OptionReader

_DAY_S: Final = 86_400
_HELD: Final = 200_000
"""Ticks that a delay may hold back; beyond that the oldest are dropped and rejected as ``fault_delay_overflow``."""

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "delay": ("ms",),
    "silence": ("at_s", "for_s"),
    "drop": ("ratio",),
    "duplicate": ("ratio",),
    "reorder": ("ratio", "depth"),
    "death": ("at_s", "how"),
    "disconnect": ("at_s", "for_s"),
    "refuse_login": ("reason",),
    "storm": ("at_s", "for_s", "per_second"),
}
TICK_FAULTS: Final = frozenset({"delay", "silence", "drop", "duplicate", "reorder"})
DEATHS: Final = ("exit", "segv", "kill", "stop", "abort")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. Only the fields of its kind mean anything."""

    kind: str
    lines: tuple[str, ...] = ()
    """Accounts of the feed that it befalls; empty is all of them."""
    ms: float = 0.0
    """delay: how late every tick comes."""
    at_s: float = 0.0
    """Seconds after the source's start."""
    for_s: float = 1.0
    """How long it lasts."""
    ratio: float = 0.0
    """Share of ticks, by dice."""
    depth: int = 1
    """reorder: how many later ticks overtake."""
    how: str = "kill"
    """death: one of :data:`DEATHS`."""
    reason: str = "refused by the fault refuse_login"
    per_second: float = 1000.0
    """storm: state callbacks a second."""


def read_faults(reader: OptionReader, name: str = "faults") -> tuple[Fault, ...]:
    """The faults of an options table; what is wrong with them becomes findings of the reader."""
    faults = []
    for number, table in enumerate(reader.tables(name), 1):
        where = f"option {name}[{number}]"
        kind = table.get("kind")
        if not isinstance(kind, str) or kind not in _FIELDS:
            reader.findings.append(f"{where} kind = {kind!r}: use one of {', '.join(_FIELDS)}")
            continue
        part = OptionReader(table, known=("kind", "lines", *_FIELDS[kind]), where=where)
        faults.append(_read(part, kind))
        reader.findings += part.findings
    return tuple(faults)


def _read(part: OptionReader, kind: str) -> Fault:
    how = part.text("how", "kill")
    if how not in DEATHS:
        part.refuse("how", f"use one of {', '.join(DEATHS)}")
    return Fault(
        kind=kind,
        lines=part.texts("lines", ()),
        ms=part.number("ms", 0.0, low=0.0, high=600_000.0),
        at_s=part.number("at_s", 0.0, low=0.0, high=_DAY_S),
        for_s=part.number("for_s", 1.0, low=0.0, high=_DAY_S),
        ratio=part.number("ratio", 0.0, low=0.0, high=1.0),
        depth=part.integer("depth", 1, low=1, high=10_000),
        how=how,
        reason=part.text("reason", "refused by the fault refuse_login"),
        per_second=part.number("per_second", 1000.0, low=1.0, high=1_000_000.0),
    )


class FaultySink:
    """A sink that loses, doubles, shuffles and delays ticks before handing them on; all else passes at once.

    Used on the event loop only. ``counts`` says what was done, by kind.
    """

    def __init__(self, sink: TickSink, faults: Iterable[Fault], dice: Random) -> None:
        self._sink = sink
        self._dice = dice
        self.counts: Counter[str] = Counter()
        self._silences = 0
        self._drop = self._duplicate = self._reorder = self._delay_s = 0.0
        self._depth = 1
        for fault in faults:
            if fault.kind == "drop":
                self._drop = 1 - (1 - self._drop) * (1 - fault.ratio)
            elif fault.kind == "duplicate":
                self._duplicate = max(self._duplicate, fault.ratio)
            elif fault.kind == "reorder":
                self._reorder, self._depth = max(self._reorder, fault.ratio), max(self._depth, fault.depth)
            elif fault.kind == "delay":
                self._delay_s += fault.ms / 1000
        self._overtaken: deque[tuple[int, Tick]] = deque()
        self._arrived = 0
        self._late: deque[tuple[float, Tick]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def congested(self) -> bool:
        """Whether the sink behind would rather not have more now."""
        return bool(getattr(self._sink, "congested", False))

    def silence(self, *, begins: bool) -> None:
        """Silences may overlap; ticks come again when the last has ended."""
        self._silences += 1 if begins else -1

    def tick(self, tick: Tick) -> None:
        if self._silences:
            self.counts["silence"] += 1
            return
        if self._drop and self._dice.random() < self._drop:
            self.counts["drop"] += 1
            return
        self._order(tick)
        if self._duplicate and self._dice.random() < self._duplicate:
            self.counts["duplicate"] += 1
            self._order(tick)

    def _order(self, tick: Tick) -> None:
        if not self._reorder:
            self._pass(tick)
            return
        self._arrived += 1
        if self._dice.random() < self._reorder:
            self.counts["reorder"] += 1
            self._overtaken.append((self._arrived + self._depth, tick))
        else:
            self._pass(tick)
        while self._overtaken and self._overtaken[0][0] <= self._arrived:
            self._pass(self._overtaken.popleft()[1])

    def _pass(self, tick: Tick) -> None:
        if not self._delay_s:
            self._sink.tick(tick)
            return
        loop = asyncio.get_running_loop()
        self.counts["delay"] += 1
        if len(self._late) >= _HELD:
            self._late.popleft()
            self._sink.reject("fault_delay_overflow")
        self._late.append((loop.time() + self._delay_s, tick))
        if self._timer is None:
            self._timer = loop.call_at(self._late[0][0], self._deliver_late)

    def _deliver_late(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        while self._late and self._late[0][0] <= now:
            self._sink.tick(self._late.popleft()[1])
        if self._late:
            # Not earlier than a millisecond: one wake-up serves all ticks of it.
            self._timer = loop.call_at(max(self._late[0][0], now + 0.001), self._deliver_late)

    def flush(self) -> None:
        """Let overtaken ticks through: the stream has ended and nothing will overtake them any more."""
        while self._overtaken:
            self._pass(self._overtaken.popleft()[1])

    def close(self) -> None:
        """Whatever is held back is gone, as with a line that died."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._late.clear()
        self._overtaken.clear()

    def raw(self, record: bytes) -> None:
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


def of_kind(faults: Sequence[Fault], *kinds: str) -> list[Fault]:
    """The faults of these kinds, by the time when they begin."""
    return sorted((fault for fault in faults if fault.kind in kinds), key=lambda fault: fault.at_s)


def may_die(main_module: Any = None) -> bool:
    """Whether this process is a line's own and may be killed.

    A line's process is started as ``python -m gateway.lines.child``, so that is what its main module is called.
    Everything else (the core, a test, a program that embeds the gateway) has another main module.
    """
    spec = getattr(main_module or sys.modules.get("__main__"), "__spec__", None)
    return getattr(spec, "name", None) == "gateway.lines.child"


def die(how: str) -> None:
    """End (or, with ``stop``, freeze) this process the way native code does. Ask :func:`may_die` first."""
    if how == "exit":
        os._exit(70)
    if how == "abort":
        os.abort()
    os.kill(os.getpid(), {"segv": signal.SIGSEGV, "kill": signal.SIGKILL, "stop": signal.SIGSTOP}[how])
