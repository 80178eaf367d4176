"""The control service as a caller sees it: one method a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gateway.control.events import Switch
from gateway.control.figures import Figures
from gateway.control.messages.catalogue import Reloaded, ReloadReply, ReloadRequest
from gateway.control.messages.market import (
    ContractsReply,
    ContractsRequest,
    SubscribeReply,
    SubscribeRequest,
    SubscriptionsReply,
    SubscriptionsRequest,
    SubscriptionState,
)
from gateway.control.messages.orders import (
    Done,
    FailbackRequest,
    FailoverRequest,
    RequireRequest,
    RestartRequest,
    Rotated,
    RotateRequest,
)
from gateway.control.messages.reports import (
    CoverageReply,
    CoverageRequest,
    FeedCoverage,
    GapsReply,
    GapsRequest,
    StatusReply,
    SwitchesReply,
    SwitchesRequest,
)
from gateway.errors import ControlError
from gateway.model import Contract, Instrument
from gateway.subjects import control_subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.ports import Bus

SWITCH_TIMEOUT = 30.0
"""Seconds. A cold line has to log in and to subscribe everything, and a failed switch has to be undone: about 20 s."""

RELOAD_TIMEOUT = 170.0
"""Seconds. A counter lists its contracts in pages, and the gateway gives it 150 s."""

Reply = TypeVar("Reply")

_GLOB = frozenset("*?[")


class Requests:
    """Asks one gateway over a bus. All methods raise ControlError: its ``reply_code`` field says what kind.

    ``no_responder`` (no such gateway), ``timeout``, ``disconnected``, ``control`` (the request was wrong), ``busy``
    (another switch runs) and so on; a request that timed out may still be carried out.
    """

    def __init__(self, bus: Bus, *, name: str, timeout: float, switch_timeout: float) -> None:
        """Timeouts in seconds; ``switch_timeout`` is for ``failover`` and ``failback``."""
        self._bus = bus
        self._name = name
        self._timeout = timeout
        self._switch_timeout = switch_timeout

    async def contracts(self, *patterns: str, feed: str | None = None) -> list[Contract]:
        """The catalogue, as far as it matches: of one feed, or of all, where two feeds may list the same contract."""
        found: list[Contract] = []
        cursor: int | None = 0
        while cursor is not None:
            request = ContractsRequest(feed=feed, patterns=patterns or ("*",), cursor=cursor)
            reply = await self._ask("contracts", request, ContractsReply)
            found += reply.contracts
            cursor = reply.cursor
        return found

    async def subscriptions(
        self, *patterns: str, line: str | None = None, states: Iterable[SubscriptionState] = ()
    ) -> SubscriptionsReply:
        """Where the subscriptions stand, all pages in one."""
        request = SubscriptionsRequest(line=line, patterns=patterns or ("*",), states=tuple(states))
        reply = await self._ask("subscriptions", request, SubscriptionsReply)
        rows, cursor = list(reply.subscriptions), reply.cursor
        while cursor is not None:
            request = msgspec.structs.replace(request, cursor=cursor)
            reply = await self._ask("subscriptions", request, SubscriptionsReply)
            rows += reply.subscriptions
            cursor = reply.cursor
        return msgspec.structs.replace(reply, subscriptions=rows)

    async def subscriptions_page(self, request: SubscriptionsRequest) -> SubscriptionsReply:
        """One page, for whoever hands pages on: ``cursor`` of the reply goes into the next request."""
        return await self._ask("subscriptions", request, SubscriptionsReply)

    async def subscribe(self, *wanted: str | Instrument) -> SubscribeReply:
        """Have the gateway subscribe: instruments, names, or patterns over its catalogue."""
        return await self._ask("subscribe", _wish(wanted), SubscribeReply)

    async def unsubscribe(self, *unwanted: str | Instrument) -> SubscribeReply:
        """Have the gateway unsubscribe, for every consumer."""
        return await self._ask("unsubscribe", _wish(unwanted), SubscribeReply)

    async def status(self) -> StatusReply:
        """The gateway as of now."""
        return await self._ask("status", None, StatusReply)

    # -- orders ------------------------------------------------------------------------------------------------

    async def failover(
        self, reason: str, *, feed: str | None = None, to: str | None = None, operator: str = ""
    ) -> Switch:
        """Leave the preferred line of a feed (None: the only one), for ``to`` (``ctp:backup``) or the next in order.

        Returns when the switch is over: look at ``ok``, a failed one is no exception and left what was. ``reason`` is
        required; ``operator`` says who asks. ``reply_code`` is ``busy`` while another switch of the feed runs.
        """
        request = FailoverRequest(feed=feed, to=to, reason=reason, operator=operator)
        return await self._ask("failover", request, Switch, self._switch_timeout)

    async def failback(self, reason: str, *, feed: str | None = None, operator: str = "") -> Switch:
        """Back to the first line of the feed's settings. As :meth:`failover`."""
        request = FailbackRequest(feed=feed, reason=reason, operator=operator)
        return await self._ask("failback", request, Switch, self._switch_timeout)

    async def require_failover(self, reason: str = "", *, feed: str | None = None, value: float = 1.0) -> None:
        """Set ``feed_failover_required``: above 0 asks for a failover as soon as the rules allow, 0 takes it back.

        Returns at once; the ``switch`` event tells how it went. ``reason`` is required when asking.
        """
        await self._ask("failover_required", RequireRequest(feed=feed, reason=reason, value=value), Done)

    async def restart_line(self, line: str, reason: str, *, operator: str = "") -> None:
        """End a line (``ctp:primary``) in an orderly way and start it anew; returns when that is under way."""
        await self._ask("restart_line", RestartRequest(line=line, reason=reason, operator=operator), Done)

    async def rotate(self, line: str, references: Mapping[str, str], reason: str, *, operator: str = "") -> Rotated:
        """New credentials for a line, as references that the gateway looks up; returns when it has logged in.

        Look at ``ok`` and ``verified``: refused ones are no exception and leave the line with the old ones.
        """
        request = RotateRequest(line=line, references=dict(references), reason=reason, operator=operator)
        # a refused login is tried again with the old credentials
        return await self._ask("rotate", request, Rotated, 2 * self._switch_timeout)

    async def reload_catalogue(
        self,
        reason: str,
        *,
        feed: str | None = None,
        min_share: float = 0.5,
        accept_smaller: bool = False,
        operator: str = "",
    ) -> list[Reloaded]:
        """Have the list of contracts taken anew, of one feed or of all (None), a row each; it may take minutes.

        New contracts that the settings want are subscribed, expired ones unsubscribed. Look at ``ok``: a list that
        failed, or has less than ``min_share`` of the one before, changes nothing (``accept_smaller``: it does).
        """
        request = ReloadRequest(
            reason=reason, feed=feed, min_share=min_share, accept_smaller=accept_smaller, operator=operator
        )
        return (await self._ask("reload_catalogue", request, ReloadReply, RELOAD_TIMEOUT)).feeds

    # -- how it is, and how it was -------------------------------------------------------------------------------

    async def figures(self) -> Figures:
        """Rates, latencies and states in numbers; cheap enough to ask each second."""
        return await self._ask("figures", None, Figures)

    async def coverage(self, feed: str | None = None, *, products: bool = False) -> list[FeedCoverage]:
        """Coverage of each feed, or of one, as of now."""
        return (await self._ask("coverage", CoverageRequest(feed=feed, products=products), CoverageReply)).feeds

    async def gaps(self, date: str | int | None = None, *, feed: str | None = None) -> GapsReply:
        """The gaps of a trading day (``20250829``, ``"2025-08-29"``; None: the latest one known), all pages in one."""
        day = None if date is None else str(date)
        reply = await self._ask("gaps", GapsRequest(date=day, feed=feed), GapsReply)
        rows, cursor = list(reply.gaps), reply.cursor
        while cursor is not None:
            request = GapsRequest(date=f"{reply.trading_day:08}", feed=feed, cursor=cursor)
            reply = await self._ask("gaps", request, GapsReply)
            rows += reply.gaps
            cursor = reply.cursor
        return msgspec.structs.replace(reply, gaps=rows)

    async def gaps_page(self, request: GapsRequest) -> GapsReply:
        """One page; send ``trading_day`` of the first reply with the further ones, or a new day may begin between."""
        return await self._ask("gaps", request, GapsReply)

    async def switches(self, feed: str | None = None, *, limit: int = 100) -> list[Switch]:
        """The last failovers and failbacks, newest first."""
        return (await self._ask("switches", SwitchesRequest(feed=feed, limit=limit), SwitchesReply)).switches

    async def _ask(self, endpoint: str, request: Any, kind: type[Reply], timeout: float | None = None) -> Reply:  # noqa: ASYNC109 - handed on to the bus, whose error names the subject
        payload = b"" if request is None else msgspec.json.encode(request)
        subject = control_subject(endpoint, self._name)
        data = await self._bus.request(subject, payload, timeout=self._timeout if timeout is None else timeout)
        try:
            if data[:1] == b"{":
                return msgspec.json.decode(data, type=kind)
            return msgspec.msgpack.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ControlError(
                f"{endpoint}: gateway {self._name!r} answered with something else than a {kind.__name__} "
                f"({error}); use a client of the gateway's version",
                endpoint=endpoint,
            ) from None


def _wish(wanted: Iterable[str | Instrument]) -> SubscribeRequest:
    names = [str(one) for one in wanted if isinstance(one, Instrument) or not _GLOB.intersection(one)]
    patterns = [one for one in wanted if isinstance(one, str) and _GLOB.intersection(one)]
    return SubscribeRequest(instruments=tuple(names), patterns=tuple(patterns))
