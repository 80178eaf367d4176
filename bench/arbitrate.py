"""What arbitration alone costs: ``python -m bench.arbitrate LOAD``, one process, no line, no server.

The ticks of two lines are packed into the frames that lines send and read back by the gateway's own code, batch by
batch, as the core does; only the arbiter's call is timed, in CPU time of its thread. The frames of the two lines are
cut at different ticks, and every few batches the line that was behind comes first, so that a batch is all news, all
copies, or some of both. A tick that should be published and is not, or the other way round, is an error of the
measurement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec

from bench.cases import BLOCK
from bench.child import load_from_arguments, say
from bench.load import EXCHANGE, PAIR_ACCOUNTS, PAIR_FEED, Load, code_of, last_of
from bench.raw import SAMPLE
from bench.tally import Outcome
from gateway import heap
from gateway.clock import SystemClock
from gateway.flow.arbiter import Arbiter
from gateway.flow.topics import Topics
from gateway.lines.frame import TickPacker, TickUnpacker
from gateway.model import LineId, Tick

TURN = 16
"""Batches of each line after which the other one comes first."""
SHIFT = 96
"""The first frame of the second line is so many ticks shorter."""
LINES = tuple(LineId(PAIR_FEED, account) for account in PAIR_ACCOUNTS)


def ticks_of(start: int, count: int, instruments: int) -> list[Tick]:
    """The feeder's ticks from number ``start`` on: instruments in turn, volumes rising."""
    made = []
    for number in range(start, start + count):
        times, which = divmod(number, instruments)
        last = last_of(number)
        made.append(
            msgspec.structs.replace(
                SAMPLE,
                exchange=EXCHANGE,
                code=code_of(which),
                exchange_ns=SAMPLE.exchange_ns + number,
                volume=times + 1,
                last=last,
                bid_prices=tuple(last - 1 - level for level in range(5)),
                ask_prices=tuple(last + level for level in range(5)),
            )
        )
    return made


def frames_of(ticks: Sequence[Tick], packer: TickPacker, first: int) -> Iterator[bytes]:
    """TICKS bodies of at most BLOCK ticks; the first one has ``first``."""
    at, size = 0, first
    while at < len(ticks):
        batch = ticks[at : at + size]
        yield packer.pack(batch, [SAMPLE.exchange_ns] * len(batch))
        at, size = at + size, BLOCK


def order_of(frames: int) -> Iterator[int]:
    """Which line's frame comes next, 0 or 1: ``frames`` of each, led by each line in turn."""
    left = [frames, frames]
    leader, turn = 0, 0
    while any(left):
        for line in (leader, 1 - leader):
            if left[line]:
                left[line] -= 1
                yield line
        turn += 1
        if turn % TURN == 0:
            leader = 1 - leader
            if left[leader]:
                # the one that was behind comes twice in a row: it is ahead from here on
                left[leader] -= 1
                yield leader


class Bench:
    """One arbiter with two lines, and what its calls took."""

    def __init__(self) -> None:
        self.arbiter = Arbiter(LINES, clock=SystemClock(), events=lambda _event: None)
        topics = Topics(lambda subject: b"PUB " + subject.encode() + b" ")
        self._packers = [TickPacker() for _ in LINES]
        self._unpackers = [TickUnpacker(topics.of) for _ in LINES]
        self.cpu_ns = 0
        self.admitted = 0

    def run(self, ticks: Sequence[Tick]) -> None:
        """Both lines deliver these ticks."""
        bodies = [list(frames_of(ticks, packer, BLOCK - line * SHIFT)) for line, packer in enumerate(self._packers)]
        several = [iter(each) for each in bodies]
        clock = time.thread_time_ns
        for line in order_of(max(map(len, bodies))):
            body = next(several[line], None)
            if body is None:
                continue
            arrivals = self._unpackers[line].unpack(body)
            began = clock()
            self.arbiter.admit(LINES[line], arrivals)
            self.cpu_ns += clock() - began
            self.admitted += len(arrivals)


def measure(load: Load) -> Outcome:
    """Warm-up, then the measured ticks, made in pieces so that they do not fill the memory."""
    bench = Bench()
    piece = 100 * BLOCK
    offered = 0
    for goal in (load.warm, load.goal):
        bench.cpu_ns = bench.admitted = 0
        while offered < goal:
            count = min(piece, goal - offered)
            bench.run(ticks_of(offered, count, load.instruments))
            offered += count
    published = sum(bench.arbiter.published.values())
    copies = sum(reasons["copy"] for reasons in bench.arbiter.dropped.values())
    dropped = sum(sum(reasons.values()) for reasons in bench.arbiter.dropped.values())
    return Outcome(
        received=published,
        lost=max(load.goal - published, 0),
        duplicates=max(published - load.goal, 0),
        wrong=abs(dropped - load.goal) + abs(dropped - copies),
        rate=round(bench.admitted / bench.cpu_ns * 1e9, 1),
        p50_ms=0.0,
        p99_ms=0.0,
        p999_ms=0.0,
        max_ms=0.0,
        cpu_us={"core": round(bench.cpu_ns / bench.admitted / 1e3, 4)},
    )


if __name__ == "__main__":
    heap.settle()  # as `gateway run` does
    say(msgspec.json.encode(measure(load_from_arguments())).decode())
