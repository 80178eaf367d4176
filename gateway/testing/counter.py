"""The other side of a feed: what a plugin's author writes once, for his tests and for ``gateway check``."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from gateway.hookspecs import FeedKind
from gateway.model import Account, Instrument, LineId
from gateway.ports import FeedSource

PASSWORD: Final = "correct-horse-battery-staple"  # noqa: S105 - the made-up secret that cards look for
AUTH_CODE: Final = "tr0ub4dor-and-3"

_ENOUGH: Final = 2
_METHODS: Final = ("send", "drop", "refuse", "send_bad", "late")


class Counter:
    """A fake counter (or a real one) that the cards steer. Overriding a method or filling an attribute declares it.

    Made without arguments, a new one for each card; two may exist at once and share nothing. All methods are called on
    the card's event loop.
    """

    kind: FeedKind
    """The feed kind under test. Required."""
    instruments: tuple[Instrument, ...] = ()
    """Capability ``login``: at least two contracts that it knows. Filled by the class, or in ``__init__``."""
    streams: bool = False
    """Ticks come by themselves after a subscription, so that nobody needs to :meth:`send`."""
    unknown: Instrument | None = None
    """Capability ``unknown``: a contract that it refuses."""
    reconnects: bool = True
    """Whether a source connects again by itself after a loss. False: the line builds a new one."""
    remote: bool = False
    """Capability ``remote``: another process can reach it, so a line may run in a child process."""
    patience_s: float = 20.0
    """How long a card waits for what must come."""
    quiet_s: float = 0.2
    """How long a card listens where nothing may come."""

    async def start(self) -> None:
        """Open it. A server binds port 0 of 127.0.0.1."""

    async def stop(self) -> None:
        """Close it and cut its connections. Idempotent."""

    def account(self, name: str = "primary") -> Account:
        """The login. Its secrets are looked for in logs, texts and processes afterwards."""
        return Account(
            name=name, user_id="16021988", broker_id="9999", secrets={"password": PASSWORD, "auth_code": AUTH_CODE}
        )

    def options(self) -> dict[str, Any]:
        """The options of the feed. Asked for after :meth:`start`, so they may hold its address."""
        return {}

    def build(self, account: Account, line: LineId, options: Mapping[str, Any]) -> FeedSource:
        """A source, not started. The default calls the kind's factory."""
        return self.kind.factory(account, line, options)

    # -- capabilities: override what it can do -----------------------------------------------------------

    async def send(self, instrument: Instrument) -> None:
        """One new tick of it (later, and with no less volume than the last) to each connection that subscribed it."""
        raise NotImplementedError

    async def drop(self) -> None:
        """Cut all connections. It takes new ones at once."""
        raise NotImplementedError

    async def refuse(self, words: str) -> None:
        """From now on refuse logins, in these words. Called before a source is built."""
        raise NotImplementedError

    async def send_bad(self) -> None:
        """One record that cannot be a tick, to all connections."""
        raise NotImplementedError

    async def late(self) -> None:
        """Call the callbacks of the sources that were closed, as a vendor's thread that comes too late does."""
        raise NotImplementedError

    # -- for the cards -----------------------------------------------------------------------------------

    def capabilities(self) -> frozenset[str]:
        """What is overridden or filled."""
        mine = type(self)
        found = {name for name in _METHODS if getattr(mine, name) is not getattr(Counter, name)}
        if len(self.instruments) >= _ENOUGH:
            found.add("login")
        if self.unknown is not None:
            found.add("unknown")
        if self.remote:
            found.add("remote")
        if self.streams or "send" in found:
            found.add("ticks")
        return frozenset(found)

    @property
    def line(self) -> LineId:
        """The line's name for the first account."""
        return LineId(self.kind.name, "primary")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
