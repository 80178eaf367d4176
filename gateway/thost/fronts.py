"""Front addresses. The vendor library crashes the process on a string it does not like, so ours is checked first."""

from __future__ import annotations

import re

from gateway.errors import LineError

_FRONT = re.compile(r"tcp://([A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?):([0-9]{1,5})")
_MAX_PORT = 65535


def parse_fronts(text: str) -> tuple[str, ...]:
    """One or several fronts, separated by commas: ``tcp://180.168.146.187:10211,tcp://…``.

    The vendor library connects to the first that is live. Raises LineError that names the bad part and the fix.
    """
    fronts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not fronts:
        raise LineError("no front address: set it to tcp://HOST:PORT")
    for front in fronts:
        match = _FRONT.fullmatch(front)
        if match is None or not 0 < int(match[2]) <= _MAX_PORT:
            raise LineError(
                f"{_without_userinfo(front)!r} is not a front address: write tcp://HOST:PORT, "
                "for example tcp://180.168.146.187:10211",
            )
    return fronts


def _without_userinfo(front: str) -> str:
    """A password that was written into the address by mistake must not reach a log."""
    head, at, tail = front.rpartition("@")
    return f"***@{tail}" if at and head else front
