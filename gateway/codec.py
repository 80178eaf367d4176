"""Ticks as bytes. Wire format 1.

A line encodes the *market* part of a tick once, in its own process. The core never decodes it to publish: it puts
the provenance in front and is done (msgpack arrays are the concatenation of their elements). The same bytes are
what the arbiter compares.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from gateway.errors import WireError
from gateway.model import UNPUBLISHED, Tick

__all__ = [
    "CODECS",
    "VERSION",
    "Codec",
    "JsonCodec",
    "MsgpackCodec",
    "Origin",
    "decode_any",
    "decode_any_batch",
]

VERSION = 1
"""Of the wire format, the first element of every payload."""

_encoder = msgspec.msgpack.Encoder()
_decode_tick = msgspec.msgpack.Decoder(Tick).decode
_decode_ticks = msgspec.msgpack.Decoder(list[Tick]).decode

_FIELDS = len(Tick.__struct_fields__) + 1
_ARRAY = b"\xdc" + struct.pack(">H", _FIELDS) + bytes([VERSION])
_BLANK = _ARRAY + b"\x00\x00\x00\xa0\xa0"
_MARKET_AT = len(_BLANK)
_PROVENANCE = struct.Struct(">BIBQ")
_U32, _U64, _ARRAY32 = 0xCE, 0xCF, 0xDD
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes that are not ours; the last one when they nest thousands deep."""


def encode_market(tick: Tick) -> bytes:
    """The market part of a tick: everything after the provenance, as msgpack elements."""
    data = _encoder.encode(tick)
    if not data.startswith(_BLANK):
        blank = dict(zip(Tick.__struct_fields__, UNPUBLISHED, strict=False))
        data = _encoder.encode(msgspec.structs.replace(tick, **blank))
    return data[_MARKET_AT:]


def encode_markets(ticks: Sequence[Tick]) -> bytes:
    """The market parts of many ticks, for :func:`split_markets`: a third of what single ones cost."""
    data = _encoder.encode(ticks)
    if data.count(_BLANK) != len(ticks):
        data = b"".join([_BLANK + encode_market(tick) for tick in ticks])
    return data


def split_markets(data: bytes) -> list[bytes]:
    """Undo :func:`encode_markets`; of other bytes it makes some other list.

    Exact, because no tick has the separator inside its market part: the separator ends in two empty strings, and
    there only a string follows a string; it does not fit into one number, and it is not UTF-8.
    """
    return data.split(_BLANK)[1:]


class Codec(Protocol):
    """How published ticks are written. One instance per gateway; methods are pure."""

    name: str

    def origin(self, epoch: int, line: str, account: str) -> Origin:
        """What is constant for one line, prepared once."""

    def batch(self, payloads: Sequence[bytes]) -> bytes:
        """Many payloads as one message."""

    def decode(self, payload: bytes) -> Tick:
        """Raises WireError."""

    def decode_batch(self, payload: bytes) -> list[Tick]:
        """Raises WireError."""


class Origin(Protocol):
    """Turns market bytes of one line into payloads."""

    def payload(self, seq: int, recv_ns: int, market: bytes) -> bytes: ...


class MsgpackOrigin:
    """Splices the provenance in front: about 0.3 µs a tick."""

    __slots__ = ("_head", "_line")

    def __init__(self, epoch: int, line: str, account: str) -> None:
        self._head = _ARRAY + struct.pack(">BQ", _U64, epoch)
        self._line = _encoder.encode(line) + _encoder.encode(account)

    def payload(self, seq: int, recv_ns: int, market: bytes, _pack: Any = _PROVENANCE.pack) -> bytes:
        return self._head + _pack(_U32, seq, _U64, recv_ns) + self._line + market  # type: ignore[no-any-return]  # struct's pack


class MsgpackCodec:
    """The default: msgpack arrays."""

    name = "msgpack"

    def origin(self, epoch: int, line: str, account: str) -> MsgpackOrigin:
        return MsgpackOrigin(epoch, line, account)

    def batch(self, payloads: Sequence[bytes]) -> bytes:
        return struct.pack(">BI", _ARRAY32, len(payloads)) + b"".join(payloads)

    def decode(self, payload: bytes) -> Tick:
        try:
            return _decode_tick(payload)
        except _MALFORMED as error:
            raise WireError(f"not a tick of wire format {VERSION}: {error}", size=len(payload)) from None

    def decode_batch(self, payload: bytes) -> list[Tick]:
        try:
            return _decode_ticks(payload)
        except _MALFORMED as error:
            raise WireError(f"not a batch of wire format {VERSION}: {error}", size=len(payload)) from None


class JsonOrigin:
    """Decodes the market bytes and writes an object: for people and for other languages, not for speed."""

    __slots__ = ("_msgpack",)

    def __init__(self, epoch: int, line: str, account: str) -> None:
        self._msgpack = MsgpackOrigin(epoch, line, account)

    def payload(self, seq: int, recv_ns: int, market: bytes) -> bytes:
        tick = _decode_tick(self._msgpack.payload(seq, recv_ns, market))
        return msgspec.json.encode({"v": VERSION} | msgspec.structs.asdict(tick))


class JsonCodec:
    """JSON objects with the field names of :class:`Tick` and ``v``."""

    name = "json"

    def origin(self, epoch: int, line: str, account: str) -> JsonOrigin:
        return JsonOrigin(epoch, line, account)

    def batch(self, payloads: Sequence[bytes]) -> bytes:
        return b"[" + b",".join(payloads) + b"]"

    def decode(self, payload: bytes) -> Tick:
        return self._tick(self._load(payload))

    def decode_batch(self, payload: bytes) -> list[Tick]:
        rows = self._load(payload)
        if not isinstance(rows, list):
            raise WireError("a JSON batch is an array of ticks", size=len(payload))
        return [self._tick(row) for row in rows]

    @staticmethod
    def _load(payload: bytes) -> Any:
        try:
            return msgspec.json.decode(payload)
        except _MALFORMED as error:
            raise WireError(f"not JSON: {error}", size=len(payload)) from None

    @staticmethod
    def _tick(row: Any) -> Tick:
        if not isinstance(row, dict) or row.get("v") != VERSION:
            raise WireError(f"not a JSON tick of wire format {VERSION}")
        try:
            return msgspec.convert([row["v"], *(row[name] for name in Tick.__struct_fields__)], Tick)
        except (KeyError, msgspec.ValidationError) as error:
            raise WireError(f"not a JSON tick of wire format {VERSION}: {error}") from None


CODECS: dict[str, Codec] = {codec.name: codec for codec in (MsgpackCodec(), JsonCodec())}
"""By the name that settings use."""


def decode_any(payload: bytes) -> Tick:
    """Decode a tick of either codec: JSON objects begin with a brace, which no msgpack array does."""
    return CODECS["json" if payload[:1] == b"{" else "msgpack"].decode(payload)


def decode_any_batch(payload: bytes) -> list[Tick]:
    """Decode a batch of either codec."""
    return CODECS["json" if payload[:1] == b"[" else "msgpack"].decode_batch(payload)
