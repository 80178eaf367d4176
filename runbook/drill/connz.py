"""What nats-server tells about connections and streams, and the backlog that follows from it. No I/O.

Core NATS counts the *bytes* that wait for a connection. Messages follow from the mean size of what the connection was
sent. The bytes that wait include protocol heads and the mean does not, so the result is an upper bound. What the kernel
holds is added where it can be seen (:mod:`runbook.drill.sockets`). What a client library has read and its program has
not, nobody but that program can tell: its own metrics do (``DRILL_METRICS_SOURCE``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.subjects import BATCHES, TICKS
from runbook.drill.backlog import Waiting
from runbook.drill.sockets import Endpoint

_LEAST: Final = 128
"""Bytes. No tick of the wire format is smaller: about 30 values and two names."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``CONNZ``."""

    cid: int
    name: str = ""
    ip: str = ""
    port: int = 0
    pending_bytes: int
    out_msgs: int
    out_bytes: int
    subscriptions_list: list[str] = []


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """A page of ``CONNZ``."""

    server_id: str
    num_connections: int
    total: int
    offset: int
    connections: list[Connection]


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream consumer, as far as it matters here."""

    name: str
    num_pending: int
    """Messages of the stream that it has not been sent yet."""
    num_ack_pending: int = 0
    """Sent, and not acknowledged."""


def carries_ticks(subject: str) -> bool:
    """Whether a subscription or a stream with this subject gets ticks or batches."""
    return any(_overlap(subject.split("."), wide.split(".")) for wide in (f"{TICKS}.*.*", f"{BATCHES}.*"))


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    for mine, theirs in zip(one, other, strict=False):
        if ">" in (mine, theirs):
            return True
        if "*" not in (mine, theirs) and mine != theirs:
            return False
    return len(one) == len(other)


def consumers(connections: Sequence[Connection]) -> list[Connection]:
    """Those among the connections that get ticks."""
    return [one for one in connections if any(map(carries_ticks, one.subscriptions_list))]


def waiting(connections: Sequence[Connection], queued: Mapping[Endpoint, int]) -> list[Waiting]:
    """What waits for each; ``queued`` is what the kernel holds for them, as far as that is known."""
    return [_waiting(one, queued.get((one.ip, one.port))) for one in connections]


def pending(stream: str, consumers: Sequence[Pending]) -> list[Waiting]:
    """The consumers of a JetStream stream of ticks."""
    return [
        Waiting(consumer=f"{stream}/{one.name}", messages=one.num_pending + one.num_ack_pending) for one in consumers
    ]


def _waiting(connection: Connection, queued: int | None) -> Waiting:
    mean = max(1, connection.out_bytes // max(1, connection.out_msgs))
    # replies to its requests are far larger than ticks and would make the backlog look smaller than it is
    mixed = not all(map(carries_ticks, connection.subscriptions_list))
    size = min(mean, _LEAST) if mixed else mean
    return Waiting(
        consumer=f"{connection.name or '-'} ({connection.cid})",
        messages=-(-(connection.pending_bytes + (queued or 0)) // size),
        pending_bytes=connection.pending_bytes,
        kernel_bytes=queued,
    )
