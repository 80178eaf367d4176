"""How a line's process talks to the core: length-prefixed frames over a stream socket.

Both ends are ours and of one version, so the format may change freely; it is still checked, because a dying
process writes torn frames. A frame is ``u32 length, u8 kind, body`` (little-endian; the length counts the kind).

``TICKS`` body: ``u32 size of the columns, u32 size of the ticks, columns, ticks``. The columns are a msgpack array of
lists: the ``(exchange, code)`` pairs that get the next free indexes of this line's table, then one entry per tick of
index, trading_day, exchange_ns, volume and recv_ns. The ticks are what ``codec.encode_markets`` makes. Columns rather
than a record per tick, since both ends then work in a few C calls per batch.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from gateway.codec import encode_markets, split_markets
from gateway.errors import WireError
from gateway.model import Tick

Slot = TypeVar("Slot")

TICKS: Final = 0
MESSAGE: Final = 1

PREFIX = struct.Struct("<IB")
_SIZES = struct.Struct("<II")
_MAX_FRAME: Final = 64 << 20

Arrival = tuple[Any, int, int, int, int, bytes]
"""``(slot, trading_day, exchange_ns, volume, recv_ns, market)``; the slot is the core's record of the instrument."""


class _Columns(msgspec.Struct, array_like=True, gc=False):
    new: list[tuple[str, str]]
    index: list[Annotated[int, msgspec.Meta(ge=0)]]
    trading_day: list[int]
    exchange_ns: list[int]
    volume: list[int]
    recv_ns: list[int]


_encode_columns = msgspec.msgpack.Encoder().encode
_decode_columns = msgspec.msgpack.Decoder(_Columns).decode


class TickPacker:
    """Writes TICKS bodies. One per line connection: it numbers the instruments."""

    def __init__(self) -> None:
        self._index: dict[tuple[str, str], int] = {}

    def pack(self, ticks: Sequence[Tick], recv_ns: Sequence[int]) -> bytes:
        """One body for a batch. ``recv_ns`` has one entry per tick."""
        new: list[tuple[str, str]] = []
        index = self._index
        try:
            numbers = [index[tick.exchange, tick.code] for tick in ticks]
        except KeyError:
            new = [key for key in dict.fromkeys((tick.exchange, tick.code) for tick in ticks) if key not in index]
            index.update(zip(new, range(len(index), len(index) + len(new)), strict=True))
            numbers = [index[tick.exchange, tick.code] for tick in ticks]
        columns = _encode_columns(
            (
                new,
                numbers,
                [tick.trading_day for tick in ticks],
                [tick.exchange_ns for tick in ticks],
                [tick.volume for tick in ticks],
                recv_ns,
            )
        )
        markets = encode_markets(ticks)
        return b"".join((_SIZES.pack(len(columns), len(markets)), columns, markets))


class TickUnpacker(Generic[Slot]):
    """Reads TICKS bodies. ``slot_of(exchange, code)`` is asked once per instrument.

    ``seen`` is kept up to date with the ``recv_ns`` of the last tick of each slot.
    """

    def __init__(self, slot_of: Callable[[str, str], Slot], seen: dict[Slot, int] | None = None) -> None:
        self._slot_of = slot_of
        self._slots: list[Slot] = []
        self._seen: dict[Slot, int] = {} if seen is None else seen

    def unpack(self, body: bytes) -> list[tuple[Slot, int, int, int, int, bytes]]:
        """``(slot, trading_day, exchange_ns, volume, recv_ns, market)`` in order. Raises WireError."""
        try:
            columns_size, markets_size = _SIZES.unpack_from(body)
            at = _SIZES.size + columns_size
            if len(body) != at + markets_size:
                raise WireError("torn tick frame from a line: sizes disagree", size=len(body))
            columns = _decode_columns(body[_SIZES.size : at])
            markets = split_markets(body[at:])
            slots = self._slots
            slots += [self._slot_of(exchange, code) for exchange, code in columns.new]
            carried = [slots[number] for number in columns.index]
            arrivals = list(
                zip(
                    carried,
                    columns.trading_day,
                    columns.exchange_ns,
                    columns.volume,
                    columns.recv_ns,
                    markets,
                    strict=True,
                )
            )
        except (struct.error, msgspec.DecodeError, UnicodeDecodeError, IndexError, ValueError) as error:
            raise WireError(f"torn tick frame from a line: {error}", size=len(body)) from None
        if b"" in markets:
            raise WireError("torn tick frame from a line: a tick without bytes", size=len(body))
        self._seen.update(zip(carried, columns.recv_ns, strict=True))
        return arrivals


def frame(kind: int, body: bytes) -> bytes:
    """A whole frame."""
    return PREFIX.pack(len(body) + 1, kind) + body


class FrameSplitter:
    """Cuts a byte stream into frames. Feed it what was read; it calls back once per whole frame."""

    def __init__(self, deliver: Callable[[int, bytes], None]) -> None:
        self._deliver = deliver
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Raises WireError when the stream cannot be ours."""
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= PREFIX.size:
            length, kind = PREFIX.unpack_from(data, at)
            if not 1 <= length <= _MAX_FRAME or kind not in (TICKS, MESSAGE):
                raise WireError(f"a line sent a frame of kind {kind} and {length} bytes")
            end = at + PREFIX.size - 1 + length
            if end > size:
                break
            body = data[at + PREFIX.size : end]
            at = end
            self._deliver(kind, body)
        self._rest = data[at:] if at else data
