"""Ports for servers that are told their port, and start some moments later.

A port that the kernel finds (bind to 0) is one that it may give to anybody's next connection, until the server is
there. So these lie below the kernel's range for that, and each worker of a test run has a thousand of its own.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator

_FIRST, _EACH, _WORKERS = 12_000, 1_000, 20


def free_port() -> int:
    """One of 127.0.0.1 that nothing listens on; this process gives it to nobody else for its next 999 calls."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there is always a next port")


def _in_turn() -> Iterator[int]:
    """From anywhere in its share, for two test runs on one machine."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    share = int(worker) if worker.isdigit() else os.getpid()
    first, begun = _FIRST + share % _WORKERS * _EACH, random.SystemRandom().randrange(_EACH)
    while True:
        begun = (begun + 1) % _EACH
        yield first + begun


_PORTS = _in_turn()
