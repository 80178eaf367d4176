"""What a line's process and the core say to each other beside ticks. Tagged structs, msgpack, one per MESSAGE frame."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.model import Account, Instrument, LineId, LineState


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """How a line hands its ticks over."""

    linger_s: float = 0.001
    """How long the first tick of a batch waits for company. 0 hands over at once."""
    batch: int = 256
    """Ticks per frame, at most."""
    queue: int = 65_536
    """Records held between the vendor's thread and the loop; then the oldest drop and are counted."""
    heartbeat_s: float = 0.2


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """First message to a line's process. Travels over the socket, so that no secret is in argv or environment."""

    line: LineId
    account: Account
    factory: str
    """``module:name`` of the FeedFactory."""
    options: dict[str, Any]
    tuning: Tuning
    path: list[str]
    """The core's ``sys.path``: what the core can import, the line can."""


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    instruments: list[Instrument]


class Unsubscribe(msgspec.Struct, frozen=True, tag="unsubscribe"):
    instruments: list[Instrument]


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    pass


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The source is built and started."""


class StateChanged(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    state: LineState
    reason: str = ""
    calls: int = 1
    """How many callbacks this one stands for; a storm is told as a number."""


class Confirmed(msgspec.Struct, frozen=True, tag="confirmed"):
    instruments: list[Instrument]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    instrument: Instrument
    reason: str


class Unsubscribed(msgspec.Struct, frozen=True, tag="unsubscribed"):
    instruments: list[Instrument]


class Called(msgspec.Struct, frozen=True, tag="called"):
    """Answer to every Subscribe and Unsubscribe, in their order: the source's call returned, or raised ``reason``."""

    reason: str = ""


class References(msgspec.Struct, frozen=True, tag="references"):
    """Reference prices that changed."""

    prices: list[tuple[Instrument, float]]


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """Rejected records by reason since the last such message."""

    counts: dict[str, int]


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """The line's loop is alive."""

    queued: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The source could not be built or started; the process ends."""

    reason: str


ToLine = Start | Subscribe | Unsubscribe | Stop
FromLine = Ready | StateChanged | Confirmed | Refused | Unsubscribed | Called | References | Rejected | Beat | Failed

encode = msgspec.msgpack.Encoder().encode
decode_to_line = msgspec.msgpack.Decoder(ToLine).decode
decode_from_line = msgspec.msgpack.Decoder(FromLine).decode
