"""A small exchange for ledger tests: hours in minutes, streams that tick, a clock that stands still."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.codec import CODECS, encode_market
from gateway.flow.gaps import GapEvent
from gateway.flow.gapstore import GapStore
from gateway.flow.ledger import Ledger
from gateway.flow.phases import Phases, shanghai
from gateway.flow.topics import Topic
from gateway.model import SHANGHAI, UNPUBLISHED, Instrument, LineId, Tick
from gateway.testing.clock import ManualClock

RB, AU = Instrument("SHFE", "rb2510"), Instrument("SHFE", "au2512")
A, B = LineId("ctp", "primary"), LineId("ctp", "backup")
ORIGIN = CODECS["msgpack"].origin(1, "ctp:primary", "1***1")

_DAY = (
    ("auction", "08:55"),
    ("open", "09:00"),
    ("break", "10:15"),
    ("open", "10:30"),
    ("break", "11:30"),
    ("open", "13:30"),
    ("closed", "15:00"),
    ("auction", "20:55"),
    ("open", "21:00"),
    ("closed", "23:00"),
)


class Futures:
    """Every day trades; the night belongs to the next day."""

    def phase(self, instrument: Instrument, moment_ns: int) -> str:
        clock = f"{shanghai(moment_ns):%H:%M}"
        return next((phase for phase, begins in reversed(_DAY) if begins <= clock), "closed")

    def trading_day(self, instrument: Instrument, moment_ns: int) -> int:
        moment = shanghai(moment_ns)
        return int(f"{moment + timedelta(days=moment.hour >= 18):%Y%m%d}")

    def session(self, moment_ns: int) -> str:
        clock = f"{shanghai(moment_ns):%H:%M}"
        return "day" if "09:00" <= clock < "15:00" else "night" if "21:00" <= clock < "23:00" else "closed"


def at(text: str) -> int:
    """``"29 09:30:00"`` in August 2025, Shanghai, as Unix nanoseconds."""
    moment = datetime.strptime(f"2025-08-{text}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    return int(moment.timestamp()) * 1_000_000_000


class Market:
    """A ledger with its clock, its store and the published streams. ``store`` is not started unless a test does."""

    def __init__(
        self, now: str, path: Path | None = None, phases: Phases | None = None, *, grace_s: float = 0, **options: Any
    ) -> None:
        self.clock = ManualClock(wall_ns=at(now))
        self.store = GapStore(path or Path("never-opened"), clock=self.clock, **options)
        self.topics: dict[Instrument, Topic] = {}
        self.events: list[GapEvent] = []
        self.health: list[bool] = []
        self.ledger = Ledger(
            self.store,
            phases or Futures(),
            self.clock,
            self.events.append,
            stream_of=self.topics.get,
            health=lambda health: self.health.append(health.degraded),
            grace_s=grace_s,
            sleep=self.clock.sleep,
        )

    def ticks(self, instrument: Instrument, volume: int, day: int = 20250829) -> None:
        """Published now."""
        topic = self.topics.setdefault(instrument, Topic(instrument, b""))
        recv_ns = self.clock.wall_ns()
        rest = (None,) * 13
        tick = Tick(
            *UNPUBLISHED, instrument.exchange, instrument.code, day, recv_ns, 1.5, volume, *rest, (), (), (), ()
        )
        topic.seq += 1
        topic.recv_ns = recv_ns
        topic.payload = ORIGIN.payload(topic.seq, recv_ns, encode_market(tick))

    async def until(self, now: str) -> None:
        """Let the time pass, with a round of the ledger at the end."""
        await self.passes((at(now) - self.clock.wall_ns()) / 1e9)

    async def passes(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.ledger.tick()

    def told(self) -> list[str]:
        """The events so far in short: ``opened rb2510 09:30:00``, ``closed rb2510 09:30:00-09:30:05 lost 7``."""
        return [_short(event) for event in self.events]


def _short(event: GapEvent) -> str:
    gap = event.gap
    text = f"{event.kind} {gap.instrument.split('.')[1]} {shanghai(gap.start_ns):%H:%M:%S}"
    if gap.end_ns is not None:
        text += f"-{shanghai(gap.end_ns):%H:%M:%S} lost {gap.lost_volume}"
    return text
