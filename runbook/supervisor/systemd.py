"""Tells systemd how it is (``Type=notify``), if systemd asked to be told."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping


class Notifier:
    """Datagrams to ``NOTIFY_SOCKET``. Without that variable it says nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # a leading @ means a name in the abstract namespace
        self._address = "\0" + address[1:] if address.startswith("@") else address
        try:
            interval_us = int(environment.get("WATCHDOG_USEC", "0"))
        except ValueError:
            interval_us = 0
        self.watchdog_s = interval_us / 2e6
        """How often :meth:`say` wants to hear ``WATCHDOG=1``; 0: never."""

    def say(self, *lines: str) -> None:
        """``READY=1``, ``STATUS=…``, ``STOPPING=1``. Never raises; never waits."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)
