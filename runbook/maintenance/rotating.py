"""The course of a rotation in one feed: the lines that stand by first, the active one last, each verified before that.

Nothing is undone in silence: a step that fails ends the course, and the ledger of lines says which one has which login.
The gateway itself puts the old login back where the counter refused the new one, and that is told too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.client import Client
from gateway.control import Rotated, StatusReply
from gateway.control.rotation import ALONE
from gateway.errors import ControlError, FeedgateError
from gateway.model import LineStatus
from runbook.model import Exit
from runbook.secrets import NewCredentials

Tell = Callable[[str, str, Mapping[str, Any]], None]

_LOOK_S: Final = 0.2
_SURE: Final = 5
"""Ticks of other lines before the silence of this one means something."""


class RotationStoppedError(FeedgateError):
    """The course ended early. The message says at which line, why, and what to do; it changed no other line."""

    code = "rotation"
    exit_code = Exit.ERROR


@dataclass(slots=True, kw_only=True)
class Held:
    """Which login a line has, as far as this course knows."""

    line: str
    version: int
    """Of the secret in Vault."""
    which: Literal["old", "new", "unknown"] = "old"
    verified: bool = True
    """Whether it was seen to work since it was taken."""
    changes: bool = False
    """Whether there is a new one for it at all."""

    def as_json(self) -> dict[str, Any]:
        """JSON values; no name that a masker takes for a secret's."""
        return {"line": self.line, "holds": self.which, "version": self.version, "verified": self.verified}

    def text(self) -> str:
        """``ctp:backup has the new login (version 4, verified)``."""
        if self.which == "unknown":
            return f"{self.line}: which login it has is unknown, see the gateway's log"
        proof = "" if self.which == "old" else ", verified" if self.verified else ", not verified"
        return f"{self.line} has the {self.which} login (version {self.version}{proof})"


class FeedRotation:
    """Of one feed of a running gateway. :meth:`run` once; ``held`` is right at every moment of it."""

    def __init__(
        self,
        client: Client,
        status: StatusReply,
        feed: str,
        fresh: Sequence[NewCredentials],
        *,
        reason: str,
        operator: str,
        patience_s: float,
        tell: Tell,
    ) -> None:
        """``fresh``: what is new, for lines of this feed. ``patience_s``: ticks and confirmations must come within."""
        self._client, self._feed, self._patience_s, self._tell = client, feed, patience_s, tell
        self._reason, self._operator = reason, operator
        self._fresh = {one.line: one for one in fresh if one}
        self._before = {line.line: line for line in status.lines if line.line.partition(":")[0] == feed}
        self.active = next((one.active for one in status.feeds if one.feed == feed), None) or ""
        """The line that the router prefers now; the course ends on it."""
        since = next(iter(fresh)).since if fresh else 0
        self.held = {
            name: Held(line=name, version=since, changes=name in self._fresh)
            for name in sorted(self._before, key=lambda name: name == self.active)
        }
        """By line, in the order of the course."""

    @property
    def order(self) -> list[str]:
        """The lines that get a new login, in order."""
        return [name for name, held in self.held.items() if held.changes]

    def check(self) -> None:
        """Raises RotationStoppedError for what cannot go well, before anything is touched."""
        if len(self._before) < 2:  # noqa: PLR2004 - to stand in takes two
            names = ", ".join(self._before) or "none"
            raise RotationStoppedError(
                f"feed {self._feed} has no second line (it has: {names}), so a rotation would lose ticks; when the "
                "market is closed: runbook secrets pull, then runbook restart"
            )
        standby = [line for name, line in self._before.items() if name != self.active]
        if self.active in self._fresh and all(line.role == "hot" and not line.state.is_up for line in standby):
            said = ", ".join(f"{line.line} is {line.state.value} {line.reason}".rstrip() for line in standby)
            raise RotationStoppedError(f"no line of feed {self._feed} can stand in: {said}; bring it up first")

    async def run(self) -> None:
        """Raises RotationStoppedError, ControlError and BusError; ``held`` then says how far it came."""
        self.check()
        unproven = []
        for name in self.order:
            if name == self.active:
                continue
            if (await self._standby(name)).verified:
                await self._verify(name)
            else:
                self._tell("rotate", f"{name} is parked and took the new login; a failover to it will prove it", {})
                unproven.append(name)
        for name in unproven:
            await self._switch("failover", name)
            await self._verify(name)
        if self.active in self._fresh:
            await self._last()
        if await self._now_active() != self.active:
            await self._return()
        if self.active in self._fresh and not self.held[self.active].verified:
            await self._verify(self.active)

    async def _standby(self, name: str) -> Rotated:
        try:
            return await self._rotate(name)
        except ControlError as refused:
            if refused.fields.get("reply_code") != ALONE:
                raise
            raise RotationStoppedError(
                f"{refused}; the lines of feed {self._feed} share the contracts, so nobody stands in for any of them: "
                "when the market is closed, runbook secrets pull, then runbook restart"
            ) from refused

    async def _last(self) -> None:
        """The line that everything goes through, unless a failover has relieved it by now."""
        name = self.active
        try:
            rotated = await self._rotate(name)
        except ControlError as refused:
            if refused.fields.get("reply_code") != ALONE or await self._now_active() != name:
                raise
            deputy = next(one for one in reversed(self.held) if one != name)
            self._tell("rotate", f"nobody delivers what {name} does, so {deputy} takes over meanwhile", {})
            await self._switch("failover", deputy)
            rotated = await self._rotate(name)
        if rotated.verified:
            await self._verify(name)

    async def _return(self) -> None:
        first = next(iter(self._before)) == self.active
        await self._switch("failback" if first else "failover", self.active)

    # -- steps -------------------------------------------------------------------------------------------------

    async def _rotate(self, name: str) -> Rotated:
        fresh, held = self._fresh[name], self.held[name]
        self._tell("rotate", f"{name}: the new login of version {fresh.version} is tried", {"line": name})
        try:
            rotated = await self._client.rotate(name, fresh.references, self._reason, operator=self._operator)
        except ControlError as error:
            if error.fields.get("reply_code") in ("timeout", "disconnected", "stopped"):
                held.which, held.verified = "unknown", False
            raise
        if not rotated.ok:
            back = "is logged in again with the old one" if rotated.back else "is NOT yet logged in with the old one"
            held.verified = rotated.back
            raise RotationStoppedError(
                f"{name} refused the new login: {rotated.error}; it {back}; correct it in Vault (vault kv put), then "
                "rotate again"
            )
        held.which, held.version, held.verified = "new", fresh.version, False
        return rotated

    async def _switch(self, kind: Literal["failover", "failback"], to: str) -> None:
        reason = f"rotation: {self._reason}"
        if kind == "failback":
            switch = await self._client.failback(reason, feed=self._feed, operator=self._operator)
        else:
            switch = await self._client.failover(reason, feed=self._feed, to=to, operator=self._operator)
        if not switch.ok:
            raise RotationStoppedError(
                f"the {kind} to {to} failed: {switch.error}; {switch.source} goes on; look at {to}, correct what is "
                "in Vault if its login was refused, then rotate again"
            )
        took = "" if switch.latency_ms is None else f", latency {switch.latency_ms:.1f} ms"
        self._tell("rotate", f"{kind} to {to} done{took}", {"line": to, "kind": kind})

    async def _verify(self, name: str) -> None:
        """Up with the new login, everything confirmed that was, and ticks if anybody has some."""
        before = self._before[name]
        least = before.confirmed if before.state.is_up else 0
        why, first = "it was not looked at", await self._lines()
        try:
            async with asyncio.timeout(self._patience_s):
                while why := self._lacking(name, first, await self._lines(), least):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            now = await self._lines()
            why = self._lacking(name, first, now, least)
            others = sum(line.ticks - first[other].ticks for other, line in now.items() if other != name)
            if why == _NO_TICK and others < _SURE:
                why = ""  # nobody ticks: a closed market, a break
        if why:
            raise RotationStoppedError(
                f"{name} has logged in with the new login, and {why} within {self._patience_s:g} s; no other line was "
                f"changed after it; look at {name}, then rotate again"
            )
        self.held[name].verified = True
        self._tell("rotate", f"{self.held[name].text()}", {"line": name, "verified": True})

    def _lacking(self, name: str, first: Mapping[str, LineStatus], now: Mapping[str, LineStatus], least: int) -> str:
        line = now[name]
        if not line.state.is_up:
            return f"is {line.state.value} {line.reason}".rstrip()
        if line.pending or line.confirmed < least:
            return f"has {line.confirmed} of {max(least, line.wanted)} contracts confirmed"
        return "" if line.ticks > first[name].ticks or self._closed else _NO_TICK

    async def _lines(self) -> dict[str, LineStatus]:
        status = await self._client.status()
        self._closed = any(one.feed == self._feed and one.session == "closed" for one in status.feeds)
        return {line.line: line for line in status.lines if line.line in self._before}

    async def _now_active(self) -> str | None:
        return next((one.active for one in (await self._client.status()).feeds if one.feed == self._feed), None)


_NO_TICK: Final = "delivers no tick while others do"
