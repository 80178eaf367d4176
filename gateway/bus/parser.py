"""Reads what a NATS server sends. nats-py's parser with a fast way for the one frame that comes in floods.

nats-py matches a regular expression, moves the rest of its buffer and awaits once for each message. Here a chunk is
walked in one go, as far as it consists of ``MSG subject sid size`` frames of subscriptions with a sink; whatever
else comes (PING, INFO, headers, replies, errors) goes line by line, in order, to nats-py's own parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_CONTROL_LINE, AWAITING_MSG_PAYLOAD, CRLF_SIZE, Parser

from gateway.bus.mailbox import Pair

Sink = Callable[[Sequence[Pair]], None]
"""Takes a run of messages of one subscription, in order, at once."""

_CRLF = b"\r\n"
_SPACE = b" "
_HEAD = re.compile(rb"MSG (\S{1,512}) ([0-9]{1,18})")
_SIZE = re.compile(rb"[0-9]{1,18}")
_KEPT = 65_536
"""Subjects, and sizes, that are remembered; beyond it the table starts afresh (30,000 contracts fit)."""
_KEPT_IN_PART = 128 * 1024
"""Bytes of a message that are put together anew with each chunk; a longer one grows in nats-py's buffer."""
_LONGEST_LINE = 1 << 20
"""Of an INFO line, which in a large cluster names every server. Control lines of messages are far shorter."""
_LARGEST_PAYLOAD = 8 << 20
"""nats-server advises against a larger max_payload; a cluster's other servers may allow more than ours told us."""


class SinkParser(Parser):
    """Gives messages with a sink to it, in runs, and everything else to ``client`` as nats-py does.

    Raises ProtocolError for what is no protocol, and for a line or a payload beyond the bounds, so no stream of bytes
    makes it hold more than the largest payload. What is raised leaves the parser of no further use.
    """

    def __init__(self, client: Any, sinks: Mapping[int, Sink], max_payload: Callable[[], int]) -> None:
        """``sinks`` by subscription id is read as it changes; call :meth:`forget` after each change."""
        self._sinks = sinks
        self._max_payload = max_payload
        self._heads: dict[bytes, tuple[Sink, str]] = {}
        self._sizes: dict[bytes, int] = {}
        self._cut = False
        """Whether the last walk ended for want of bytes."""
        super().__init__(client)

    def forget(self) -> None:
        """A sink came or went."""
        self._heads.clear()

    def feed(self, data: bytes) -> bytes:
        """Deal at once with what needs no ``await``: messages for sinks, the last of them perhaps in part.

        What it returns goes to :meth:`parse`, before anything is fed again.
        """
        if self.state != AWAITING_CONTROL_LINE:
            return data
        if self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        at = self._walk(data, 0)
        if self._cut and len(data) - at <= _KEPT_IN_PART:
            self.buf += data[at:]
            return b""
        return data[at:]

    async def parse(self, data: bytes = b"") -> None:
        """Deal with everything complete in ``data``, keep the rest for the next call."""
        at = 0
        if self.state == AWAITING_CONTROL_LINE and self.buf:
            data = bytes(self.buf) + data
            self.buf.clear()
        while at < len(data):
            if self.state == AWAITING_CONTROL_LINE:
                at = self._walk(data, at)
                end = data.find(_CRLF, at) + CRLF_SIZE
                if end < CRLF_SIZE:
                    if len(data) - at > _LONGEST_LINE:
                        raise ProtocolError("nats: a control line without end")
                    self.buf += data[at:]
                    return
            else:
                end = at + self.needed + CRLF_SIZE - len(self.buf)
            await super().parse(data[at:end])
            if self.buf and self.state == AWAITING_CONTROL_LINE:
                raise ProtocolError("nats: unknown protocol")
            if self.state == AWAITING_MSG_PAYLOAD and self.needed > max(self._max_payload(), _LARGEST_PAYLOAD):
                raise ProtocolError(f"nats: a message of {self.needed} bytes")
            at = end

    def _walk(self, data: bytes, at: int) -> int:
        """Deliver the frames that begin at ``at``; where the first one begins that is not whole or not for a sink."""
        heads, sizes, find, end = self._heads, self._sizes, data.find, len(data)
        sink: Sink | None = None
        run: list[Pair] = []
        self._cut = True
        while True:
            line_end = find(_CRLF, at)
            if line_end < 0:
                break
            head, _, digits = data[at:line_end].rpartition(_SPACE)
            known = heads.get(head) or self._known(head)
            if known is None:
                self._cut = False
                break
            size = sizes.get(digits)
            if size is None and (size := self._size(digits)) is None:
                self._cut = False
                break
            start = line_end + CRLF_SIZE
            stop = start + size
            if stop + CRLF_SIZE > end:
                self._cut = size <= _KEPT_IN_PART
                break
            if known[0] is not sink:
                if sink is not None:
                    sink(run)
                sink, run = known[0], []
            run.append((known[1], data[start:stop]))
            at = stop + CRLF_SIZE
        if sink is not None:
            sink(run)
        return at

    def _known(self, head: bytes) -> tuple[Sink, str] | None:
        """Where a control line leads, when it is that of a plain message for a sink."""
        match = _HEAD.fullmatch(head)
        sink = self._sinks.get(int(match[2])) if match is not None else None
        if match is None or sink is None:
            return None
        if len(self._heads) >= _KEPT:
            self._heads.clear()
        known = self._heads[head] = sink, match[1].decode(errors="replace")
        return known

    def _size(self, digits: bytes) -> int | None:
        if not _SIZE.fullmatch(digits):
            return None
        if len(self._sizes) >= _KEPT:
            self._sizes.clear()
        size = self._sizes[digits] = int(digits)
        return size
