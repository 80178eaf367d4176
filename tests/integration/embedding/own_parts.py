"""Parts that a program brings itself, written against the protocols and nothing else."""

from __future__ import annotations

import asyncio
import fnmatch
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.codec import MsgpackCodec, Origin
from gateway.errors import BusError, ControlError, FeedgateError, WireError
from gateway.gaps import GapDay, GapEvent, Mark, Past, StoreHealth
from gateway.hookspecs import RouterKind, hookimpl
from gateway.model import Tick
from gateway.plan import Plan, View
from gateway.ports import Handler, Message


@dataclass(frozen=True)
class Note:
    subject: str
    data: bytes


class OwnBus:
    """Everything in lists and queues; it shares no code with the buses of the gateway."""

    max_payload = 1 << 20
    connection = 1

    def __init__(self, *, refuses: bool = False) -> None:
        self.connected = False
        self.starts = self.ends = 0
        self.messages: list[tuple[str, bytes]] = []
        self._refuses = refuses
        self._handlers: dict[str, Handler] = {}
        self._readers: dict[asyncio.Queue[Note | None], str] = {}

    async def start(self) -> None:
        self.starts += 1
        if self._refuses:
            raise BusError("the room is closed today; come back tomorrow")
        self.connected = True

    async def aclose(self) -> None:
        self.ends += 1
        self.connected = False
        for queue in self._readers:
            queue.put_nowait(None)

    def head(self, subject: str) -> bytes:
        return subject.encode()

    def post(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        for head, payload in messages:
            self._give(Note(head.decode(), payload))

    async def settle(self) -> None:
        await asyncio.sleep(0)

    async def wait_connected(self) -> None:
        assert self.connected

    async def publish(self, subject: str, payload: bytes) -> None:
        self._give(Note(subject, payload))

    async def subscribe(self, subject: str) -> AsyncIterator[Message]:
        queue: asyncio.Queue[Note | None] = asyncio.Queue()
        self._readers[queue] = subject.replace(">", "*")
        try:
            while (note := await queue.get()) is not None:
                yield note
        finally:
            del self._readers[queue]

    async def request(self, subject: str, payload: bytes, *, timeout: float = 2.0) -> bytes:  # noqa: ASYNC109 - the protocol's
        if subject not in self._handlers:
            raise ControlError(f"nobody answers on {subject}", reply_code="no_responder")
        try:
            return await self._handlers[subject](payload)
        except FeedgateError as error:
            raise ControlError(str(error), reply_code=error.code) from None

    async def serve(self, name: str, version: str, endpoints: Mapping[str, Handler]) -> None:
        self._handlers.update(endpoints)

    def _give(self, note: Note) -> None:
        self.messages.append((note.subject, note.data))
        for queue, pattern in self._readers.items():
            if fnmatch.fnmatchcase(note.subject, pattern):
                queue.put_nowait(note)


class Squeezed:
    """A codec: wire format 1, compressed."""

    name = "squeezed"
    _inner = MsgpackCodec()

    def origin(self, epoch: int, line: str, account: str) -> Origin:
        return SqueezedOrigin(self._inner.origin(epoch, line, account))

    def batch(self, payloads: Sequence[bytes]) -> bytes:
        return zlib.compress(self._inner.batch([zlib.decompress(payload) for payload in payloads]))

    def decode(self, payload: bytes) -> Tick:
        return self._inner.decode(self._open(payload))

    def decode_batch(self, payload: bytes) -> list[Tick]:
        return self._inner.decode_batch(self._open(payload))

    @staticmethod
    def _open(payload: bytes) -> bytes:
        try:
            return zlib.decompress(payload)
        except zlib.error as error:
            raise WireError(f"not squeezed: {error}") from None


class SqueezedOrigin:
    def __init__(self, inner: Origin) -> None:
        self._inner = inner

    def payload(self, seq: int, recv_ns: int, market: bytes) -> bytes:
        return zlib.compress(self._inner.payload(seq, recv_ns, market))


class ListStore:
    """A gap ledger in a list, which the next gateway goes on with."""

    def __init__(self, rows: list[GapEvent] | None = None, past: Past | None = None) -> None:
        self.rows = rows if rows is not None else []
        self.notes: list[str] = []
        self.marks: list[Mark] = []
        self.starts = self.ends = 0
        self.past = past
        self.health = StoreHealth()

    async def start(self) -> None:
        self.starts += 1

    def put(self, event: GapEvent) -> None:
        self.rows.append(event)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def mark(self, mark: Mark) -> None:
        self.marks.append(mark)

    async def flushed(self) -> None:
        return

    async def day(self, trading_day: int | None, feed: str | None) -> GapDay:
        latest = {event.gap.id: event.gap for event in self.rows}
        day = trading_day or max((gap.trading_day for gap in latest.values()), default=0)
        gaps = tuple(gap for gap in latest.values() if gap.trading_day == day and feed in (None, gap.feed))
        return GapDay(trading_day=day, gaps=gaps, watched=(), notes=())

    async def aclose(self) -> None:
        self.ends += 1


class LastLine:
    """A router that wants the last line and parks the others."""

    def plan(self, view: View) -> Plan:
        name = view.lines[-1].name
        return Plan(prefer=name, login=frozenset({name}), carry={name: "all"})


class LastLinePlugin:
    @hookimpl
    def gateway_routers(self) -> list[RouterKind]:
        return [RouterKind(name="last_line", build=LastLine)]
