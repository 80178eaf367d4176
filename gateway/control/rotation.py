"""New credentials for one line of a running gateway: by reference, one line at a time, undone when they are refused.

The request carries references to a secret store, never a secret: the gateway looks them up itself, off the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.assembly import Feed
from gateway.clock import Clock
from gateway.control.messages.orders import Rotated
from gateway.control.oversight import FeedWatch
from gateway.errors import ControlError, FeedgateError
from gateway.lines.line import Line
from gateway.loader import Plugins
from gateway.model import Account, LineState
from gateway.secrets.references import look_up

_log = logging.getLogger(__name__)

ALONE: Final = "alone"
"""``reply_code`` of a refusal because no other line delivers the same."""
_LOOK_S: Final = 0.02
_SETTLE_S: Final = 10.0
"""Subscriptions of the new login that are still open after so long are reported, not waited for."""


class AloneError(ControlError):
    """Nobody stands in for the line while it logs in."""

    code = ALONE


class Rotation:
    """Of one gateway. All methods on the loop."""

    def __init__(
        self, feeds: Sequence[Feed], watches: Mapping[str, FeedWatch], plugins: Plugins, clock: Clock, *, up_s: float
    ) -> None:
        """``up_s``: how long a login with new credentials may take."""
        self._feeds, self._watches, self._plugins, self._clock, self._up_s = feeds, watches, plugins, clock, up_s
        self._running = ""

    async def rotate(self, line: str, references: Mapping[str, str], reason: str) -> Rotated:
        """Log in anew with what the references say; returns when that is over.

        ``ok`` is False, and the line has its old credentials again, when the counter refuses the new ones or the login
        takes too long. A parked line takes them without a login: ``verified`` is False then. Raises ControlError when
        nothing was tried: an unknown line or reference, another rotation or switch, a line that nobody stands in for.
        """
        feed, one = self._find(line)
        if self._running:
            raise ControlError(f"{self._running} is being rotated; try again when that is over", line=self._running)
        self._running = line
        try:
            self._check(feed, one)
            account = await self._renewed(one.account, references)
            self._check(feed, one)  # the look-up may have taken its time
            return await self._try(feed, one, account, reason)
        finally:
            self._running = ""

    def _find(self, line: str) -> tuple[Feed, Line]:
        for feed in self._feeds:
            for one in feed.lines:
                if str(one.id) == line:
                    return feed, one
        raise ControlError(f"no line {line!r} here", line=line)

    def _check(self, feed: Feed, line: Line) -> None:
        """Without a lost tick: while it logs in, another line that carries the same must be up."""
        watch = self._watches[feed.name]
        if watch.failover.running:
            raise ControlError(f"feed {feed.name} is switching; try again when that is over", feed=feed.name)
        if line.parked or not line.state.is_up:
            return
        peers = watch.steering.peers(line.id)
        if not any(str(other.id) in peers and other.state.is_up for other in feed.lines):
            raise AloneError(
                f"no other line of feed {feed.name} delivers what {line.id} does, so ticks would be lost; "
                "fail over first, then rotate it",
                line=str(line.id),
            )

    async def _renewed(self, account: Account, references: Mapping[str, str]) -> Account:
        found: dict[str, str] = {}
        problem = ""
        try:
            for field, reference in references.items():
                found[field] = await asyncio.to_thread(look_up, reference, self._plugins)
        except FeedgateError as error:  # its text holds no secret; stores promise it
            problem = str(error)
        if problem:
            raise ControlError(f"{account.name}: {problem}")
        return msgspec.structs.replace(account, secrets={**account.secrets, **found})

    async def _try(self, feed: Feed, line: Line, account: Account, reason: str) -> Rotated:
        old, began = line.account, self._clock.monotonic()
        line.take(account, feed.hosts[line.id](account), reason)
        verified = False
        if not line.parked:
            error = await self._up(line)
            if error:
                line.take(old, feed.hosts[line.id](old), "back to the old credentials")
                back = await self._up(line)
                _log.warning("line %s: new credentials refused: %s", line.id, error)
                return Rotated(line=str(line.id), ok=False, error=error, back=not back)
            verified = True
            await self._settled(feed, line)
        self._catalogue_too(feed, line)
        subscriptions = feed.subscriptions[line.id]
        return Rotated(
            line=str(line.id),
            ok=True,
            verified=verified,
            took_ms=(self._clock.monotonic() - began) * 1000,
            wanted=len(subscriptions.wanted),
            confirmed=len(subscriptions.confirmed),
        )

    @staticmethod
    def _catalogue_too(feed: Feed, line: Line) -> None:
        """The list of contracts is asked for with the first line's login."""
        if line is not feed.lines[0] or feed.catalogue is None:
            return
        try:
            feed.catalogue = feed.catalogue_of(line.account)
        except FeedgateError as error:
            _log.warning("feed %s: the catalogue keeps the old login: %s", feed.name, error)

    async def _up(self, line: Line) -> str:
        """Nothing when the incarnation of the credentials taken last is logged in, else why not."""
        incarnation = line.taken
        try:
            async with asyncio.timeout(self._up_s):
                while True:
                    if line.parked:
                        return "the line was parked meanwhile"
                    if line.incarnation > incarnation:
                        if line.state.is_up:
                            return ""
                        if line.state is LineState.REFUSED:  # a lost connection says nothing about credentials
                            return line.reason or line.state.value
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return f"not logged in within {self._up_s:g} s ({line.state.value} {line.reason})"

    async def _settled(self, feed: Feed, line: Line) -> None:
        try:
            async with asyncio.timeout(_SETTLE_S):
                await feed.subscriptions[line.id].settled()
        except TimeoutError:
            _log.warning("line %s: not all subscriptions are answered after the rotation", line.id)
