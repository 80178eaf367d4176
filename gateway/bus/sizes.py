"""The size lines of PUB frames, made once for each size."""

from __future__ import annotations

from typing import Final

_KEPT: Final = 65_536


class TooLongError(Exception):
    """More than the server takes in one message."""


class Sizes(dict[int, bytes]):
    """The size line of a PUB frame for each size, filled as needed; one above the server's limit raises."""

    def __init__(self, max_payload: int) -> None:
        super().__init__()
        self.max_payload = max_payload

    def __missing__(self, size: int) -> bytes:
        if size > self.max_payload:
            raise TooLongError
        text = b"%d\r\n" % size
        if size < _KEPT:
            self[size] = text
        return text
