"""What a consumer of a hot pair holds every tick against."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

from bench.load import PAIR_LINES, Load, code_of, last_of
from gateway.model import Tick


class PairCheck:
    """Each tick once and in order, by the gateway's numbers and by the feeder's, with its own content.

    The feeder numbers the ticks of each instrument from 1 (``volume``), the gateway numbers what it publishes
    (``seq``): with nothing lost, doubled or out of order the two are equal on every tick of one epoch. Ticks are only
    noted while they come, and judged by :meth:`close`, so that the check takes little of the machine that is measured.
    """

    def __init__(self, load: Load) -> None:
        self._count = load.instruments
        self._places = {code_of(index): index for index in range(load.instruments)}
        self._noted = array("H"), array("L"), array("L"), array("d")
        """Instrument, the feeder's number, ``seq`` and last price, side by side."""
        self._epochs: Counter[int] = Counter()
        self.by_line: Counter[str] = Counter()
        """Ticks by the line that brought them first."""
        self.wrong = 0
        self.first_wrong = ""

    def ticks(self, ticks: Sequence[Tick]) -> None:
        """Note a chunk as a stream gave it. Raises KeyError for an instrument that nobody fed."""
        places = self._places
        instruments, numbers, seqs, lasts = self._noted
        instruments.extend([places[tick.code] for tick in ticks])
        numbers.extend([tick.volume for tick in ticks])
        seqs.extend([tick.seq for tick in ticks])
        lasts.extend([tick.last or 0.0 for tick in ticks])
        self._epochs.update([tick.epoch for tick in ticks])
        self.by_line.update([tick.line for tick in ticks])

    def stream_said(self, **counts: int) -> None:
        """What the client's stream counted beside the ticks that it gave: anything but 0 is wrong."""
        for name, count in counts.items():
            self._tell(count, f"the stream counted {count} {name}")

    def close(self) -> None:
        """Judge everything that was noted."""
        latest = [0] * self._count
        for place, number, seq, last in zip(*self._noted, strict=True):
            latest[place] += 1
            if not number == seq == latest[place] or last != last_of((number - 1) * self._count + place):
                self._tell(1, f"{code_of(place)}: the feeder's number {number} came as {seq} at {last}")
        for epoch, count in self._epochs.most_common()[1:]:
            self._tell(count, f"{count} ticks of another epoch, {epoch}")
        for line in self.by_line.keys() - PAIR_LINES:
            self._tell(self.by_line[line], f"{self.by_line[line]} ticks of line {line!r}")

    def _tell(self, count: int, what: str) -> None:
        self.wrong += count
        if count:
            self.first_wrong = self.first_wrong or what
