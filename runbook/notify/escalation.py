"""Tells somebody when a stage keeps failing: the operators' command, a message, or both."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from runbook.notify.command import CommandOutcome, run_command
from runbook.notify.message import Message, Sent
from runbook.notify.notifier import Notifier
from runbook.settings import EscalationSettings

log = logging.getLogger(__name__)

_MOST: Final = 1000
_SHOWN: Final = 500
NOBODY: Final = "nobody was told: set RUNBOOK_ESCALATION__COMMAND or RUNBOOK_NOTIFY__URLS"


class StageFailures:
    """How often each stage failed in a row, remembered over processes. Blocks shortly; safe between processes.

    A memory that cannot be kept is logged; the count then goes on from what this object knows.
    """

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir
        self._known: dict[str, int] = {}

    def failed(self, stage: str) -> int:
        """One more; gives how many in a row."""
        return self._change(stage, lambda count: count + 1)

    def succeeded(self, stage: str) -> None:
        """Begin to count anew."""
        self._change(stage, lambda _: 0)

    def count(self, stage: str) -> int:
        """Failures in a row."""
        return self._change(stage, lambda count: count)

    def _change(self, stage: str, how: Any) -> int:
        try:
            with self._held() as counts:
                after: int = how(counts.get(stage, 0))
                counts.pop(stage, None)
                if after:
                    counts[stage] = after
        except OSError as error:
            log.warning("failures cannot be counted in %s: %s", self._directory, error.strerror or error)
            after = how(self._known.get(stage, 0))
        self._known[stage] = after
        return after

    @contextlib.contextmanager
    def _held(self) -> Iterator[dict[str, int]]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / "failures.json"
        descriptor = os.open(self._directory / ".failures.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            counts = _read(path)
            before = dict(counts)
            yield counts
            if counts != before:
                _write(path, dict(list(counts.items())[-_MOST:]))
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalated:
    """What was done about a failure."""

    failures: int
    """In a row, this one included."""
    command: CommandOutcome | None = None
    """None: it was not run."""
    message: Sent | None = None
    due: bool = False
    """Whether somebody was to be told."""

    @property
    def done(self) -> bool:
        """Whether the failure was escalated at all."""
        return self.command is not None or self.message is not None

    @property
    def said(self) -> str:
        """For people, one line."""
        if not self.done:
            return f"failed {self.failures} times in a row; {NOBODY if self.due else 'nobody was told yet'}"
        parts = []
        if self.command is not None:
            said = self.command.output.strip()[-_SHOWN:]
            how = self.command.error or f"{self.command.program} ended with 0"
            parts.append(f"{how}, and said: {said}" if said else how)
        if self.message is not None:
            parts.append(self.message.left_out or f"{self.message.taken} of {len(self.message.answers)} addresses told")
        return f"failed {self.failures} times in a row; escalated: " + "; ".join(parts)


class Escalates(Protocol):
    """What those need who escalate; :class:`Escalation` does it."""

    async def failed(
        self, stage: str, exit_code: int, *, marker: str = "", text: str = "", told: bool = False
    ) -> Escalated:
        """See :meth:`Escalation.failed`."""
        ...

    async def tell(self, stage: str, failures: int, exit_code: int, *, marker: str = "", text: str = "") -> Escalated:
        """See :meth:`Escalation.tell`."""
        ...

    def succeeded(self, stage: str) -> None:
        """See :meth:`Escalation.succeeded`."""
        ...


class Escalation:
    """Counts the failures of stages; from the one of ``settings.after`` on it escalates each.

    Repeated messages are held back by the notifier, so a stage that fails for hours does not flood anybody.
    """

    def __init__(
        self,
        settings: EscalationSettings,
        state_dir: Path,
        notifier: Notifier | None = None,
        environment: Mapping[str, str] | None = None,
        profile: str = "",
    ) -> None:
        """``environment``: of the command, in place of this process's own; ``profile``: its FEEDGATE_PROFILE."""
        self.failures = StageFailures(state_dir)
        self._settings = settings
        self._notifier = notifier
        self._environment = environment
        self._profile = profile

    async def failed(
        self, stage: str, exit_code: int, *, marker: str = "", text: str = "", told: bool = False
    ) -> Escalated:
        """A stage failed. ``marker`` is what the command gets (the stage when empty), ``text`` what people read.

        ``told``: only count, because this trouble was escalated a moment ago. Never raises for what the command or an
        address does.
        """
        failures = self.failures.failed(stage)
        if told or failures < self._settings.after:
            return Escalated(failures=failures)
        return await self.tell(stage, failures, exit_code, marker=marker, text=text)

    async def tell(self, stage: str, failures: int, exit_code: int, *, marker: str = "", text: str = "") -> Escalated:
        """Escalate now, for somebody who counts by himself. Never raises for what the command or an address does."""
        marker = marker or stage
        command = message = None
        if self._settings.command:
            command = await run_command(
                self._settings.command,
                marker=marker,
                exit_code=exit_code,
                timeout_s=self._settings.timeout_s,
                environment=self._environment,
                profile=self._profile,
            )
        if self._notifier is not None and self._notifier.addresses:
            title = f"{stage} failed {failures} times (exit code {exit_code})"
            message = await self._notifier.send(
                Message(
                    title=title,
                    text="\n".join(part for part in (text, command.error if command else "") if part) or title,
                    severity="failure",
                    key=f"escalation\0{stage}\0{exit_code}",
                )
            )
        escalated = Escalated(failures=failures, command=command, message=message, due=True)
        if not escalated.done:
            log.error("%s failed %d times and %s", stage, failures, NOBODY)
        return escalated

    def succeeded(self, stage: str) -> None:
        """A stage succeeded: its failures are forgotten. Blocks shortly."""
        self.failures.succeeded(stage)


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_bytes())
        return {str(stage): int(count) for stage, count in found.items() if int(count) > 0}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, RecursionError):
        log.warning("%s cannot be read; failures are counted anew", path)
        return {}


def _write(path: Path, counts: dict[str, int]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".failures", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(counts, file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
