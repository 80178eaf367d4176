"""The gateway as the control service, metrics and pages see it: values as of now, and the few things they may ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from gateway.assembly import Feed
from gateway.clock import Clock
from gateway.control.events import Switch
from gateway.control.messages.catalogue import Reloaded
from gateway.control.messages.market import Subscription, SubscriptionState
from gateway.control.messages.orders import Rotated
from gateway.control.messages.reports import FeedStatus, LedgerStatus
from gateway.control.oversight import Oversight
from gateway.control.reloading import Reloading
from gateway.control.rotation import Rotation
from gateway.control.warnings import warnings_of
from gateway.flow.balance import Balance
from gateway.flow.coverage import Coverage
from gateway.flow.pipeline import Pipeline
from gateway.flow.publisher import Publisher
from gateway.flow.subscriptions import Subscriptions
from gateway.gaps import GapDay
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
        oversight: Oversight,
        rotation: Rotation,
        clock: Clock,
    ) -> None:
        self.epoch = epoch
        self.version = version
        self.codec = codec
        self._feeds = feeds
        self._pipeline = pipeline
        self._publisher = publisher
        self._oversight = oversight
        self._rotation = rotation
        self._contracts: dict[str, list[Contract]] = {}
        self._reloading = Reloading(feeds, oversight, self, clock)

    def set_contracts(self, feed: str, contracts: Sequence[Contract]) -> None:
        """What a feed's catalogue said."""
        self._contracts[feed] = list(contracts)

    def contracts_of(self, feed: str) -> Sequence[Contract]:
        """One feed's list in force; empty before the first."""
        return self._contracts.get(feed, [])

    def contracts(self, feed: str | None = None) -> Sequence[Contract]:
        feeds = [one for one in self._feeds if feed in (None, one.name)]
        return [contract for one in feeds for contract in _referenced(self.contracts_of(one.name), one.lines)]

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

    def wanted(self) -> frozenset[Instrument]:
        return frozenset().union(*(watch.steering.wanted() for watch in self._oversight.feeds.values()))

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        for feed in self._feeds:
            mine = self._of_feed(feed, instruments)
            if mine:
                await self._oversight.want(feed.name, mine)

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        for feed in self._feeds:
            await self._oversight.release(feed.name, instruments)

    # -- lines, switches, coverage, gaps ---------------------------------------------------------------

    def feeds(self) -> Sequence[FeedStatus]:
        now_ns = self._oversight.now_ns()
        return [
            FeedStatus(
                feed=feed.name,
                active=watch.failover.plan.prefer,
                switching=watch.failover.running,
                failover_required=bool(watch.failover.required),
                session=self._oversight.hours.session(feed.name, now_ns),
                router=feed.settings.router,
            )
            for feed, watch in zip(self._feeds, self._oversight.feeds.values(), strict=True)
        ]

    def ledger(self) -> LedgerStatus:
        health = self._oversight.ledger.health
        return LedgerStatus(
            degraded=health.degraded,
            reason=health.reason,
            waiting=health.waiting,
            lost=health.lost,
            open_gaps=self._oversight.ledger.open_gaps,
        )

    @property
    def events_dropped(self) -> int:
        return self._oversight.announcer.dropped

    def warnings(self) -> Sequence[str]:
        return warnings_of(self._oversight)

    def coverage(self) -> Sequence[Coverage]:
        return self._oversight.coverage()

    def switches(self, feed: str) -> Sequence[Switch]:
        return list(self._oversight.feeds[feed].failover.history)

    async def gaps(self, date: int | None, feed: str | None) -> GapDay:
        await self._oversight.written()
        return await self._oversight.store.day(date, feed)

    async def failover(self, feed: str, to: str | None, reason: str, operator: str) -> Switch:
        return await self._oversight.failover(feed, _by(reason, operator), to)

    async def failback(self, feed: str, reason: str, operator: str) -> Switch:
        return await self._oversight.failback(feed, _by(reason, operator))

    async def require_failover(self, feed: str, reason: str, value: float) -> None:
        self._oversight.require(feed, reason, value)

    async def restart_line(self, line: str, reason: str) -> None:
        self._oversight.restart_line(line, reason)

    async def rotate(self, line: str, references: Mapping[str, str], reason: str) -> Rotated:
        return await self._rotation.rotate(line, references, reason)

    async def reload_catalogue(self, feed: str, *, min_share: float, accept_smaller: bool) -> Reloaded:
        return await self._reloading.reload(feed, min_share=min_share, accept_smaller=accept_smaller)

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
            "instruments": sum(1 for topic in self._pipeline.topics if topic.seq),
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


def _by(reason: str, operator: str) -> str:
    return f"{reason} ({operator})" if operator else reason


def _status(line: Line, subscriptions: Subscriptions, *, active: bool, published: int) -> LineStatus:
    counts = line.live_counts()
    return LineStatus(
        line=str(line.id),
        account=line.account.masked,
        role="active" if active else "cold" if line.parked else "hot",
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


def _referenced(contracts: Sequence[Contract], lines: Sequence[Line]) -> Sequence[Contract]:
    """With the reference prices that the lines were told last, the preferred line's word first."""
    prices = {instrument: price for line in reversed(lines) for instrument, price in line.references.items()}
    if not prices:
        return contracts
    return [
        msgspec.structs.replace(contract, reference_price=prices[contract.instrument])
        if contract.instrument in prices
        else contract
        for contract in contracts
    ]
