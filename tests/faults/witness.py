"""What the gateway said, and when: changes of lines, events on the bus, warnings in its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from gateway.bus.nats import NatsBus
from gateway.hookspecs import Observer, hookimpl
from gateway.model import LineId
from gateway.subjects import EVENTS


class Word(NamedTuple):
    """One thing that was said."""

    at_ns: int
    what: str
    """``state:lost``, ``event:switch``, ``log:…``, ``bus:away``"""
    line: str
    """Empty when it is about no line."""
    text: str


class Witness(logging.Handler):
    """Collects. It is a plugin (an observer), a log handler, and a reader of events."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[Word] = []
        self._reader: asyncio.Task[None] | None = None

    def say(self, what: str, line: str = "", text: str = "") -> None:
        """From whoever watches something else."""
        self.words.append(Word(time.time_ns(), what, line, text))

    @hookimpl
    def gateway_observe(self) -> Sequence[Observer]:
        """The gateway's own hook for line changes."""

        def changed(line: LineId, state: str, reason: str) -> None:
            self.say(f"state:{state}", str(line), reason)

        return [Observer(name="faults", line_changed=changed)]

    def emit(self, record: logging.LogRecord) -> None:
        """A warning of the gateway."""
        self.say(f"log:{record.name}", "", record.getMessage())

    async def read(self, bus: NatsBus) -> None:
        """Begin to read events."""
        messages = bus.subscribe(f"{EVENTS}.>")

        async def run() -> None:
            async for message in messages:
                event = json.loads(message.data)
                line = str(event.get("line") or event.get("source") or "")
                self.say(f"event:{event.get('type')}", line, message.data.decode())

        self._reader = asyncio.create_task(run(), name="events")

    async def aclose(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    def first(self, patterns: Sequence[str], since_ns: int) -> Word | None:
        """The first word that one of ``what line`` or ``what line text`` patterns matches."""
        return next((word for word in self.words if word.at_ns >= since_ns and matches(word, patterns)), None)


def matches(word: Word, patterns: Sequence[str]) -> bool:
    """``state:lost *:primary`` or ``log:* * *clock was set*``; a pattern without line is about any."""
    return any(fnmatchcase(f"{word.what} {word.line or '-'} {word.text}", _whole(one)) for one in patterns)


def _whole(pattern: str) -> str:
    parts = pattern.split(" ", 2)
    return " ".join((*parts, *("*",) * (3 - len(parts))))


async def until(true: Callable[[], object], limit_s: float, what: str) -> None:
    """Poll every 2 ms. Raises TimeoutError that says what did not happen."""
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {limit_s:g} s")
        await asyncio.sleep(0.002)
