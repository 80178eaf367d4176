"""A gateway in miniature: it publishes ticks on a bus and is the Desk of a control service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import msgspec

from gateway.codec import CODECS, encode_market
from gateway.control import FeedStatus, LedgerStatus, Subscription, SubscriptionState
from gateway.control.events import Switch
from gateway.control.figures import FeedFigures, Figures, LineFigures
from gateway.flow.coverage import Coverage
from gateway.flow.gaphistory import GapDay
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


def switch_of(feed: str, at: int, *, kind: str = "failover", error: str = "", **fields: object) -> Switch:
    """A switch that was over at second ``at``."""
    moment = 1_760_000_000_000_000_000 + at * 1_000_000_000
    whole = {
        "feed": feed,
        "at_ns": moment,
        "kind": kind,
        "source": f"{feed}:primary",
        "target": f"{feed}:backup",
        "reason": "planned",
        "trigger": "command",
        "started_ns": moment - 1,
        "finished_ns": moment,
        "ok": not error,
        "error": error,
    }
    return Switch(**(whole | fields))


class Market:
    """``publish`` gives every instrument its own ``seq``; ``skip`` uses numbers up without sending."""

    def __init__(self, bus: Bus, *, codec: str = "msgpack", epoch: int = 1) -> None:
        self.bus = bus
        self.codec = codec
        self.epoch = epoch
        self.version = "0.1.0"
        self.catalogue: list[Contract] = []
        self.rows: dict[str, list[Subscription]] = {"sim:primary": []}
        self.homeless: frozenset[Instrument] = frozenset()
        self.asked: list[tuple[str, list[str]]] = []
        self.raises: Exception | None = None
        self.before_page: Callable[[int], None] | None = None
        self.events_dropped = 2
        self.warned: list[str] = []
        self.covered: list[Coverage] = []
        self.switched: list[Switch] = []
        self.switch_error = ""
        self.orders: list[tuple[object, ...]] = []
        self.day = GapDay(trading_day=20251009, gaps=(), watched=(), notes=())
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

    def contracts(self, feed: str | None = None) -> Sequence[Contract]:
        return [one for one in self.catalogue if feed is None or self.lists(feed, one)]

    def lists(self, feed: str, contract: Contract) -> bool:
        """Every feed of this market has its own exchange, where it has several."""
        return feed == "ctp" or contract.instrument.exchange == feed.upper()

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

    def wanted(self) -> frozenset[Instrument]:
        return self.homeless | {Instrument.parse(row.instrument) for rows in self.rows.values() for row in rows}

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        if self.raises is not None:
            raise self.raises
        self.asked.append(("subscribe", [str(one) for one in instruments]))

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        self.asked.append(("unsubscribe", [str(one) for one in instruments]))

    def counters(self) -> dict[str, int | float]:
        return {"publisher.in": 10, "publisher.out": 9, "publisher.dropped.backlog": 1}

    # Its lines and feeds as a whole: told here, and what is ordered is written down in ``orders``.

    def feeds(self) -> Sequence[FeedStatus]:
        names = dict.fromkeys(line.partition(":")[0] for line in self.rows)
        lines = list(self.rows)
        return [
            FeedStatus(feed=name, active=next(line for line in lines if line.startswith(f"{name}:")), session="day")
            for name in names
        ]

    def ledger(self) -> LedgerStatus:
        return LedgerStatus(waiting=3)

    def warnings(self) -> Sequence[str]:
        return self.warned

    def figures(self) -> Figures:
        line = LineFigures(
            line="ctp:primary", feed="ctp", state=LineState.STREAMING, rate=6.0, received=24, first=12, dropped=1,
            restarts=0, disconnects=1, rate_limit_waits=0, wanted=8, confirmed=7, failed=1, stalled=1, silent=False,
            suspect=False,
        )  # fmt: skip
        return Figures(
            at_ns=5, epoch=self.epoch, published=12, published_rate=3.0, received_rate=6.0, p50_ms=None, p99_ms=0.5,
            held=0, bus_connected=True, bus_reconnects=0, lines=[line],
            feeds=[FeedFigures(feed="ctp", session="day", failover_ms=272.0)],
        )  # fmt: skip

    def coverage(self) -> Sequence[Coverage]:
        return self.covered

    def switches(self, feed: str) -> Sequence[Switch]:
        return [switch for switch in self.switched if switch.feed == feed]

    async def gaps(self, date: int | None, feed: str | None) -> GapDay:
        self.orders.append(("gaps", date, feed))
        return self.day

    async def failover(self, feed: str, to: str | None, reason: str, operator: str) -> Switch:
        return self._switch("failover", feed, to, reason, operator)

    async def failback(self, feed: str, reason: str, operator: str) -> Switch:
        return self._switch("failback", feed, None, reason, operator)

    async def require_failover(self, feed: str, reason: str, value: float) -> None:
        self.orders.append(("require_failover", feed, reason, value))

    async def restart_line(self, line: str, reason: str) -> None:
        self.orders.append(("restart_line", line, reason))

    def _switch(self, kind: str, feed: str, to: str | None, reason: str, operator: str) -> Switch:
        if self.raises is not None:
            raise self.raises
        self.orders.append((kind, feed, to, reason, operator))
        self.switched.append(
            switch_of(feed, len(self.switched) + 1, kind=kind, target=to, reason=reason, error=self.switch_error)
        )
        return self.switched[-1]


def json_of(data: bytes) -> dict[str, object]:
    return msgspec.json.decode(data, type=dict[str, object])
