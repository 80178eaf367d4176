"""Answers on the supervisor's socket: one JSON object a line, each way.

Requests: ``{"do": "status"}`` · ``{"do": "start", "window": "day", "debug": false}`` · ``stop`` · ``restart`` ·
``{"do": "logs", "lines": 50, "follow": true}``. During an operation ``{"do": "cancel"}`` ends it; a caller
that just goes away does not. Answers: ``{"status": {}}``, ``{"taken": "start"}``, ``{"told": {}}`` as often as there is
something, ``{"done": {}}``, ``{"log": {}}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, Self

from runbook.model import ActionResult, Exit
from runbook.supervisor.bringup import Order
from runbook.supervisor.logfiles import SupervisorLog
from runbook.supervisor.operations import NAMES, Operations
from runbook.supervisor.place import Place

_LINE: Final = 1 << 16
_ASK_S: Final = 10.0
_BEHIND: Final = 1 << 20
"""Bytes that may wait for a slow caller; what comes then is left out."""
_LEAVE_S: Final = 5.0


class SupervisorServer:
    """``async with SupervisorServer(...)``: listens until left; callers get their last answers first."""

    def __init__(self, place: Place, operations: Operations, log: SupervisorLog, about: Mapping[str, Any]) -> None:
        """``about``: what status says besides."""
        self._place, self._operations, self._log, self._about = place, operations, log, about
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        listener = self._place.listen()
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=_LINE)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._server is not None:
            self._server.close()
        self._place.socket.unlink(missing_ok=True)
        for task in tuple(self._following):
            task.cancel()
        if self._callers:
            _, late = await asyncio.wait(set(self._callers), timeout=_LEAVE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="supervisor caller")
        self._callers.add(task)
        task.add_done_callback(self._callers.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not _allowed(writer):
                return
            async with asyncio.timeout(_ASK_S):
                line = await reader.readline()
            if line:
                await self._answer(line, reader, writer)
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass  # a caller that went away, or wrote no end of line
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(line)
            do = request["do"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return _refuse(writer, 'write a JSON object with "do"')
        if do == "status":
            return _send(writer, {"status": dict(self._about) | self._operations.status()})
        if do == "logs":
            return await self._logs(request, reader, writer)
        if do in NAMES:
            return await self._operate(do, request, reader, writer)
        return _refuse(writer, f"there is no {do!r}; there are: status, logs, {', '.join(NAMES)}")

    async def _operate(
        self, do: str, request: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        window, debug = request.get("window"), request.get("debug", False)
        if window not in (None, "day", "night") or not isinstance(debug, bool):
            return _refuse(writer, "window is day or night, debug is true or false")

        def tell(stage: str, text: str, fields: Mapping[str, Any]) -> None:
            _send(writer, {"told": {"stage": stage, "text": text, "fields": dict(fields)}})

        if self._operations.over.done():
            return _send(writer, {"ending": True})
        _send(writer, {"taken": do})
        busy = bool(self._operations.current)
        listening = asyncio.create_task(self._listen(reader, busy=busy), name="supervisor caller's wishes")
        try:
            result = await self._operations.run(do, Order(window=window, debug=debug), tell)
        finally:
            listening.cancel()
            await asyncio.wait({listening})
        return _done(writer, result)

    async def _listen(self, reader: asyncio.StreamReader, *, busy: bool) -> None:
        """Cancels the operation when its caller says so."""
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                if not busy and b'"cancel"' in line:
                    await self._operations.cancel()

    async def _logs(
        self, request: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        count = request.get("lines", 50)
        for line in self._log.latest(count if isinstance(count, int) else 50):
            _send(writer, {"log": line})
        if not request.get("follow"):
            return
        follow = asyncio.create_task(self._follow(writer), name="supervisor log follower")
        gone = asyncio.create_task(reader.read(), name="supervisor log follower leaves")
        self._following.add(follow)
        try:
            await asyncio.wait({follow, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._following.discard(follow)
            for task in (follow, gone):
                task.cancel()
            await asyncio.wait({follow, gone})

    async def _follow(self, writer: asyncio.StreamWriter) -> None:
        async with contextlib.aclosing(self._log.watch()) as lines:  # type: ignore[type-var]  # an async generator
            async for line in lines:
                _send(writer, {"log": line})
                await writer.drain()


def _allowed(writer: asyncio.StreamWriter) -> bool:
    """Ourselves and root; the file's mode says the same, this holds also where modes are not kept."""
    sock = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (0, os.geteuid())


def _send(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    if not writer.is_closing() and writer.transport.get_write_buffer_size() < _BEHIND:
        writer.write(json.dumps(answer, ensure_ascii=False, default=str).encode() + b"\n")


def _done(writer: asyncio.StreamWriter, result: ActionResult) -> None:
    _send(writer, {"done": asdict(result) | {"exit_code": int(result.exit_code), "details": dict(result.details)}})


def _refuse(writer: asyncio.StreamWriter, why: str) -> None:
    _done(writer, ActionResult(exit_code=Exit.USAGE, message=f"request refused: {why}"))
