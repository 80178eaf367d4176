"""Where a supervisor is found: its lock and its socket in the state directory."""

from __future__ import annotations

import contextlib
import os
import socket as sockets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LONGEST: Final = 100
"""Bytes of a socket's path; the kernel takes 107."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of one state directory."""

    state_dir: Path

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.state_dir / "supervisor.lock"

    @property
    def socket(self) -> Path:
        """Where it is asked."""
        return self.state_dir / "supervisor.sock"

    @contextlib.contextmanager
    def address(self) -> Iterator[str]:
        """The socket's path, short enough for the kernel while the block lasts."""
        path = str(self.socket)
        if len(os.fsencode(path)) <= _LONGEST:
            yield path
            return
        directory = os.open(self.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{directory}/{self.socket.name}"
        finally:
            os.close(directory)

    def listen(self) -> sockets.socket:
        """A socket that only this user may use. Whoever holds the lock may call it: one left behind is replaced."""
        self.socket.unlink(missing_ok=True)
        listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            with self.address() as address:
                mask = os.umask(0o177)
                try:
                    listener.bind(address)
                finally:
                    os.umask(mask)
            listener.listen(16)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener
