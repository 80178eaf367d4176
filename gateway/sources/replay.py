"""The feed kind ``replay``: recorded ticks at recorded speed or a multiple, and the catalogue of a recording."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.clock import Clock, SystemClock
from gateway.errors import CatalogueError, LineError
from gateway.hookspecs import CatalogueKind, FeedKind, hookimpl
from gateway.model import Account, Contract, Instrument, LineId, Tick
from gateway.sources.playback import Pace, Passes
from gateway.sources.played import PlayedSource
from gateway.sources.products import kind_of, product_of
from gateway.sources.recordings import Recording
from gateway.sources.replay_options import OPTIONS, ReplayOptions

log = logging.getLogger(__name__)

SLICE: Final = 256
"""Rows between two looks at the event loop."""


def contracts_of(recording: Recording) -> list[Contract]:
    """The contracts of a recording, in order of appearance: reads the whole file. Raises LineError.

    Rows whose exchange nobody knows are left out, as they are when the recording is played.
    """
    found: dict[tuple[str, str], Contract] = {}
    for _, parser, row in recording.rows():
        try:
            key = parser.instrument(row)
        except (ValueError, IndexError):
            continue
        if key not in found:
            found[key] = Contract(instrument=Instrument(*key), product=product_of(key[1]), kind=kind_of(key[1]))
    return list(found.values())


class ReplaySource(PlayedSource):
    """Plays a recording to its sink, in file order, ticks of subscribed contracts only.

    A row that cannot be a tick is rejected as ``bad_row`` and the first of them is logged. ``ended`` is set when
    the recording has been played out (never with ``loop``).
    """

    def __init__(self, options: ReplayOptions, line: LineId, clock: Clock) -> None:
        super().__init__(
            line,
            clock,
            connect_ms=options.connect_ms,
            login_ms=options.login_ms,
            faults=options.faults,
            seed=options.seed,
        )
        self._options = options
        self._recording = Recording(options.path)
        self._known: frozenset[Instrument] | None = None
        self._wanted: set[tuple[str, str]] = set()
        self._asked = asyncio.Event()
        self._asked_at = 0.0
        self._complained = False
        self.ended = asyncio.Event()

    async def _prepare(self) -> None:
        if self._options.scan and self._known is None:
            contracts = await asyncio.to_thread(contracts_of, self._recording)
            self._known = frozenset(contract.instrument for contract in contracts)

    def _subscribe(self, instruments: Sequence[Instrument]) -> None:
        accepted = []
        for instrument in instruments:
            if self._known is not None and instrument not in self._known:
                self.sink.refused(instrument, f"{self._options.path.name} has no tick of {instrument}")
            else:
                accepted.append(instrument)
                self._wanted.add((instrument.exchange, instrument.code))
        self._asked_at = self._clock.monotonic()
        if accepted:
            self._asked.set()
            self.sink.confirmed(accepted)

    def _unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        self._wanted.difference_update((each.exchange, each.code) for each in instruments)
        self.sink.unsubscribed(instruments)

    def _forget(self) -> None:
        self._wanted.clear()
        self._asked.clear()

    async def _play(self) -> None:
        await self._asked.wait()
        while (rest := self._asked_at + self._options.settle_s - self._clock.monotonic()) > 0:  # noqa: ASYNC110 - asked_at moves on
            await asyncio.sleep(min(rest, 0.05))
        options = self._options
        passes, pace = Passes(loop=options.loop), Pace(options.speed, options.max_pause_s, self._clock)
        while True:
            await self._pass(passes, pace)
            if not (options.loop and passes.next()):
                break
            pace.next_pass()
            await asyncio.sleep(0)
        if self._stage is not None:
            self._stage.flush()
        self.ended.set()

    async def _pass(self, passes: Passes, pace: Pace) -> None:
        sink = self.sink
        deliver = sink.tick
        unlimited = not self._options.speed
        for number, (tick, stamp) in enumerate(self._ticks(), 1):
            if not unlimited and (wait := pace.wait_s(stamp)) > 0:
                await asyncio.sleep(max(wait, 0.001))
            if tick is not None:
                deliver(passes.dated(tick))
            if number % SLICE == 0:
                await asyncio.sleep(0)
                while unlimited and getattr(sink, "congested", False):  # noqa: ASYNC110 - the sink has no event
                    await asyncio.sleep(0.001)

    def _ticks(self) -> Iterator[tuple[Tick | None, int]]:
        """``(tick, what to pace by)``; the tick is None for rows that nobody is to see."""
        start, stop = self._options.start_ns, self._options.stop_ns
        stamp = 0
        for number, parser, row in self._recording.rows():
            try:
                if parser.instrument(row) not in self._wanted:
                    yield None, stamp
                    continue
                tick = parser.tick(row)
                at = parser.arrival_ns(row, tick)
            except (ValueError, IndexError) as error:
                self.sink.reject("bad_row")
                if not self._complained:
                    self._complained = True
                    log.warning("%s line %d: %s (further bad rows are only counted)", self._options.path, number, error)
                yield None, stamp
                continue
            if start <= tick.exchange_ns < stop:
                stamp = at
                yield tick, stamp
            else:
                yield None, stamp


class ReplayCatalogue:
    """The contracts that occur in a recording."""

    def __init__(self, path: Path) -> None:
        self._recording = Recording(path)

    async def contracts(self) -> Sequence[Contract]:
        """Reads the whole file in a thread. Raises CatalogueError."""
        try:
            return await asyncio.to_thread(contracts_of, self._recording)
        except LineError as error:
            raise CatalogueError(str(error)) from error


def build_source(_account: Account, line: LineId, options: Mapping[str, Any]) -> ReplaySource:
    """The feed factory. Raises SettingsError when the options are wrong."""
    return ReplaySource(ReplayOptions.read(options), line, SystemClock())


def build_catalogue(_account: Account | None, options: Mapping[str, Any]) -> ReplayCatalogue:
    """The catalogue factory. Raises SettingsError when the options are wrong."""
    return ReplayCatalogue(ReplayOptions.read(options).path)


def check(_account: Account, options: Mapping[str, Any]) -> Sequence[str]:
    """Findings about the options and the recording's header."""
    return ReplayOptions.scan_values(options)[1]


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    """The feed kind ``replay``."""
    return [
        FeedKind(
            name="replay", factory=build_source, options=OPTIONS, needs_account=False, sessions="always", check=check
        )
    ]


@hookimpl
def gateway_catalogues() -> Sequence[CatalogueKind]:
    """The catalogue kind ``replay``; of the feed's options it reads ``path`` and checks the rest."""
    return [CatalogueKind(name="replay", build=build_catalogue, options=OPTIONS)]
