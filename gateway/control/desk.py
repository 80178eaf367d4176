"""The gateway as the control service, metrics and pages see it: values as of now, and the few things they may ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from gateway.assembly import Feed
from gateway.control import Subscription, SubscriptionState
from gateway.flow.balance import Balance
from gateway.flow.pipeline import Pipeline
from gateway.flow.publisher import Publisher
from gateway.flow.subscriptions import Subscriptions
from gateway.lines.line import Line
from gateway.model import Contract, Instrument, LineStatus


class GatewayDesk:
    """Implements control.service.Desk over the running parts. All methods on the loop."""

    def __init__(
        self,
        *,
        epoch: int,
        version: str,
        codec: str,
        feeds: Sequence[Feed],
        pipeline: Pipeline,
        publisher: Publisher,
    ) -> None:
        self.epoch = epoch
        self.version = version
        self.codec = codec
        self._feeds = feeds
        self._pipeline = pipeline
        self._publisher = publisher
        self._contracts: dict[str, list[Contract]] = {}

    def set_contracts(self, feed: str, contracts: Sequence[Contract]) -> None:
        """What a feed's catalogue said."""
        self._contracts[feed] = list(contracts)

    def contracts(self) -> Sequence[Contract]:
        return [contract for contracts in self._contracts.values() for contract in contracts]

    def last(self, wanted: Callable[[str], bool], start: int) -> Iterable[tuple[int, bytes]]:
        for position, topic in enumerate(self._pipeline.topics):
            if position >= start and topic.payload and wanted(topic.name):
                yield position, topic.payload

    def lines(self) -> Sequence[LineStatus]:
        return [status for feed in self._feeds for status in self.lines_of(feed)]

    def lines_of(self, feed: Feed) -> list[LineStatus]:
        """One feed's lines, in order of preference."""
        flow = self._pipeline.feeds[feed.name]
        published = flow.published
        return [
            _status(line, feed.subscriptions[line.id], active=line.id == flow.active, published=published[line.id])
            for line in feed.lines
        ]

    def subscriptions(self, line: str) -> Iterable[Subscription]:
        for feed in self._feeds:
            for line_id, subscriptions in feed.subscriptions.items():
                if str(line_id) == line:
                    for instrument in list(subscriptions.wanted):
                        yield _subscription(line, instrument, subscriptions)

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        for feed in self._feeds:
            mine = self._of_feed(feed, instruments)
            for subscriptions in feed.subscriptions.values():
                subscriptions.want(mine)

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        for feed in self._feeds:
            for subscriptions in feed.subscriptions.values():
                subscriptions.release(instruments)

    def _of_feed(self, feed: Feed, instruments: Sequence[Instrument]) -> list[Instrument]:
        """With several feeds a contract belongs to those whose catalogue has it; without a catalogue to all."""
        contracts = self._contracts.get(feed.name)
        if not contracts:
            return list(instruments)
        known = {contract.instrument for contract in contracts}
        return [instrument for instrument in instruments if instrument in known]

    def counters(self) -> dict[str, int | float]:
        balance = self.balance()
        flat: dict[str, int | float] = {
            "in": balance.received,
            "out": balance.published,
            "dropped": balance.total_dropped,
            "in_flight": balance.in_flight,
            "reposted": self._publisher.reposted,
            "instruments": len(self._pipeline.topics),
        }
        for stop, reasons in balance.dropped.items():
            for reason, ticks in reasons.items():
                flat[f"dropped.{stop}.{reason}"] = ticks
        return flat

    def balance(self) -> Balance:
        """The books of the whole gateway."""
        received = 0
        parse: Counter[str] = Counter()
        ship: Counter[str] = Counter()
        arbitrate: Counter[str] = Counter()
        for feed in self._feeds:
            for reasons in self._pipeline.feeds[feed.name].dropped.values():
                arbitrate += reasons
            for line in feed.lines:
                counts = line.live_counts()
                received += counts.received
                ship += counts.dropped
                parse["rejected"] += ship.pop("rejected", 0)
        stops = {
            "parse": +parse,
            "ship": +ship,
            "arbitrate": +arbitrate,
            "publish": +self._publisher.dropped,
        }
        return Balance(
            received=received,
            published=self._publisher.settled,
            dropped={stop: dict(reasons) for stop, reasons in stops.items() if reasons},
        )


def _status(line: Line, subscriptions: Subscriptions, *, active: bool, published: int) -> LineStatus:
    counts = line.live_counts()
    return LineStatus(
        line=str(line.id),
        account=line.account.masked,
        role="active" if active else "hot",
        state=line.state,
        reason=line.reason,
        since_ns=line.since_ns,
        restarts=counts.restarts,
        ticks=counts.delivered,
        wanted=len(subscriptions.wanted),
        pending=len(subscriptions.pending),
        confirmed=len(subscriptions.confirmed),
        failed=len(subscriptions.failed),
        published=published,
    )


def _subscription(line: str, instrument: Instrument, subscriptions: Subscriptions) -> Subscription:
    state, reason = SubscriptionState.WANTED, ""
    if instrument in subscriptions.confirmed:
        state = SubscriptionState.CONFIRMED
    elif instrument in subscriptions.pending:
        state = SubscriptionState.PENDING
    elif instrument in subscriptions.failed:
        state, reason = SubscriptionState.FAILED, subscriptions.failed[instrument]
    return Subscription(line=line, instrument=str(instrument), state=state, reason=reason)
