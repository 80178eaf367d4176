"""A loopback front that speaks the wire protocol of openctp-tts, for tests only.

The protocol was observed from outside: frames of ``u32 length`` and TLV elements (``tag u16, 0 u16, length u32``),
big-endian. A message is a head (type, request id) and a body.

    async with TtsFront() as front:
        ...                                  # a client connects to front.address
        await front.logged_in.wait()
        front.send_depth("rb2510", last=3123.0)
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

_TLV = struct.Struct(">HHI")
_HEAD, _BODY, _TYPE, _REQUEST, _ZERO = 0x3F1, 0x3F2, 0x3F0, 0x3EB, 0x3EC
_INFO, _ERROR_ID, _ERROR_TEXT = 0x401, 0x402, 0x403
_USER, _PASSWORD, _INSTRUMENT, _TRADING_DAY = 0x40A, 0x40B, 0x416, 0x439

HEARTBEAT, DEPTH = 0, 0x7D
LOGIN, LOGIN_REPLY = 0x74, 0x75
SUBSCRIBE, SUBSCRIBE_REPLY = 7, 8
UNSUBSCRIBE, UNSUBSCRIBE_REPLY = 9, 10

_DEPTH_DOUBLES = {
    "last": 0x417, "pre_settlement": 0x43D, "turnover": 0x441, "settlement": 0x443, "pre_close": 0x444,
    "open": 0x445, "high": 0x446, "low": 0x447, "upper_limit": 0x4BE, "lower_limit": 0x4BF,
}  # fmt: skip
_DEPTH_LONGS = {"pre_open_interest": 0x43E, "volume": 0x43F, "open_interest": 0x440}


class Mode(enum.Enum):
    """What the front does with new connections and with what it reads."""

    SERVE = "serve"
    SILENT = "silent"
    """Accept, read, never answer."""
    CLOSE = "close"
    """Accept and close at once."""
    GARBAGE = "garbage"
    """Answer everything with bytes that are no message."""


def tlv(tag: int, value: bytes) -> bytes:
    """One element."""
    return _TLV.pack(tag, 0, len(value)) + value


def message(kind: int, request: int, body: bytes) -> bytes:
    """A whole frame."""
    head = tlv(_TYPE, struct.pack(">H", kind)) + tlv(_REQUEST, struct.pack(">I", request))
    rest = tlv(_HEAD, head + tlv(_ZERO, bytes(4))) + tlv(_BODY, body)
    return struct.pack(">I", len(rest)) + rest


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of a value, one level deep."""
    at = 0
    while at + _TLV.size <= len(data):
        tag, _, length = _TLV.unpack_from(data, at)
        at += _TLV.size
        yield tag, data[at : at + length]
        at += length


def response_info(error: tuple[int, str] | None) -> bytes:
    """RspInfo; the vendor's texts are GBK."""
    number, text = error or (0, "正确")
    return tlv(_INFO, tlv(_ERROR_ID, struct.pack(">h", number)) + tlv(_ERROR_TEXT, text.encode("gbk") + b"\0"))


def depth_frame(
    code: str,
    *,
    trading_day: str,
    action_day: str,
    update_time: str,
    exchange: str = "",
    bids: Iterable[tuple[float, int]] = (),
    asks: Iterable[tuple[float, int]] = (),
    **values: float,
) -> bytes:
    """A depth message. Days are ``YYYY-MM-DD``; ``bids`` and ``asks`` are (price, volume), best first, up to five.

    ``values`` are last, pre_settlement, turnover, settlement, pre_close, open, high, low, upper_limit, lower_limit,
    pre_open_interest, volume and open_interest.
    """
    parts = [
        tlv(_INSTRUMENT, code.encode() + b"\0"),
        tlv(_TRADING_DAY, trading_day.encode() + b"\0"),
        tlv(0x426, action_day.encode() + b"\0"),
        tlv(0x427, update_time.encode() + b"\0"),
    ]
    if exchange:
        parts.append(tlv(0x415, b"\x01" + exchange.encode() + b"\0"))
    for name, value in values.items():
        if name in _DEPTH_DOUBLES:
            parts.append(tlv(_DEPTH_DOUBLES[name], struct.pack(">d", value)))
        else:
            parts.append(tlv(_DEPTH_LONGS[name], struct.pack(">q", int(value))))
    for offset, side in ((0, bids), (1, asks)):
        for level, (price, volume) in enumerate(side):
            base = 0x656 + 4 * (level - 1)
            price_tag = (0x43B + offset) if level == 0 else base + offset
            volume_tag = (0x44B + offset) if level == 0 else base + 2 + offset
            parts.append(tlv(price_tag, struct.pack(">d", price)))
            parts.append(tlv(volume_tag, struct.pack(">i", volume)))
    return message(DEPTH, 0, tlv(0x475, b"".join(parts)))


@dataclass(eq=False)
class _Client:
    writer: asyncio.StreamWriter
    subscribed: set[str] = field(default_factory=set)
    logged_in: bool = False


class TtsFront:
    """The server. All methods are called on the loop that entered it."""

    def __init__(
        self,
        *,
        mode: Mode = Mode.SERVE,
        trading_day: str = "2025-11-21",
        refuse_login: tuple[int, str] | None = None,
        refuse_codes: Mapping[str, tuple[int, str]] | None = None,
    ) -> None:
        """``refuse_login`` and the values of ``refuse_codes`` are (ErrorID, text)."""
        self.mode = mode
        self.trading_day = trading_day
        self.refuse_login = refuse_login
        self.refuse_codes = dict(refuse_codes or {})
        self.logged_in = asyncio.Event()
        """Set while some client is logged in."""
        self.connections = 0
        self.logins: list[tuple[str, str]] = []
        """(user, password) as they came."""
        self.subscribed: list[str] = []
        """Codes in the order of their requests, over all connections."""
        self.unsubscribed: list[str] = []
        self.heartbeats = 0
        self._changed = asyncio.Condition()
        self._clients: set[_Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def address(self) -> str:
        """For the client's front address; stays the same over :meth:`refuse` and :meth:`listen`."""
        return f"tcp://127.0.0.1:{self._port}"

    async def listen(self) -> None:
        """Accept connections, after :meth:`refuse` at the same port again."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Close all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
        await self.drop_clients()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def drop_clients(self) -> None:
        """Close all connections; new ones are accepted."""
        for client in tuple(self._clients):
            client.writer.close()
        await self.until(lambda: not self._clients)

    async def until(self, condition: object, seconds: float = 20.0) -> None:
        """Wait until ``condition()`` holds; it is looked at after each message and connection."""
        assert callable(condition)
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    def send_depth(self, code: str, *, only_subscribed: bool = True, **fields: object) -> int:
        """Send a tick to each logged-in client that subscribed it; how many those were. See :func:`depth_frame`."""
        fields.setdefault("trading_day", self.trading_day)
        fields.setdefault("action_day", self.trading_day)
        fields.setdefault("update_time", "10:00:00")
        return self.send(
            depth_frame(code, **fields),  # type: ignore[arg-type]  # passed on as they came
            code=code if only_subscribed else None,
        )

    def send(self, frame: bytes, *, code: str | None = None) -> int:
        """Write prepared bytes to the logged-in clients (to those that subscribed ``code``)."""
        targets = [c for c in self._clients if c.logged_in and (code is None or code in c.subscribed)]
        for client in targets:
            client.writer.write(frame)
        return len(targets)

    async def drain(self) -> None:
        """Wait until the clients have taken most of what was sent."""
        for client in tuple(self._clients):
            with contextlib.suppress(ConnectionError):  # it went away, so there is nothing to wait for
                await client.writer.drain()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client = _Client(writer)
        self._clients.add(client)
        self.connections += 1
        await self._tell()
        try:
            if self.mode is not Mode.CLOSE:
                await self._serve(client, reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._clients.discard(client)
            if not any(other.logged_in for other in self._clients):
                self.logged_in.clear()
            writer.close()
            self._tasks.discard(task)
            await self._tell()

    async def _serve(self, client: _Client, reader: asyncio.StreamReader) -> None:
        while True:
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            frame = await reader.readexactly(length)
            if self.mode is Mode.SILENT:
                continue
            if self.mode is Mode.GARBAGE:
                client.writer.write(b"\xff" * 64)
                continue
            parts = dict(elements(frame))
            head = dict(elements(parts[_HEAD]))
            (kind,) = struct.unpack(">H", head[_TYPE])
            (request,) = struct.unpack(">I", head.get(_REQUEST, bytes(4)))
            self._answer(client, kind, request, parts.get(_BODY, b""))
            await self._tell()

    def _answer(self, client: _Client, kind: int, request: int, body: bytes) -> None:
        if kind == HEARTBEAT:
            self.heartbeats += 1
            client.writer.write(message(HEARTBEAT, request, b""))
        elif kind == LOGIN:
            self._login(client, request, body)
        elif kind == SUBSCRIBE:
            for code in self._codes(body):
                self.subscribed.append(code)
                refusal = self.refuse_codes.get(code)
                if refusal is None:
                    client.subscribed.add(code)
                self._reply_instrument(client, SUBSCRIBE_REPLY, request, code, refusal)
        elif kind == UNSUBSCRIBE:
            for code in self._codes(body):
                self.unsubscribed.append(code)
                client.subscribed.discard(code)
                self._reply_instrument(client, UNSUBSCRIBE_REPLY, request, code, None)

    def _login(self, client: _Client, request: int, body: bytes) -> None:
        fields = dict(elements(dict(elements(body)).get(0x408, b"")))
        user, password = (fields.get(tag, b"").rstrip(b"\0").decode("latin-1") for tag in (_USER, _PASSWORD))
        self.logins.append((user, password))
        answer = b""
        if self.refuse_login is None:
            answer = tlv(0x409, b"".join((
                tlv(_USER, user.encode() + b"\0"),
                tlv(_TRADING_DAY, self.trading_day.encode() + b"\0"),
                tlv(0x5EE, b"loopback\0"),
                tlv(0x666, struct.pack(">q", self.connections)),
            )))  # fmt: skip
            client.logged_in = True
            self.logged_in.set()
        client.writer.write(message(LOGIN_REPLY, request, answer + response_info(self.refuse_login)))

    @staticmethod
    def _codes(body: bytes) -> list[str]:
        return [
            value.rstrip(b"\0").decode()
            for _, request in elements(body)
            for tag, value in elements(request)
            if tag == _INSTRUMENT
        ]

    @staticmethod
    def _reply_instrument(client: _Client, kind: int, request: int, code: str, error: tuple[int, str] | None) -> None:
        answer = tlv(0x3FA if kind == SUBSCRIBE_REPLY else 0x3FC, tlv(_INSTRUMENT, code.encode() + b"\0"))
        client.writer.write(message(kind, request, answer + response_info(error)))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
