"""Runs the operators' escalation command, without a shell."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import FeedgateError
from gateway.settings.process import PROFILE, process_environment

log = logging.getLogger(__name__)

_KEPT: Final = 2000
_CHUNK: Final = 65_536
_LAST_READS: Final = 16
"""More than a pipe holds; a daemon that it started may write for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """How it went. ``error`` empty: it ended with 0."""

    program: str
    returned: int | None = None
    """None: it did not end by itself."""
    timed_out: bool = False
    """It was killed because its time was up."""
    output: str = ""
    """The last 2,000 bytes of what it said."""
    error: str = ""


def arguments(command: str, *, marker: str, exit_code: int) -> list[str]:
    """Its words with ``{marker}`` and ``{exit_code}`` filled in; what is filled in stays within its word.

    Raises FeedgateError (64) that says what is wrong with the command.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        raise _unusable("has a quote that does not end; close it") from None
    if not words:
        raise _unusable("is empty; write a program and its arguments")
    try:
        return [word.format_map({"marker": marker, "exit_code": exit_code}) for word in words]
    except (LookupError, ValueError, AttributeError, TypeError):
        raise _unusable("has a blank that nobody fills; only {marker} and {exit_code} are") from None


async def run_command(
    command: str,
    *,
    marker: str,
    exit_code: int,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    profile: str = "",
) -> CommandOutcome:
    """Run it to its end, or kill it and its children when the time is up or this is cancelled. Raises nothing else.

    ``environment``: in place of this process's own. ``profile``: its FEEDGATE_PROFILE, by which a command of the
    runbook finds the files that whoever escalates has; empty: as the environment says.
    """
    surroundings = dict(process_environment() if environment is None else environment)
    if profile:
        surroundings[PROFILE] = profile
    try:
        words = arguments(command, marker=marker, exit_code=exit_code)
    except FeedgateError as error:
        return CommandOutcome(program="", error=str(error))
    tail = bytearray()
    try:
        # a pipe of our own: asyncio's wait() lasts until the pipe is closed, and a child that the command left behind
        # may hold it open for ever
        with _listening(tail) as pipe:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True, env=surroundings
            )
            returned, wrong = await _finish(process, timeout_s)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "an argument holds a NUL"
        said = f"{words[0]} cannot be started: {why}; correct the escalation command"
        return CommandOutcome(program=words[0], error=said)
    if returned:
        wrong = f"{words[0]} ended with {returned}; look at its output"
    elif wrong:
        wrong = f"{words[0]} {wrong}"
    if wrong:
        log.error("escalation: %s", wrong)
    said = tail.decode("utf-8", "replace")
    late = returned is None
    return CommandOutcome(program=words[0], returned=returned, timed_out=late, output=said, error=wrong)


async def _finish(process: Process, timeout_s: float) -> tuple[int | None, str]:
    """Its exit code, or why it has none. Nothing of its process group is left."""
    try:
        async with asyncio.timeout(timeout_s):
            return await process.wait(), ""
    except TimeoutError:
        return None, f"did not end within {timeout_s:g} s and was killed"
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@contextlib.contextmanager
def _listening(tail: bytearray) -> Iterator[int]:
    """The end of a pipe to write to; the last of what comes is kept in ``tail``."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def take() -> bool:
        with contextlib.suppress(BlockingIOError):
            if data := os.read(reading, _CHUNK):
                tail.extend(data)
                del tail[:-_KEPT]
                return True
        return False

    def ready() -> None:
        if not take():
            loop.remove_reader(reading)

    loop = asyncio.get_running_loop()
    loop.add_reader(reading, ready)
    try:
        yield writing
    finally:
        loop.remove_reader(reading)
        os.close(writing)
        for _ in range(_LAST_READS):
            if not take():
                break
        os.close(reading)


def _unusable(why: str) -> FeedgateError:
    error = FeedgateError(f"the escalation command {why}")
    error.exit_code = 64
    return error
