"""Sends messages to the addresses of the settings."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gateway.clock import Clock
from runbook.notify.gate import Gate, Leave
from runbook.notify.message import Answer, Message, Sent, named
from runbook.settings import NotifySettings

log = logging.getLogger(__name__)

_START_S: Final = 30.0
"""The sending process must be ready within, on a busy machine."""


class Notifier:
    """Sends each message once, to every address at the same time. For one event loop; nothing is held between calls.

    Each address has ``timeout_s``; what has not answered then is killed. No log, error or result holds an address,
    only its number and scheme. :meth:`send` never raises for what an address does.
    """

    def __init__(self, settings: NotifySettings, state_dir: Path, clock: Clock) -> None:
        self._urls = [url.get_secret_value() for url in settings.urls]
        self._timeout_s = settings.timeout_s
        self._gate = Gate(state_dir, clock, dedupe_s=settings.dedupe_s, per_minute=settings.per_minute)

    @property
    def addresses(self) -> int:
        """How many there are."""
        return len(self._urls)

    async def send(self, message: Message) -> Sent:
        """Send it, unless it is a repetition or one too many. A failed one may be sent again at once."""
        if not self._urls:
            return Sent(left_out="no address is configured")
        leave = await asyncio.to_thread(self._gate.ask, message.digest)
        if not leave.granted:
            log.warning("a message was not sent: %s", leave.why)
            return Sent(left_out=leave.why, limited=leave.limited)
        sent = Sent()
        try:
            sent = Sent(tuple(await self._deliver(_told(message, leave))))
        finally:
            if not sent.taken:
                await asyncio.shield(asyncio.to_thread(self._gate.take_back, message.digest, leave))
        for answer in sent.answers:
            if answer.error:
                log.error("notification address %s: %s", answer.address, answer.error)
        return sent

    async def _deliver(self, message: Message) -> list[Answer]:
        errors: dict[int, str] = {}
        otherwise = f"did not answer within {self._timeout_s:g} s"
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-W", "ignore", "-m", "runbook.notify.deliver", stdin=PIPE, stdout=PIPE, stderr=DEVNULL
            )
        except OSError as error:
            otherwise = f"not tried: the sending process cannot be started ({error.strerror})"
        else:
            try:
                ready = await self._talk(process, message, errors)
            finally:
                await _end(process)
            if not ready:
                otherwise = "not tried: the sending process failed; check that apprise is installed"
        return [Answer(named(number, url), errors.get(number, otherwise)) for number, url in enumerate(self._urls, 1)]

    async def _talk(self, process: Process, message: Message, errors: dict[int, str]) -> bool:
        """Hand it over and collect the answers; whether the process ever was ready."""
        if process.stdin is None or process.stdout is None:
            return False
        told = {
            "urls": self._urls,
            "title": message.title,
            "text": message.text,
            "severity": message.severity,
            "timeout_s": self._timeout_s,
        }
        ready = False
        with contextlib.suppress(TimeoutError, ConnectionError, ValueError):
            async with asyncio.timeout(_START_S) as limit:
                process.stdin.write(json.dumps(told).encode() + b"\n")
                await process.stdin.drain()
                while line := await process.stdout.readline():
                    answer: Any = json.loads(line)
                    if "ready" in answer:
                        ready = True
                        limit.reschedule(asyncio.get_running_loop().time() + self._timeout_s)
                    else:
                        errors[int(answer["number"])] = str(answer["error"])
        return ready


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


def _told(message: Message, leave: Leave) -> Message:
    """With what was left out before, so that silence is not taken for peace."""
    notes = []
    if leave.repeats:
        notes.append(f"The same message was left out {leave.repeats} times since it was last sent.")
    if leave.lost:
        notes.append(f"{leave.lost} other messages were left out because too many were sent.")
    return replace(message, text="\n".join([message.text, *notes]))
