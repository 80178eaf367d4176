"""One connection to one NATS server, from connect to loss. The only place that knows nats-py's insides.

nats-py reconnects by itself and replays what it had queued. Feedgate wants neither: the publisher posts again what
was not confirmed, so a replay would double it, and a connection whose server hangs must be cut, not flushed. So a
Wire lives as long as its socket; :class:`~gateway.bus.link.Link` makes the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from nats import errors
from nats.aio.client import Client, __version__
from nats.aio.transport import TcpTransport

from gateway.bus.intake import Intake
from gateway.bus.parser import Sink, SinkParser
from gateway.bus.sizes import Sizes, TooLongError
from gateway.bus.subject import check_pattern
from gateway.errors import BusError

_log = logging.getLogger(__name__)

_PING = b"PING\r\n"
_CRLF = b"\r\n"
_METHODS = (
    "_close",
    "_connect_command",
    "_connect_to_server",
    "_process_connect_init",
    "_process_err",
    "_process_msg",
    "_process_op_err",
    "_process_pong",
    "_read_loop",
    "_select_next_server",
)
_FIELDS = (
    "_current_server",
    "_flusher_task",
    "_pending",
    "_pending_data_size",
    "_ping_interval_task",
    "_pongs",
    "_ps",
    "_reading_task",
    "_server_info",
    "_server_pool",
    "_sid",
    "_status",
    "_transport",
)
_PARSER = ("buf", "needed", "parse", "reset", "state")

_READ = 128 * 1024
"""Bytes read and parsed at a time. asyncio's 256 KiB are new pages from the kernel for each read: 0.3 µs a tick."""


class Wire(Client):
    """``lost`` is done, with the reason, from the moment the connection is known to be gone."""

    def __init__(self, label: str, on_lost: Callable[[Exception], None], on_told: Callable[[str], None]) -> None:
        """``on_lost`` is called once, at once; ``on_told`` for each error text that leaves the connection up."""
        super().__init__()
        missing = [name for name in (*_METHODS, *_FIELDS) if not hasattr(self, name)]
        missing += [f"_ps.{name}" for name in _PARSER if not hasattr(getattr(self, "_ps", None), name)]
        if missing:
            raise BusError(
                f"nats-py {__version__} is not one this gateway knows: Client has no"
                f" {', '.join(missing)}; install nats-py>=2.16,<2.17"
            )
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.label = label
        self.oversize = 0
        self._on_lost = on_lost
        self._on_told = on_told
        self._require_tls = False
        self._ending = False
        self._sinks: dict[int, Sink] = {}
        self._sizes = Sizes(0)
        self._out: asyncio.WriteTransport | None = None
        self._parser = SinkParser(self, self._sinks, lambda: self.max_payload)
        self._ps = self._parser

    async def open(self, *, require_tls: bool, **options: Any) -> None:
        """Connect to the one server in ``options``. Raises what nats-py, the socket or TLS raised, or BusError."""
        self._require_tls = require_tls
        await self.connect(allow_reconnect=False, dont_randomize=True, error_cb=self._told, pending_size=0, **options)
        if not self.is_connected:
            raise errors.Error("nats: the server closed the connection during the greeting")
        writer = getattr(self._transport, "_io_writer", None)
        if not isinstance(self._transport, TcpTransport) or not isinstance(writer, asyncio.StreamWriter):
            raise BusError(f"nats-py {__version__} has no stream to write to; install nats-py>=2.16,<2.17")
        self._out = writer.transport
        with suppress(AttributeError):  # asyncio's own transports have it
            self._out.max_size = _READ  # type: ignore[attr-defined]  # what it allocates and reads at once
        self._sizes = Sizes(self.max_payload)

    @property
    def pending_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        if self._out is None or self.lost.done():
            return 0
        return self._out.get_write_buffer_size() + self._pending_data_size

    def send(self, messages: Sequence[tuple[bytes, bytes]]) -> int:
        """Hand all ``(head, payload)`` frames to the socket in one call; how many were fit to send.

        Messages above the server's ``max_payload`` are left out and counted in ``oversize``, because the server
        would cut the connection for one, again after each new attempt.
        """
        if self._out is None or self.lost.done():
            raise BusError("the NATS connection is down; wait_connected() first")
        sizes = self._sizes
        try:
            frames = b"".join([head + sizes[len(payload)] + payload + _CRLF for head, payload in messages])
        except TooLongError:
            fit = [message for message in messages if len(message[1]) <= sizes.max_payload]
            self._refuse(len(messages) - len(fit))
            return self.send(fit) if fit else 0
        self._out.write(frames)
        return len(messages)

    async def round_trip(self) -> bool:
        """PING and its PONG, behind everything sent before. False when the connection broke meanwhile."""
        if self._out is None or self.lost.done():
            return False
        if self._pending:
            # what nats-py was told (SUB, replies) and its flusher has not got to yet
            self._out.write(b"".join(self._pending))
            self._pending.clear()
            self._pending_data_size = 0
        pong: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._out.write(_PING)
        return await pong

    async def drain(self) -> None:
        """Wait until the write buffer is below the transport's mark. Raises OSError on loss."""
        if self._transport is not None:
            await self._transport.drain()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped

    def attach(self, subject: str, sink: Sink) -> int:
        """Subscribe: the SUB is on its way before this returns, ahead of anything sent later. The id to detach."""
        check_pattern(subject)
        self._sid += 1
        sid = self._sid
        self._sinks[sid] = sink
        self._parser.forget()
        if self._out is not None and not self.lost.done():
            self._out.write(b"SUB %b  %d\r\n" % (subject.encode(), sid))
        return sid

    def detach(self, sid: int) -> None:
        """Unsubscribe."""
        known = self._sinks.pop(sid, None) is not None
        self._parser.forget()
        if known and self._out is not None and not self.lost.done():
            self._out.write(b"UNSUB %d\r\n" % sid)

    def fail(self, error: Exception) -> None:
        """Take the connection for lost: cut the socket, forget what was not sent, wake everyone who waits."""
        if self.lost.done():
            return
        self.lost.set_result(error)
        self._status = Client.DISCONNECTED
        self._pending.clear()
        self._pending_data_size = 0
        if self._out is not None:
            self._out.abort()
        pongs, self._pongs = self._pongs, []
        for pong in pongs:
            if not pong.done():
                pong.set_result(False)
        self._on_lost(error)

    async def finish(self, limit: float) -> None:
        """Close in peace within ``limit`` seconds, then by force. Idempotent. Not from a nats-py callback."""
        self._ending = True
        tasks = [
            task for task in (self._reading_task, self._ping_interval_task, self._flusher_task) if task is not None
        ]
        try:
            async with asyncio.timeout(limit):
                await self.close()
        except Exception as error:  # noqa: BLE001 - nats-py's close also asserts; the socket is cut below either way
            _log.debug("the %s connection did not close in peace: %s", self.label, error)
        finally:
            # also when whoever closes it is cancelled meanwhile
            self._cut(tasks)
        if tasks:
            done, _ = await asyncio.wait(tasks, timeout=1.0)
            for task in done:
                if not task.cancelled() and task.exception() is not None:
                    _log.debug("a task of the %s connection had failed", self.label, exc_info=task.exception())

    def _cut(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        if not self.lost.done():
            self.lost.set_result(errors.ConnectionClosedError())
        if self._transport is not None:
            writer = getattr(self._transport, "_io_writer", None)
            if writer is not None:
                writer.transport.abort()
        for task in tasks:
            task.cancel()

    # What nats-py calls.

    async def _select_next_server(self) -> None:
        server = self._server_pool[0]
        self._current_server = server
        await self._connect_to_server(server)

    def _connect_command(self) -> bytes:
        if self._require_tls and not self._server_info.get("tls_required"):
            raise errors.SecureConnWantedError
        return super()._connect_command()

    async def _read_loop(self) -> None:
        """Until the connection ends. Whatever is wrong with what comes, it is a loss, and said."""
        try:
            intake = await self._take_over()
            while not self.lost.done():
                await self._parser.parse(await intake.rest())
                intake.done()
        except Exception as error:  # noqa: BLE001 - nats-py's parser lets JSON, number and attribute errors through
            self.fail(error)

    async def _take_over(self) -> Intake:
        """Read through nats-py's stream until it is known to be empty, which no one else can tell, then without it."""
        while isinstance(self._transport, TcpTransport):
            data = await self._transport.read(_READ)
            if not data:
                break
            socket = getattr(getattr(self._transport, "_io_writer", None), "transport", None)
            at_eof = self._transport.at_eof()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
            if len(data) < _READ and isinstance(socket, asyncio.Transport) and not at_eof:
                intake = Intake(socket, self._parser.feed, self._ended)
                intake.take(data)
                return intake
            await self._parser.parse(data)
        raise errors.UnexpectedEOF

    def _ended(self, error: Exception | None) -> None:
        if not self._ending:
            self.fail(error or errors.UnexpectedEOF())

    async def _process_op_err(self, e: Exception) -> None:
        self.fail(e)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            # Whoever asked was cancelled. PONGs are given out in order, and nats-py fails on a future that is done.
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_err(self, err_msg: str) -> None:
        if "permissions violation" in err_msg or "invalid subject" in err_msg:
            self._on_told(err_msg.strip("'"))
            return
        self.fail(errors.Error(f"nats: {err_msg}"))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        sink = self._sinks.get(sid)
        if sink is not None:
            sink(((subject.decode(errors="replace"), data),))
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    async def _told(self, error: Exception) -> None:
        # The end of the stream comes as a loss right after this.
        if self._out is not None and not self.lost.done() and not isinstance(error, errors.UnexpectedEOF):
            self._on_told(str(error))

    def _refuse(self, count: int) -> None:
        self.oversize += count
        self._on_told(
            f"{count} message(s) above the server's max_payload of {self._sizes.max_payload} bytes dropped;"
            " post smaller batches or raise max_payload"
        )
