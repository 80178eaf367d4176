"""The order of ticks: each ``(epoch, seq)`` of an instrument once, rising, and every hole counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

import msgspec

from gateway.clock import Clock, SystemClock
from gateway.model import Instrument, Tick
from gateway.subjects import instrument_of, tick_subject

LOSSES = 1_000
"""Losses that a stream remembers one by one."""

TAKEOVER_SECONDS = 2.0
"""So long must ticks of another gateway come, and none of the known one, before an earlier epoch is believed."""

_GONE_KEPT = 64


class Loss(msgspec.Struct, frozen=True):
    """Ticks that were published and did not arrive: ``first_seq`` to ``last_seq``, both included."""

    instrument: Instrument
    epoch: int
    first_seq: int
    last_seq: int
    noticed_ns: int

    @property
    def ticks(self) -> int:
        """How many."""
        return self.last_seq - self.first_seq + 1


class Track:
    """What is known about one instrument. An epoch of None: nothing seen yet."""

    __slots__ = ("code", "epoch", "exchange", "seq", "wanted")

    def __init__(self, exchange: str, code: str, *, wanted: bool) -> None:
        self.exchange: str = exchange
        self.code: str = code
        self.wanted: bool = wanted
        self.epoch: int | None = None
        self.seq: int = 0


class Order:
    """Decides, instrument by instrument, which tick is news.

    An epoch is the start of a gateway by its wall clock. Within one epoch ``seq`` decides. A later epoch is a
    restarted gateway and taken at once; its ``seq`` begins anew, without loss. An earlier epoch is a gateway that was
    replaced: its ticks drop as ``stale``. But a clock may have been set back between two starts. So when ticks of one
    earlier epoch come for an instrument over ``TAKEOVER_SECONDS`` or more and not one of the known epoch in between,
    the known gateway is gone: that is a restart too, and from then on holds for all instruments. Only a similar
    run brings back an epoch that is gone. Gateways that share a server and publish different instruments do not
    disturb each other.
    """

    def __init__(
        self,
        wanted: Callable[[str], bool],
        *,
        on_loss: Callable[[Loss], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._wanted = wanted
        self._on_loss = on_loss
        self._clock: Clock = clock or SystemClock()
        self._tracks: dict[Hashable, Track] = {}
        self._gone: set[int] = set()
        self._others: dict[Track, tuple[int, int | None, int, float]] = {}
        self.repeats: int = 0
        """Ticks dropped because they, or later ones, were there before. Usual at the seam with the snapshot."""
        self.stale: int = 0
        """Ticks dropped because another gateway publishes this instrument. A growing figure: two gateways."""
        self.rejected: int = 0
        """Messages (in batches: ticks) that are not what their subject promises."""
        self.last_reject: str = ""
        """Why, for the latest one."""
        self.lost: int = 0
        """Ticks missing by ``seq``, those dropped in this process included."""
        self.losses: deque[Loss] = deque(maxlen=LOSSES)
        """The latest losses, one by one."""
        self.restarts: int = 0
        """Other gateways taken after the first one."""
        self.epoch: int = 0
        """The gateway taken last; 0 before the first tick."""

    def _track_of(self, subject: str) -> Track:
        """The track of a tick subject. Raises ValueError when it is none, or not in its one right spelling."""
        track = self._tracks.get(subject)
        if track is None:
            instrument = instrument_of(subject)
            if tick_subject(instrument) != subject:
                raise ValueError(f"{subject!r} is not how {instrument} is published")
            track = Track(instrument.exchange, instrument.code, wanted=self._wanted(str(instrument)))
            self._tracks[subject] = track
        return track

    def _reject(self, reason: str) -> None:
        self.rejected += 1
        self.last_reject = reason

    def _admit(self, track: Track, tick: Tick) -> bool:
        """Whether the tick is news. Everything but the next number in line ends up here."""
        epoch, seq = tick.epoch, tick.seq
        if epoch < 1 or seq < 1:
            self._reject(f"a tick of {tick.instrument} without provenance (epoch {epoch}, seq {seq})")
            return False
        if epoch == track.epoch:
            self._others.pop(track, None)
            if seq <= track.seq:
                self.repeats += 1
                return False
            if seq > track.seq + 1:
                self._note_loss(Loss(tick.instrument, epoch, track.seq + 1, seq - 1, self._clock.wall_ns()))
        elif track.epoch is not None and not self._replaces(epoch, track.epoch) and not self._takes_over(epoch, track):
            self.stale += 1
            return False
        elif epoch > self.epoch and epoch not in self._gone:
            self.restarts += self.epoch > 0
            self.epoch = epoch
        track.epoch, track.seq = epoch, seq
        return True

    def _replaces(self, epoch: int, known: int) -> bool:
        return epoch not in self._gone and (epoch > known or known in self._gone)

    def _takes_over(self, epoch: int, track: Track) -> bool:
        """Whether this tick completes a run that shows that the known gateway is gone."""
        now = self._clock.monotonic()
        run = epoch, track.epoch, track.seq
        *same, since = self._others.setdefault(track, (*run, now))
        if tuple(same) != run:
            self._others[track] = (*run, now)
            return False
        if now - since < TAKEOVER_SECONDS or track.epoch is None:
            return False
        if len(self._gone) >= _GONE_KEPT:
            self._gone.clear()
        self._gone.discard(epoch)
        self._gone.add(track.epoch)
        self._others.clear()
        self.restarts += 1
        self.epoch = epoch
        self._ask_again()
        return True

    def _ask_again(self) -> None:
        """An earlier epoch was taken: ticks dropped before that may have been the last ones of quiet instruments."""

    def _note_loss(self, loss: Loss) -> None:
        self.lost += loss.ticks
        self.losses.append(loss)
        if self._on_loss is not None:
            self._on_loss(loss)
