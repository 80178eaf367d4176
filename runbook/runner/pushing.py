"""Exit codes to the Pushgateway. Nothing here can change what a run's result is."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import pushadd_to_gateway

log = logging.getLogger(__name__)

JOB: Final = "runbook"
NO_WINDOW: Final = "none"
"""The label of a run that belongs to no window; an empty label would be no label."""
_MOST_UNSENT: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCode:
    """What is pushed after a run."""

    command: str
    window: str
    profile: str
    exit_code: int
    duration_s: float
    finished_s: float
    """Unix time."""

    @property
    def group(self) -> dict[str, str]:
        """The labels. They are the group too, so that a push replaces only its own figures."""
        return {"command": self.command, "window": self.window, "profile": self.profile}


class ExitCodePusher:
    """Pushes, and keeps what could not be sent for the next time: the latest of each group, at most 100 groups.

    ``sent`` and ``failed`` count. Without an address nothing is pushed and nothing kept. Figures (labels ``command``,
    ``window``, ``profile``): ``md_runbook_exit_code``, ``md_runbook_duration_seconds`` and, after an exit code 0,
    ``md_runbook_last_success_timestamp_seconds``.
    """

    def __init__(self, url: str | None, directory: Path, *, timeout_s: float = 3.0) -> None:
        self.sent = 0
        self.failed = 0
        self._url = url
        self._directory = directory
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="runbook-push")
        """One: pushes keep their order."""

    async def push(self, code: ExitCode) -> bool:
        """Send it, after what is left from before. False when it could not be sent; never raises for that."""
        if self._url is None:
            return True
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._push, code)

    def close(self) -> None:
        """Waits for the push under way, at most its time limit. Idempotent."""
        self._thread.shutdown(wait=True)

    def _push(self, code: ExitCode) -> bool:
        path = self._directory / f"{_digest(code)}.json"
        kept = False
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _keep(path, code)
            kept = True
            with _alone(self._directory):
                return self._send_kept(path)
        except OSError as error:  # the disk is full or somebody else is pushing: the figure matters more
            log.warning("exit codes cannot be kept for later in %s: %s", self._directory, error.strerror or error)
        sent = self._send(code)
        if sent and kept:
            path.unlink(missing_ok=True)
        return sent

    def _send_kept(self, wanted: Path) -> bool:
        """Everything kept, oldest first; stops at the first failure, because the next would fail as well."""
        files = sorted(self._directory.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[: max(0, len(files) - _MOST_UNSENT)]:
            log.warning("an exit code that could never be sent is dropped: more than %d are waiting", _MOST_UNSENT)
            file.unlink(missing_ok=True)
        for file in files[-_MOST_UNSENT:]:
            code = _kept(file)
            if code is not None and not self._send(code):
                return False
            file.unlink(missing_ok=True)
        return not wanted.exists()

    def _send(self, code: ExitCode) -> bool:
        registry = CollectorRegistry()
        Gauge("md_runbook_exit_code", "Exit code of the last run", registry=registry).set(code.exit_code)
        Gauge("md_runbook_duration_seconds", "How long the last run took", registry=registry).set(code.duration_s)
        if code.exit_code == 0:
            Gauge(
                "md_runbook_last_success_timestamp_seconds", "When a run last ended with exit code 0", registry=registry
            ).set(code.finished_s)
        try:
            pushadd_to_gateway(self._url or "", JOB, registry, grouping_key=code.group, timeout=self._timeout_s)
        except (OSError, HTTPException, ValueError) as error:
            self.failed += 1
            log.warning("exit code %d of %s could not be pushed: %s", code.exit_code, code.command, error)
            return False
        self.sent += 1
        return True


def _digest(code: ExitCode) -> str:
    return hashlib.sha256("\0".join(code.group.values()).encode("utf-8", "surrogatepass")).hexdigest()


def _keep(path: Path, code: ExitCode) -> None:
    fd, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(code), file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _kept(path: Path) -> ExitCode | None:
    try:
        return ExitCode(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Raises BlockingIOError when another process is pushing what is kept."""
    fd = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)
