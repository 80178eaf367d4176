"""A gateway in miniature: it publishes ticks on a bus and is the Desk of a control service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec

from gateway.codec import CODECS, encode_market
from gateway.control import Subscription, SubscriptionState
from gateway.model import UNPUBLISHED, Contract, Instrument, LineState, LineStatus, Tick
from gateway.ports import Bus
from gateway.subjects import batch_subject, tick_subject


def tick_of(name: str, seq: int = 1, epoch: int = 1, last: float | None = 3500.0, volume: int = 7) -> Tick:
    instrument = Instrument.parse(name)
    blank = dict.fromkeys(Tick.__struct_fields__)
    fields = blank | dict(zip(Tick.__struct_fields__, UNPUBLISHED, strict=False))
    fields |= {
        "epoch": epoch,
        "seq": seq,
        "recv_ns": 1_760_000_000_000_000_000 + seq,
        "line": "sim:primary",
        "account": "16***9",
        "exchange": instrument.exchange,
        "code": instrument.code,
        "trading_day": 20251009,
        "exchange_ns": 1_760_000_000_500_000_000,
        "last": last,
        "volume": volume,
        "bid_prices": (3499.0,),
        "bid_volumes": (4,),
        "ask_prices": (3501.0,),
        "ask_volumes": (5,),
    }
    return Tick(**fields)


class Market:
    """``publish`` gives every instrument its own ``seq``; ``skip`` uses numbers up without sending."""

    def __init__(self, bus: Bus, *, codec: str = "msgpack", epoch: int = 1) -> None:
        self.bus = bus
        self.codec = codec
        self.epoch = epoch
        self.version = "0.1.0"
        self.catalogue: list[Contract] = []
        self.rows: dict[str, list[Subscription]] = {"sim:primary": []}
        self.asked: list[tuple[str, list[str]]] = []
        self.raises: Exception | None = None
        self.before_page: Callable[[int], None] | None = None
        self._seq: dict[str, int] = {}
        self._last: dict[str, bytes] = {}

    def list_contracts(self, *names: str) -> None:
        self.catalogue += [Contract(instrument=Instrument.parse(name)) for name in names]

    def payload(self, tick: Tick) -> bytes:
        origin = CODECS[self.codec].origin(self.epoch, "sim:primary", "16***9")
        return origin.payload(tick.seq, tick.recv_ns, encode_market(tick))

    def publish(self, *names: str, last: float | None = 3500.0) -> None:
        for name in names:
            self._seq[name] = self._seq.get(name, 0) + 1
            tick = tick_of(name, self._seq[name], self.epoch, last)
            self._last[name] = self.payload(tick)
            self.send(tick_subject(tick.instrument), self._last[name])

    def skip(self, name: str, count: int) -> None:
        self._seq[name] = self._seq.get(name, 0) + count

    def publish_batch(self, feed: str, *names: str) -> None:
        payloads = []
        for name in names:
            self._seq[name] = self._seq.get(name, 0) + 1
            payloads.append(self.payload(tick_of(name, self._seq[name], self.epoch)))
        self.send(batch_subject(feed), CODECS[self.codec].batch(payloads))

    def send(self, subject: str, payload: bytes) -> None:
        self.bus.post([(self.bus.head(subject), payload)])

    def restart(self) -> None:
        self.epoch += 1
        self._seq.clear()
        self._last.clear()

    # The desk.

    def last(self, wanted: Callable[[str], bool], start: int) -> Iterable[tuple[int, bytes]]:
        if self.before_page is not None:
            self.before_page(start)
        rows = enumerate(self._last.items())
        return ((at, payload) for at, (name, payload) in islice(rows, start, None) if wanted(name))

    def contracts(self) -> Sequence[Contract]:
        return self.catalogue

    def lines(self) -> Sequence[LineStatus]:
        return [
            LineStatus(
                line=line,
                account="16***9",
                role="active",
                state=LineState.STREAMING,
                reason="",
                since_ns=0,
                restarts=0,
                ticks=3,
                wanted=len(rows),
                pending=sum(row.state == SubscriptionState.PENDING for row in rows),
                confirmed=sum(row.state == SubscriptionState.CONFIRMED for row in rows),
                failed=sum(row.state == SubscriptionState.FAILED for row in rows),
            )
            for line, rows in self.rows.items()
        ]

    def subscriptions(self, line: str) -> Iterable[Subscription]:
        return self.rows[line]

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        if self.raises is not None:
            raise self.raises
        self.asked.append(("subscribe", [str(one) for one in instruments]))

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        self.asked.append(("unsubscribe", [str(one) for one in instruments]))

    def counters(self) -> dict[str, int | float]:
        return {"publisher.in": 10, "publisher.out": 9, "publisher.dropped.backlog": 1}


def json_of(data: bytes) -> dict[str, object]:
    return msgspec.json.decode(data, type=dict[str, object])
