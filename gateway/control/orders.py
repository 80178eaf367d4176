"""Requests that change something: subscriptions, switches, lines. Each is checked here and carried out by the Desk."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from gateway.control.messages.catalogue import Reloaded, ReloadReply, ReloadRequest
from gateway.control.messages.market import SubscribeReply, SubscribeRequest
from gateway.control.messages.orders import (
    Done,
    FailbackRequest,
    FailoverRequest,
    RequireRequest,
    RestartRequest,
    RotateRequest,
)
from gateway.control.paging import PAGE_BYTES, any_of, plain, read, within
from gateway.errors import ControlError
from gateway.model import Instrument, LineId
from gateway.secrets.references import SECRET_FIELDS, is_reference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from gateway.control.service import Desk
    from gateway.ports import Handler

_log = logging.getLogger(__name__)

_NAMES_BYTES = PAGE_BYTES // 2

_DONE = msgspec.json.encode(Done())


class Orders:
    """Handlers that act. All raise ControlError for what is refused, and let through what the Desk raises."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def handlers(self) -> dict[str, Handler]:
        """Endpoint → handler."""
        return {
            "subscribe": self.subscribe,
            "unsubscribe": self.unsubscribe,
            "failover": self.failover,
            "failback": self.failback,
            "failover_required": self.require,
            "restart_line": self.restart,
            "rotate": self.rotate,
            "reload_catalogue": self.reload,
        }

    # -- subscriptions -----------------------------------------------------------------------------------------

    async def subscribe(self, payload: bytes) -> bytes:
        request = read(payload, SubscribeRequest)
        catalogue = {str(contract.instrument): contract.instrument for contract in self._desk.contracts()}
        accepted, unknown = _resolve(request, catalogue, take_unlisted=not catalogue)
        if accepted:
            await self._desk.subscribe(list(accepted.values()))
        return _names_reply(list(accepted), unknown)

    async def unsubscribe(self, payload: bytes) -> bytes:
        request = read(payload, SubscribeRequest)
        wanted = {str(one): one for one in sorted(self._desk.wanted())}
        accepted, unknown = _resolve(request, wanted, take_unlisted=False)
        if accepted:
            await self._desk.unsubscribe(list(accepted.values()))
        return _names_reply(list(accepted), unknown)

    # -- switches and lines ------------------------------------------------------------------------------------

    async def failover(self, payload: bytes) -> bytes:
        request = read(payload, FailoverRequest)
        reason, operator = _reason(request.reason), plain("operator", request.operator)
        feed = chosen_feed(self._desk, request.feed)
        lines = lines_of(self._desk, feed)
        if request.to is not None and request.to not in lines:
            raise ControlError(f"feed {feed} has no line {request.to!r}; its lines are: {', '.join(lines) or 'none'}")
        if request.to is None and len(lines) < 2:  # noqa: PLR2004 - to switch takes two
            raise ControlError(
                f"feed {feed} has nothing to switch to, its lines are: {', '.join(lines) or 'none'}; "
                "give it a second account"
            )
        _note(f"failover of feed {feed} to {request.to or 'the next line'}", reason, operator)
        return msgspec.json.encode(await self._desk.failover(feed, request.to, reason, operator))

    async def failback(self, payload: bytes) -> bytes:
        request = read(payload, FailbackRequest)
        reason, operator = _reason(request.reason), plain("operator", request.operator)
        feed = chosen_feed(self._desk, request.feed)
        if not lines_of(self._desk, feed):
            raise ControlError(f"feed {feed} has no line to go back to")
        _note(f"failback of feed {feed}", reason, operator)
        return msgspec.json.encode(await self._desk.failback(feed, reason, operator))

    async def require(self, payload: bytes) -> bytes:
        request = read(payload, RequireRequest)
        asks = request.value > 0
        reason = _reason(request.reason) if asks else plain("reason", request.reason)
        feed = chosen_feed(self._desk, request.feed)
        _note(f"failover_required of feed {feed} is {request.value:g}", reason)
        await self._desk.require_failover(feed, reason, request.value)
        return _DONE

    async def restart(self, payload: bytes) -> bytes:
        request = read(payload, RestartRequest)
        reason, operator = _reason(request.reason), plain("operator", request.operator)
        require_line(self._desk, request.line)
        _note(f"restart of {request.line}", reason, operator)
        await self._desk.restart_line(request.line, reason)
        return _DONE

    async def rotate(self, payload: bytes) -> bytes:
        request = read(payload, RotateRequest)
        reason, operator = _reason(request.reason), plain("operator", request.operator)
        require_line(self._desk, request.line)
        _check_references(request.references)
        _note(f"rotation of the credentials of {request.line}", reason, operator)
        return msgspec.json.encode(await self._desk.rotate(request.line, request.references, reason))

    async def reload(self, payload: bytes) -> bytes:
        request = read(payload, ReloadRequest)
        reason, operator = _reason(request.reason), plain("operator", request.operator)
        chosen = None if request.feed is None else chosen_feed(self._desk, request.feed)
        feeds = [one.feed for one in self._desk.feeds()] if chosen is None else [chosen]
        _note(f"the contracts of {', '.join(feeds)} anew", reason, operator)

        def ask(feed: str) -> Awaitable[Reloaded]:
            return self._desk.reload_catalogue(feed, min_share=request.min_share, accept_smaller=request.accept_smaller)

        return msgspec.json.encode(ReloadReply(feeds=await asyncio.gather(*map(ask, feeds))))


def _check_references(references: Mapping[str, str]) -> None:
    """Nothing of a wrong one is repeated: it may be somebody's password."""
    if not references or not set(references) <= SECRET_FIELDS:
        raise ControlError(f"references has other names than {', '.join(sorted(SECRET_FIELDS))}, or none; correct it")
    for field, reference in references.items():
        if not is_reference(reference):
            raise ControlError(
                f"references.{field} is no reference; write secret:STORE:PATH#KEY, never a secret itself"
            )


def chosen_feed(desk: Desk, feed: str | None) -> str:
    """The feed that is meant. Raises ControlError that lists them when there is no such one, or more than one."""
    feeds = [one.feed for one in desk.feeds()]
    names = ", ".join(feeds) or "none"
    if feed is None:
        if len(feeds) != 1:
            raise ControlError(f"which feed? Name one of: {names}")
        return feeds[0]
    if feed not in feeds:
        raise ControlError(f"no feed {feed!r} here; the feeds are: {names}")
    return feed


def lines_of(desk: Desk, feed: str) -> list[str]:
    """Names of a feed's lines, in the Desk's order."""
    return [line.line for line in desk.lines() if LineId.parse(line.line).feed == feed]


def require_line(desk: Desk, line: str) -> None:
    """Raises ControlError that lists the lines when there is no such one."""
    lines = [one.line for one in desk.lines()]
    if line not in lines:
        raise ControlError(f"no line {line!r} here; the lines are: {', '.join(lines) or 'none'}")


def _reason(text: str) -> str:
    reason = plain("reason", text)
    if not reason:
        raise ControlError("reason is blank; say in words why, it goes into the log, the events and the records")
    return reason


def _note(order: str, reason: str, operator: str = "") -> None:
    _log.warning("ordered%s: %s%s", f" by {operator}" if operator else "", order, f": {reason}" if reason else "")


def _resolve(
    request: SubscribeRequest, known: Mapping[str, Instrument], *, take_unlisted: bool
) -> tuple[dict[str, Instrument], list[str]]:
    """The instruments meant, by name, and the names and patterns that mean nothing."""
    if not (request.instruments or request.patterns):
        raise ControlError('nothing asked for; send instruments ["SHFE.rb2510"] or patterns ["SHFE.rb*"]')
    accepted: dict[str, Instrument] = {}
    unknown: dict[str, None] = {}
    for name in request.instruments:
        try:
            instrument = Instrument.parse(name)
        except ValueError as error:
            raise ControlError(str(error)) from None
        if name in known or take_unlisted:
            accepted[name] = instrument
        else:
            unknown[name] = None
    for pattern in request.patterns:
        test = any_of((pattern,))
        found = [name for name in known if test(name)]
        accepted.update((name, known[name]) for name in found)
        if not found:
            unknown[pattern] = None
    return accepted, list(unknown)


def _names_reply(accepted: list[str], unknown: list[str]) -> bytes:
    accepted_names, unknown_names = list(within(accepted, _NAMES_BYTES)), list(within(unknown, _NAMES_BYTES))
    return msgspec.json.encode(
        SubscribeReply(
            accepted=len(accepted),
            unknown=len(unknown),
            accepted_names=accepted_names,
            unknown_names=unknown_names,
            truncated=len(accepted_names) < len(accepted) or len(unknown_names) < len(unknown),
        )
    )
