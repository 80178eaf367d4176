"""Run a CtpSource or SoptSource here and write what it tells its sink: one JSON object a line on the descriptor given.

    python record_line.py FD    # standard input: a JSON object {feed, account, options}, then commands, one a line:
                                # ["subscribe", "SHFE.rb2510", …] ["unsubscribe", …] ["close"]

Standard output belongs to the vendor library, so the record goes to another descriptor.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
from collections.abc import Iterable

import msgspec

from gateway.clock import SystemClock
from gateway.errors import FeedgateError
from gateway.leaving import leave_after
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.thost.source import ThostSource

SOURCES = {"ctp": "gateway_ctp.source:CtpSource", "sopt": "gateway_sopt.source:SoptSource"}


class JsonSink:
    """A TickSink that writes. Called from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self.source: ThostSource | None = None

    def write(self, kind: str, **fields: object) -> None:
        line = json.dumps({"kind": kind, **fields}, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            os.write(self._descriptor, line)

    def tick(self, tick: Tick) -> None:
        self.write("tick", tick=msgspec.structs.asdict(tick))

    def raw(self, record: bytes) -> None:
        assert self.source is not None
        for tick in self.source.parse([(SystemClock.wall_ns(), record)], self.reject):
            self.tick(tick)

    def state(self, state: LineState, reason: str = "") -> None:
        self.write("state", state=state.value, reason=reason)

    def confirmed(self, instruments: Iterable[Instrument]) -> None:
        self.write("confirmed", instruments=[str(i) for i in instruments])

    def refused(self, instrument: Instrument, reason: str) -> None:
        self.write("refused", instrument=str(instrument), reason=reason)

    def unsubscribed(self, instruments: Iterable[Instrument]) -> None:
        self.write("unsubscribed", instruments=[str(i) for i in instruments])

    def reject(self, reason: str) -> None:
        self.write("reject", reason=reason)


async def main(descriptor: int) -> int:
    sink = JsonSink(descriptor)
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    job = json.loads(await stdin.readline())
    account = msgspec.convert(job["account"], Account)
    module, _, name = SOURCES[job["feed"]].partition(":")
    made = getattr(importlib.import_module(module), name)
    source: ThostSource = made(account, LineId(job["feed"], account.name), job["options"])
    sink.source = source
    try:
        await source.start(sink)
        while line := await stdin.readline():
            verb, *names = json.loads(line)
            if verb == "close":
                break
            try:
                await getattr(source, verb)([Instrument.parse(name) for name in names])
            except FeedgateError as error:
                sink.write("error", text=str(error))
    except FeedgateError as error:
        sink.write("error", text=str(error))
    finally:
        await source.aclose()
        sink.write("closed")
        transport.close()
    return 0


if __name__ == "__main__":
    leave_after(lambda: asyncio.run(main(int(sys.argv[1]))))
