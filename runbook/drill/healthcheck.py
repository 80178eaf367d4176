"""Health during a drill: the built-in check, or the operators' command (``DRILL_HEALTH_CMD``)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping
from typing import Any, Final, Protocol

from gateway.client import Client
from gateway.errors import FeedgateError
from gateway.settings import Settings
from runbook.model import Exit
from runbook.settings import HealthSettings

_KEPT: Final = 2000
_REAP_S: Final = 5.0

Health = tuple[int, str, Mapping[str, Any]]
"""Exit code as of ``check-feed-health`` (0 ok, 1 warning, anything else an error), one line, JSON values."""


class HealthCheck(Protocol):
    """Measures now, and judges. Raises nothing but a cancellation: what it cannot measure is an error."""

    async def __call__(self, client: Client, /) -> Health: ...


def built_in(settings: Settings, rules: HealthSettings) -> HealthCheck:
    """What ``check-feed-health`` does, on the drill's own connection."""

    async def check(client: Client) -> Health:
        from runbook.health.judge import Limits, judge, unmeasured  # noqa: PLC0415 - a drill may bring another check
        from runbook.health.measure import measure  # noqa: PLC0415 - as above

        limits = Limits(
            coverage_threshold=rules.coverage_threshold,
            lag_warning_s=rules.lag_warning_s,
            lag_critical_s=rules.lag_critical_s,
        )
        try:
            report = judge(await measure(client, settings), limits)
        except FeedgateError as error:
            report = unmeasured(error)
        carried = f"{report.matched_total} of {report.expected_total} contracts are carried"
        said = (*report.errors, *report.warnings) if report.exit_code else ()
        return report.exit_code, next(iter(said), carried), report.as_json()

    return check


def command(text: str, timeout_s: float = 60.0) -> HealthCheck:
    """Runs a command without a shell; its exit code is the answer. Its children end with it."""

    async def check(_client: Client) -> Health:
        words = shlex.split(text)
        program = words[0] if words else ""
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
            )
        except (OSError, ValueError, TypeError) as error:
            reason = getattr(error, "strerror", None) or error
            return Exit.ERROR, f"DRILL_HEALTH_CMD: {program!r} cannot be started: {reason}; correct it", {}
        tail = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                while process.stdout is not None and (data := await process.stdout.read(65_536)):
                    tail += data
                    del tail[:-_KEPT]
                returned = await process.wait()
        except TimeoutError:
            return Exit.TIMED_OUT, f"DRILL_HEALTH_CMD: {program} did not end within {timeout_s:g} s and was killed", {}
        finally:
            await _end(process)
        # the rest of its output stays out of the report: nobody knows what it holds
        last = tail.decode("utf-8", "replace").strip().rpartition("\n")[2]
        message = f"DRILL_HEALTH_CMD: {program} ended with {returned}" + (f": {last}" if last else "")
        return returned, message, {"program": program, "returned": returned}

    return check


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
