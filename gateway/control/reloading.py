"""The catalogue taken anew while the gateway runs: new contracts are subscribed, expired ones are let go.

A list that failed, is empty or implausibly small changes nothing: the one before is kept. A contract that is gone
before its last day stays, because a counter that forgets one is likelier than an exchange that does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from gateway.assembly import Feed
from gateway.clock import Clock
from gateway.control.messages.catalogue import Reloaded
from gateway.control.oversight import Oversight
from gateway.control.paging import PAGE_BYTES, within
from gateway.errors import ControlError, FeedgateError
from gateway.model import SHANGHAI, Contract, Instrument
from gateway.wanting import wanted_instruments

_log = logging.getLogger(__name__)

_LIMIT_S: Final = 150.0
"""A counter that lists its contracts in pages takes a minute or two."""
_NAMES_BYTES: Final = PAGE_BYTES // 4


class Lists(Protocol):
    """Where the lists in force are."""

    def contracts_of(self, feed: str) -> Sequence[Contract]:
        """The list in force; empty before the first."""
        ...

    def set_contracts(self, feed: str, contracts: Sequence[Contract]) -> None:
        """Put another one in force."""
        ...


class Reloading:
    """Of one gateway. All methods on the loop."""

    def __init__(self, feeds: Sequence[Feed], oversight: Oversight, lists: Lists, clock: Clock) -> None:
        self._feeds = {feed.name: feed for feed in feeds}
        self._oversight, self._lists, self._clock = oversight, lists, clock
        self._running: set[str] = set()

    async def reload(self, feed: str, *, min_share: float, accept_smaller: bool) -> Reloaded:
        """Ask the feed's catalogue again; what it says is subscribed when this returns, not yet confirmed.

        Raises ControlError while another reload of the feed runs. A catalogue that fails is a reply (``ok`` False).
        """
        if feed in self._running:
            raise ControlError(f"the catalogue of feed {feed} is being read; try again when that is over", feed=feed)
        self._running.add(feed)
        try:
            return await self._reload(self._feeds[feed], min_share, accept_smaller=accept_smaller)
        finally:
            self._running.discard(feed)

    async def _reload(self, feed: Feed, min_share: float, *, accept_smaller: bool) -> Reloaded:
        before = self._lists.contracts_of(feed.name)
        if feed.catalogue is None:  # its contracts are named in the settings
            return Reloaded(feed=feed.name, ok=True)
        found, why = await self._found(feed)
        if not why and len(found) < min_share * len(before) and not accept_smaller:
            why = (
                f"it lists {len(found)} contracts where the list before has {len(before)}; if that is right, accept it"
            )
        wanted: list[Instrument] = []
        if not why:
            try:
                wanted = wanted_instruments(feed.name, feed.settings, found)
            except FeedgateError as error:
                why = " ".join(str(error).split())
        if why:
            _log.error("feed %s: the list of %d contracts is kept: %s", feed.name, len(before), why)
            return Reloaded(feed=feed.name, ok=False, error=why, total=len(before))
        return await self._taken(feed, before, found, wanted)

    async def _found(self, feed: Feed) -> tuple[Sequence[Contract], str]:
        """The list, and why there is none."""
        assert feed.catalogue is not None  # noqa: S101 - looked at before
        try:
            async with asyncio.timeout(_LIMIT_S):
                found = list(await feed.catalogue.contracts())
        except FeedgateError as error:
            return [], str(error)
        except TimeoutError:
            return [], f"the catalogue did not answer within {_LIMIT_S:g} s"
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not take the list with it
            _log.exception("feed %s: the catalogue broke", feed.name)
            return [], f"the catalogue broke ({type(error).__name__}); the gateway's log has more"
        return found, "" if found else "it lists no contract"

    async def _taken(
        self, feed: Feed, before: Sequence[Contract], found: Sequence[Contract], wanted: Iterable[Instrument]
    ) -> Reloaded:
        today = int(datetime.fromtimestamp(self._clock.wall_ns() // 1_000_000_000, SHANGHAI).strftime("%Y%m%d"))
        old, new = _by_instrument(before), _by_instrument(found)
        expired = {one for one, contract in (old | new).items() if _past(contract, today)}
        removed = [one for one in old if one not in new and one not in expired]
        added = [one for one in new if one not in old and one not in expired]
        steering = self._oversight.feeds[feed.name].steering
        # what somebody unsubscribed by hand is not new, so it stays as it is
        news = frozenset(added) - steering.wanted()
        fresh = [one for one in wanted if one in news]
        over = [one for one in steering.wanted() if one in expired]
        in_force = [contract for one, contract in new.items() if one not in expired] + [old[one] for one in removed]
        self._lists.set_contracts(feed.name, in_force)
        if fresh:
            await self._oversight.want(feed.name, fresh)
        if over:
            await self._oversight.release(feed.name, over)
        gone = [one for one in old if one in expired]
        reply = Reloaded(
            feed=feed.name,
            ok=True,
            total=len(in_force),
            added=len(added),
            expired=len(gone),
            removed=len(removed),
            subscribed=len(fresh),
            unsubscribed=len(over),
            added_names=_names(added),
            expired_names=_names(gone),
            removed_names=_names(removed),
            truncated=any(len(_names(names)) < len(names) for names in (added, gone, removed)),
        )
        _log.log(
            logging.WARNING if removed else logging.INFO,  # gone before their last day: that is refused
            "feed %s: contracts taken anew: %d, %d added, %d expired, %d gone early; %d subscribed, %d unsubscribed",
            *(feed.name, reply.total, reply.added, reply.expired, reply.removed, reply.subscribed, reply.unsubscribed),
        )
        return reply


def _by_instrument(contracts: Iterable[Contract]) -> dict[Instrument, Contract]:
    return {contract.instrument: contract for contract in contracts}


def _past(contract: Contract, today: int) -> bool:
    """From the day after its last one on: the night before belongs to it."""
    return contract.expire_date is not None and contract.expire_date < today


def _names(instruments: Iterable[Instrument]) -> list[str]:
    return list(within(map(str, instruments), _NAMES_BYTES))
