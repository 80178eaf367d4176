"""Asks a supervisor over its socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from gateway.errors import FeedgateError
from runbook.model import ActionResult, Exit
from runbook.supervisor.place import Place
from runbook.supervisor.stages import Tell

_LINE: Final = 1 << 24
_CANCEL_S: Final = 60.0
_ANSWER_S: Final = 10.0


class NoSupervisorError(FeedgateError):
    """Nobody listens."""

    code = "no_supervisor"
    exit_code = Exit.GATEWAY


class EndingSupervisorError(NoSupervisorError):
    """It is just ending; another one can be started in a moment."""


class LostSupervisorError(FeedgateError):
    """It ended before it answered."""

    code = "lost_supervisor"
    exit_code = Exit.GATEWAY


class SupervisorLink:
    """Opens a connection for each request."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def status(self) -> dict[str, Any]:
        """How everything is. Raises NoSupervisorError and LostSupervisorError."""
        async with self._ask({"do": "status"}) as (reader, _):
            try:
                async with asyncio.timeout(_ANSWER_S):
                    answer = await _read(reader)
            except TimeoutError:
                raise LostSupervisorError("the supervisor does not answer; see supervisor.log") from None
        status = answer.get("status")
        if not isinstance(status, dict):
            raise LostSupervisorError("the supervisor answered something else than its status; is it of this version?")
        return status

    async def order(self, do: str, tell: Tell, **fields: Any) -> ActionResult:
        """``start``, ``stop`` or ``restart``; ``tell`` gets every stage.

        Raises NoSupervisorError when nobody took the order, and LostSupervisorError when it ends in the middle.
        Cancelling it cancels the operation, and waits until that has undone what it began.
        """
        async with self._ask({"do": do} | fields) as (reader, writer):
            try:
                return await self._result(do, reader, tell)
            except asyncio.CancelledError:
                with contextlib.suppress(OSError, FeedgateError, TimeoutError):
                    writer.write(b'{"do": "cancel"}\n')
                    async with asyncio.timeout(_CANCEL_S):
                        await self._result(do, reader, tell)
                raise

    async def logs(self, *, lines: int = 50, follow: bool = False) -> AsyncIterator[dict[str, Any]]:
        """Lines of its log. Raises NoSupervisorError; ends with the supervisor."""
        async with self._ask({"do": "logs", "lines": lines, "follow": follow}) as (reader, _):
            while line := await reader.readline():
                yield json.loads(line)["log"]

    @asynccontextmanager
    async def _ask(
        self, request: Mapping[str, Any]
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            with self.place.address() as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=_LINE)
        except OSError as error:
            where = self.place.state_dir
            raise NoSupervisorError(f"no supervisor runs for {where}; run `runbook start`") from error
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _result(self, do: str, reader: asyncio.StreamReader, tell: Tell) -> ActionResult:
        taken = False
        while True:
            try:
                answer = await _read(reader)
            except LostSupervisorError:
                if not taken:  # a dying process may still take a connection, but never answers
                    raise NoSupervisorError("the supervisor ended before it took the order; try again") from None
                raise LostSupervisorError(
                    f"the supervisor ended in the middle of {do}; see supervisor.log, then run `runbook start`"
                ) from None
            if told := answer.get("told"):
                tell(told["stage"], told["text"], told["fields"])
            taken = True
            if answer.get("ending"):
                raise EndingSupervisorError("the supervisor is just ending; try again")
            if done := answer.get("done"):
                return ActionResult(**done)


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        line = await reader.readline()
    except (OSError, ValueError):
        line = b""
    if not line:
        raise LostSupervisorError("the supervisor went away; run `runbook start`")
    answer: dict[str, Any] = json.loads(line)
    return answer
