"""Where ticks come from: a known market, the fronts of two lines, and the settings of a feed that connects to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from gateway.model import Tick
from gateway.settings import FeedSettings
from tests.faults.front import Front
from tests.faults.market import Key, Made


class Market(Protocol):
    """Knows every tick that it made."""

    feed: str
    """The feed's name."""

    @property
    def contracts(self) -> Sequence[str]: ...

    def made(self, from_ns: int, to_ns: int) -> dict[Key, Made]:
        """What was made in a span of real time."""

    def born(self, known: Key) -> Made | None:
        """When the market made it; None: it never did."""


class Source(Protocol):
    """One of two: ``sim`` and ``tts``."""

    name: str
    plugins: tuple[object, ...]

    @property
    def key(self) -> Callable[[Tick], Key]:
        """The content of a tick."""

    @property
    def fronts(self) -> Mapping[str, Front]: ...

    @property
    def market(self) -> Market: ...

    def feed(self, **extra: Any) -> FeedSettings:
        """Settings of the feed; only inside of :meth:`running`, because the fronts have ports then."""

    def left_out(self) -> int:
        """Ticks that no line made although the market has them, because the machine was too busy."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Fronts listen, the market trades."""
