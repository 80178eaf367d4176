"""Runs the operators' command when tries did not help. What it does or fails to do never changes what was found."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from typing import Any, Final

log = logging.getLogger(__name__)

MARKER: Final = "health_check_escalation"
"""What ``{marker}`` becomes; the log says ``event=health_check_escalation``."""
_KEPT: Final = 2000
_CHUNK: Final = 65_536
_REAP_S: Final = 5.0


def arguments(command: str, *, marker: str, exit_code: int) -> list[str]:
    """The command's words with ``{marker}`` and ``{exit_code}`` filled in.

    Words are split first and filled afterwards, and no shell sees them: whatever is filled in stays one argument.
    Raises ValueError that says what is wrong with the command.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        raise ValueError("has a quote that does not end; close it") from None
    if not words:
        raise ValueError("is empty; write a program and its arguments")
    try:
        return [word.format_map({"marker": marker, "exit_code": exit_code}) for word in words]
    except (LookupError, ValueError, AttributeError):
        raise ValueError("has a blank that nobody fills; only {marker} and {exit_code} are") from None


async def escalate(command: str, *, exit_code: int, timeout_s: float, marker: str = MARKER) -> dict[str, Any]:
    """Run it and tell how that went; raises nothing but a cancellation. Its children end with it.

    The answer has ``program``, ``marker``, ``exit_code`` (that was handed over), ``returned`` (None: it did not end by
    itself), ``timed_out``, ``output`` (its last 2,000 characters) and ``error`` (empty: it worked).
    """
    told: dict[str, Any] = {
        "program": "",
        "marker": marker,
        "exit_code": exit_code,
        "returned": None,
        "timed_out": False,
        "output": "",
        "error": "",
    }
    try:
        words = arguments(command, marker=marker, exit_code=exit_code)
    except ValueError as error:
        told["error"] = f"the escalation command {error}"
        return told
    told["program"] = words[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        told["error"] = f"{words[0]} cannot be started: {reason}; correct the escalation command"
        return told
    tail = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            await _read(process, tail)
            told["returned"] = await process.wait()
    except TimeoutError:
        told["timed_out"] = True
        told["error"] = f"{words[0]} did not end within {timeout_s:g} s and was killed"
    finally:
        await _end(process)
    told["output"] = tail.decode("utf-8", "replace")
    if told["returned"]:
        told["error"] = f"{words[0]} ended with {told['returned']}; look at its output"
    if told["error"]:
        log.error("escalation failed: %s", told["error"])
    return told


async def _read(process: Process, tail: bytearray) -> None:
    """Its output to the end, keeping the last of it."""
    stream = process.stdout
    while stream is not None and (data := await stream.read(_CHUNK)):
        tail += data
        del tail[:-_KEPT]


async def _end(process: Process) -> None:
    """Nothing of it is left: it leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REAP_S):
            await process.wait()
    transport = getattr(process, "_transport", None)  # a pipe held open elsewhere must not keep ours open
    if transport is not None:
        transport.close()
