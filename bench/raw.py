"""The limit: two plain sockets through the same nats-server, speaking its protocol with no client library.

``python -m bench.raw produce|consume LOAD``. Messages have the size of a published tick, go to the same subjects and
all have one length, so the receiver counts bytes. At a paced rate each message carries its own send time; at
saturation the first of each block does, as the sender joins blocks once and only stamps them.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from array import array
from urllib.parse import urlsplit

import msgspec

from bench.child import READY, load_from_arguments, say, stopped
from bench.control import CONSUMED, FIRST_NS, OFFERED, PHASE, RUN, STOP, WARM, Control
from bench.load import EXCHANGE, Load, code_of
from bench.tally import Outcome, quantiles
from gateway.clock import SystemClock
from gateway.codec import CODECS, encode_market
from gateway.model import UNPUBLISHED, Instrument, Tick
from gateway.subjects import TICKS, tick_subject

_PING, _PONG = b"PING\r\n", b"PONG\r\n"
BLOCK = 256
STAMP = struct.Struct("<QQ")
"""Send time and message number, at the front of a payload."""

SAMPLE = Tick(
    *UNPUBLISHED,
    EXCHANGE,
    code_of(0),
    trading_day=20250102,
    exchange_ns=1735780200123000000,
    last=3123.0,
    volume=1234,
    turnover=1735780200.0,
    open_interest=1.5e6,
    open=3100.0,
    high=3130.0,
    low=3090.0,
    close=None,
    settlement=None,
    average=31102.5,
    pre_settlement=3111.0,
    pre_close=3112.0,
    pre_open_interest=123456789.0,
    upper_limit=3400.0,
    lower_limit=2800.0,
    bid_prices=(3122.0, 3121.0, 3120.0, 3119.0, 3118.0),
    bid_volumes=(12, 13, 14, 15, 16),
    ask_prices=(3123.0, 3124.0, 3125.0, 3126.0, 3127.0),
    ask_volumes=(7, 8, 9, 10, 11),
)
"""The tick that the feeders offer."""


def payload_size() -> int:
    """Bytes of a published tick of this bench."""
    origin = CODECS["msgpack"].origin(1735780200, "bench:primary", "primary")
    return len(origin.payload(1, 1735780200123000000, encode_market(SAMPLE)))


def connect(url: str) -> socket.socket:
    """A connection past the greeting, without acknowledgements of each message."""
    parts = urlsplit(url)
    link = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 4222))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.recv(65536)
    link.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
    expect(link, b"PONG\r\n")
    return link


def expect(link: socket.socket, end: bytes) -> None:
    """Read until the server answers so."""
    seen = b""
    while not seen.endswith(end):
        data = link.recv(65536)
        if not data:
            raise ConnectionError(f"nats-server closed the connection: {seen!r}")
        seen += data


class Sender:
    """Offers the load: a warm-up block by block, then the paced or the windowed run."""

    def __init__(self, link: socket.socket, load: Load, control: Control) -> None:
        self._link = link
        self._load = load
        self._control = control
        self._words = control.words
        self._wall_ns = SystemClock().wall_ns
        size = payload_size()
        body = b"\x00" * size + b"\r\n"
        self._heads = [
            f"PUB {tick_subject(Instrument(EXCHANGE, code_of(i)))} {size}\r\n".encode() for i in range(load.instruments)
        ]
        self._rest = body[STAMP.size :]
        heads = [self._heads[i % load.instruments] for i in range(BLOCK)]
        self._block = bytearray(b"".join(head + body for head in heads))
        self._stamp_at = len(heads[0])
        self._offered = 0

    def run(self) -> None:
        """Returns when all is offered or the harness stops us."""
        load = self._load
        if not self._wait_for(WARM) or not self._windowed(load.warm) or not self._wait_for(RUN):
            return
        self._words[FIRST_NS] = self._wall_ns()
        if load.rate:
            self._paced(self._words[FIRST_NS])
        else:
            self._windowed(load.total)

    def _wait_for(self, phase: int) -> bool:
        while self._words[PHASE] < phase and not stopped(self._control):
            time.sleep(0.001)
        return not stopped(self._control)

    def _windowed(self, count: int) -> bool:
        words, window = self._words, self._load.window
        for start in range(0, count, BLOCK):
            part = min(BLOCK, count - start)
            while self._offered - words[CONSUMED] >= window:
                if stopped(self._control):
                    return False
                time.sleep(0.00005)
            STAMP.pack_into(self._block, self._stamp_at, self._wall_ns(), self._offered)
            block = self._block if part == BLOCK else self._block[: part * (len(self._block) // BLOCK)]
            self._link.sendall(block)
            self._offered = words[OFFERED] = self._offered + part
        return True

    def _paced(self, start: int) -> None:
        load, words, heads = self._load, self._words, self._heads
        number = 0
        while number < load.total and words[PHASE] != STOP:
            due = min(load.total, (self._wall_ns() - start) * load.rate // 1_000_000_000 + 1)
            if due > number:
                parts: list[bytes] = []
                for index in range(number, due):
                    intended = start + index * 1_000_000_000 // load.rate
                    parts += (heads[index % len(heads)], STAMP.pack(intended, load.warm + index), self._rest)
                self._link.sendall(b"".join(parts))
                self._offered = words[OFFERED] = self._offered + due - number
                number = due
            ahead = start + number * 1_000_000_000 // load.rate - self._wall_ns()
            if ahead > 0:
                time.sleep(ahead / 1e9)


class Receiver:
    """Counts whole messages by their length and reads the stamps."""

    def __init__(self, load: Load, control: Control) -> None:
        self._load = load
        self._control = control
        self._words = control.words
        self._wall_ns = SystemClock().wall_ns
        size = payload_size()
        subject = tick_subject(Instrument(EXCHANGE, code_of(0)))
        self._head = len(f"MSG {subject} 1 {size}\r\n")
        self._length = self._head + size + 2
        self._each = bool(load.rate)
        self._latencies = array("q")
        self._last_ns = 0
        self.received = 0
        self.disordered = 0

    def run(self, link: socket.socket) -> None:
        """Read until the harness stops us."""
        link.settimeout(0.05)
        buffer = bytearray(1 << 20)
        view = memoryview(buffer)
        rest = 0
        while self._words[PHASE] != STOP:
            try:
                got = link.recv_into(view[rest:])
            except TimeoutError:
                if stopped(self._control):
                    return
                continue
            if not got:
                raise ConnectionError("nats-server closed the connection of the raw receiver")
            end = rest + got
            ping = buffer.find(_PING, max(rest - len(_PING), 0), end)
            if ping >= 0:
                # the server asks after two seconds, then every two minutes; no payload of ours has these bytes
                buffer[ping : end - len(_PING)] = buffer[ping + len(_PING) : end]
                end -= len(_PING)
                link.sendall(_PONG)
            rest = self._cut(buffer, end)

    def _cut(self, buffer: bytearray, end: int) -> int:
        length, now = self._length, self._wall_ns()
        count = end // length
        if count:
            self._last_ns = now
        step = 1 if self._each else BLOCK
        warm = self._load.warm
        first = self.received if self._each else -(-self.received // BLOCK) * BLOCK
        for number in range(first, self.received + count, step):
            sent, told = STAMP.unpack_from(buffer, (number - self.received) * length + self._head)
            if number >= warm:
                if told != number:
                    self.disordered += 1
                self._latencies.append(now - sent)
        self.received = self._words[CONSUMED] = self.received + count
        rest = end - count * length
        buffer[:rest] = buffer[count * length : end]
        return rest

    def outcome(self) -> Outcome:
        """As every consumer tells it."""
        elapsed = (self._last_ns - self._words[FIRST_NS]) / 1e9
        measured = self.received - self._load.warm
        return Outcome(
            received=self.received,
            lost=self._load.goal - self.received,
            duplicates=self.disordered,
            rate=round(measured / elapsed, 1) if measured > 0 and elapsed > 0 else 0.0,
            max_ms=round(max(self._latencies, default=0) / 1e6, 4),
            **quantiles(self._latencies),
        )


def main() -> None:
    """One end of the pair. The warm-up is a whole number of blocks, so that stamps stay aligned."""
    load = load_from_arguments()
    control = Control(load.control)
    with connect(load.nats) as link:
        if sys.argv[1] == "consume":
            receiver = Receiver(load, control)
            link.sendall(f"SUB {TICKS}.> 1\r\nPING\r\n".encode())
            expect(link, b"PONG\r\n")
            say(READY)
            receiver.run(link)
            say(msgspec.json.encode(receiver.outcome()).decode())
        else:
            say(READY)
            Sender(link, load, control).run()
            link.sendall(b"PING\r\n")
            expect(link, b"PONG\r\n")
            while not stopped(control):
                time.sleep(0.01)
    control.close()


if __name__ == "__main__":
    main()
