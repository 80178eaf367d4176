"""The backlog from NATS itself, asked over NATS: no monitoring port and no system account needed.

nats-server (2.11 and later) answers every user about the connections of the user's own account on
``$SYS.REQ.ACCOUNT.PING.CONNZ`` and ``….STATZ``. JetStream answers on ``$JS.API``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from gateway.client import Client
from gateway.errors import FeedgateError
from gateway.ports import Bus
from runbook.drill.backlog import Backlog, UnmeasuredError, Waiting
from runbook.drill.connz import Connection, Connections, Pending, carries_ticks, consumers, pending, waiting
from runbook.drill.sockets import queued

Ask = Callable[[str, bytes], Awaitable[bytes]]
"""A NATS request: subject, payload → reply. Raises FeedgateError."""

_CONNECTIONS: Final = "$SYS.REQ.ACCOUNT.PING.CONNZ"
_STATISTICS: Final = "$SYS.REQ.ACCOUNT.PING.STATZ"
_STREAMS: Final = "$JS.API.STREAM.LIST"
_CONSUMERS: Final = "$JS.API.CONSUMER.LIST."
_PAGE: Final = 256
_PAGES: Final = 64
_TIMEOUT_S: Final = 3.0

Value = TypeVar("Value")


class _Server(msgspec.Struct, frozen=True):
    jetstream: bool = False
    cluster: str = ""


class _Failure(msgspec.Struct, frozen=True):
    code: int = 0
    description: str = ""


class _Reply(msgspec.Struct, frozen=True):
    server: _Server = _Server()
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: _Failure | None = None


class _Account(msgspec.Struct, frozen=True):
    slow_consumers: int


class _Statistics(msgspec.Struct, frozen=True):
    account_statz: list[_Account]


class _StreamConfig(msgspec.Struct, frozen=True):
    name: str
    subjects: list[str] = []


class _Stream(msgspec.Struct, frozen=True):
    config: _StreamConfig


class _Streams(msgspec.Struct, frozen=True):
    total: int = 0
    streams: list[_Stream] | None = None
    error: _Failure | None = None


class _Consumers(msgspec.Struct, frozen=True):
    total: int = 0
    consumers: list[Pending] | None = None
    error: _Failure | None = None


def asking(client: Client) -> Ask:
    """Requests over the client's own connection."""
    bus: Bus = client._bus  # noqa: SLF001 - the client has no public way to ask others than the gateway

    async def ask(subject: str, payload: bytes) -> bytes:
        return await bus.request(subject, payload, timeout=_TIMEOUT_S)

    return ask


class NatsBacklog:
    """Of all consumers in the account of the connection; they are not told apart by feed."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def measure(self, _feed: str, _accounts: tuple[str, ...], _since_ns: int) -> Backlog:
        """As of now, so after any moment that the caller names."""
        server, connections = await self._connections()
        ends = [(one.ip, one.port) for one in connections]
        found = waiting(connections, await asyncio.to_thread(queued, ends))
        if server.cluster:
            raise UnmeasuredError(
                f"this NATS server belongs to the cluster {server.cluster!r} and knows only its own connections; "
                "set DRILL_METRICS_SOURCE to the consumers' metrics"
            )
        if server.jetstream:
            found += await self._jetstream()
        if not found:
            raise UnmeasuredError("NATS has no consumer of ticks, so no backlog; connect one, then try again")
        statistics = await self._told(_STATISTICS, b"", _Statistics)
        return Backlog(
            source="NATS, asked over NATS",
            consumers=tuple(found),
            cut_off=sum(account.slow_consumers for account in statistics.account_statz),
        )

    async def _connections(self) -> tuple[_Server, list[Connection]]:
        found: list[Connection] = []
        offset = 0
        for _ in range(_PAGES):
            query = {"subscriptions": True, "limit": _PAGE, "offset": offset}
            reply = await self._reply(_CONNECTIONS, msgspec.json.encode(query))
            page = _decoded(_CONNECTIONS, reply.data, Connections)
            found += consumers(page.connections)
            offset += page.num_connections
            if offset >= page.total or not page.num_connections:
                return reply.server, found
        raise UnmeasuredError(f"NATS has more than {_PAGE * _PAGES} connections; set DRILL_METRICS_SOURCE instead")

    async def _jetstream(self) -> list[Waiting]:
        streams = await self._page(_STREAMS, _Streams)
        if streams.error is not None:
            if streams.error.code == 503:  # noqa: PLR2004 - JetStream's "not enabled for this account": nobody uses it
                return []
            raise UnmeasuredError(f"JetStream does not list its streams: {streams.error.description}; look at its log")
        found: list[Waiting] = []
        for stream in streams.streams or []:
            if any(map(carries_ticks, stream.config.subjects)):
                listed = await self._page(_CONSUMERS + stream.config.name, _Consumers)
                rows = listed.consumers or []
                if listed.error is not None or len(rows) < listed.total:
                    raise UnmeasuredError(
                        f"JetStream does not list all consumers of the stream {stream.config.name}; "
                        "set DRILL_METRICS_SOURCE instead"
                    )
                found += pending(stream.config.name, rows)
        return found

    async def _page(self, subject: str, kind: type[Value]) -> Value:
        return _decoded(subject, await self._raw(subject, b"{}"), kind)

    async def _told(self, subject: str, payload: bytes, kind: type[Value]) -> Value:
        return _decoded(subject, (await self._reply(subject, payload)).data, kind)

    async def _reply(self, subject: str, payload: bytes) -> _Reply:
        reply = _decoded(subject, await self._raw(subject, payload), _Reply)
        if reply.error is not None:
            raise UnmeasuredError(f"NATS refuses {subject}: {reply.error.description}; allow it, or set {_OTHERWISE}")
        return reply

    async def _raw(self, subject: str, payload: bytes) -> bytes:
        try:
            return await self._ask(subject, payload)
        except FeedgateError as error:
            raise UnmeasuredError(
                f"NATS does not tell about its connections ({subject}: {_why(error)}); "
                f"allow this user to ask, or set {_OTHERWISE}"
            ) from error


_OTHERWISE: Final = "DRILL_METRICS_SOURCE to the consumers' metrics"


def _why(error: FeedgateError) -> str:
    code = error.fields.get("reply_code")
    return {"no_responder": "nobody answers", "timeout": "no answer in time"}.get(str(code), str(error))


def _decoded(subject: str, data: Any, kind: type[Value]) -> Value:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnmeasuredError(f"NATS answers {subject} with something unknown ({error}); set {_OTHERWISE}") from None
