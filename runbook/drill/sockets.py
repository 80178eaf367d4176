"""What the kernel holds for TCP connections of this machine: bytes that nats-server has sent and nobody has read.

A consumer that stops reading is invisible to nats-server until the kernel's buffers are full, which may be megabytes.
Linux tells both queues of every socket in ``/proc/net/tcp``; only connections with an end on this machine are seen.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

Endpoint = tuple[str, int]
"""Address and port."""

TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_WORD: Final = 8
_COLUMNS: Final = 5


def queued(clients: Iterable[Endpoint], tables: Iterable[Path] = TABLES) -> Mapping[Endpoint, int]:
    """Bytes under way to each client: not yet taken by its machine, or not yet read by it.

    Clients without a socket here are left out: for them nothing is known. Blocks for milliseconds; never raises.
    """
    wanted = set(clients)
    found: Counter[Endpoint] = Counter()
    for table in tables:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except (OSError, UnicodeDecodeError):  # not Linux, or no IPv6
            continue
        for local, remote, sent, received in _rows(lines):
            if remote in wanted:
                found[remote] += sent
            elif local in wanted:
                found[local] += received
    return dict(found)


def _rows(lines: Iterable[str]) -> Iterator[tuple[Endpoint, Endpoint, int, int]]:
    for line in lines:
        columns = line.split()
        if len(columns) < _COLUMNS:
            continue
        sent, _, received = columns[4].partition(":")
        yield _endpoint(columns[1]), _endpoint(columns[2]), int(sent, 16), int(received, 16)


def _endpoint(text: str) -> Endpoint:
    """``0100007F:1F90`` is 127.0.0.1:8080: 32-bit words in the machine's order (little-endian ones alone)."""
    address, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(address[at : at + _WORD])[::-1] for at in range(0, len(address), _WORD))
    ip = ipaddress.ip_address(raw)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip), int(port, 16)
