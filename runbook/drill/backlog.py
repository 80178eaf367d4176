"""How many messages wait for consumers: the values, and who can measure them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from gateway.errors import FeedgateError


class UnmeasuredError(FeedgateError):
    """A figure could not be measured. The message says which, why, and what to do; nothing may be assumed for it."""

    code = "unmeasured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One consumer."""

    consumer: str
    """Its connection's or its own name; ``-`` when it has none."""
    messages: int
    """At most so many wait for it; exact where the source counts messages."""
    pending_bytes: int | None = None
    """Of core NATS, which counts bytes; None where messages are counted."""
    kernel_bytes: int | None = None
    """Sent by the server and not read by the consumer; None: neither end is on this machine, so nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """All consumers that a source sees."""

    source: str
    """Where the figures are from, in words."""
    consumers: tuple[Waiting, ...]
    """Never empty: a source without consumers cannot be measured."""
    cut_off: int | None = None
    """How many consumers the server has ever cut off for not reading; None: the source does not tell."""

    @property
    def messages(self) -> int:
        """Of the consumer that most wait for. ``consumer_backlog_messages`` of the operators' contract, §4."""
        return max(one.messages for one in self.consumers)

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"messages": self.messages}


class BacklogSource(Protocol):
    """Measures."""

    async def measure(self, feed: str, accounts: tuple[str, ...], since_ns: int) -> Backlog:
        """``accounts`` are the names that the account in use goes by (its name in the settings, its masked id).

        Figures taken before ``since_ns`` do not count. Raises UnmeasuredError.
        """
        ...
