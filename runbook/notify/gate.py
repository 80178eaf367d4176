"""Which messages go out: not the same one twice, not too many. Remembered over processes in a small file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.clock import Clock

log = logging.getLogger(__name__)

FILE: Final = "notify.json"
_MINUTE_S: Final = 60.0
_MOST: Final = 2000
"""Messages remembered; more than a day of the highest sensible rate."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Whether a message may go out."""

    granted: bool
    why: str = ""
    limited: bool = False
    repeats: int = 0
    """The same message was left out so often since it was last sent."""
    lost: int = 0
    """Other messages were left out by the rate limit since the last one was sent."""


@dataclass(slots=True)
class _Memory:
    sent: list[float] = field(default_factory=list)
    """When messages went out in the last minute, Unix time."""
    last: dict[str, float] = field(default_factory=dict)
    repeats: dict[str, int] = field(default_factory=dict)
    lost: int = 0


class Gate:
    """Grants and remembers. Safe between threads and processes; blocks shortly.

    Each call locks the file and reads it anew. A memory that cannot be read or written never holds a
    message back: better one too many than a silent failure.
    Moments in the future (the clock was set back) do not count.
    """

    def __init__(self, state_dir: Path, clock: Clock, *, dedupe_s: float, per_minute: int) -> None:
        self._directory = state_dir
        self._clock = clock
        self._dedupe_s = dedupe_s
        self._per_minute = per_minute

    def ask(self, digest: str) -> Leave:
        """Whether this message may go out now; if so it counts as sent."""
        try:
            with self._held() as memory:
                return self._decide(memory, digest)
        except OSError as error:
            log.warning("what was sent cannot be remembered in %s: %s", self._directory, error.strerror or error)
            return Leave(granted=True)

    def take_back(self, digest: str, leave: Leave) -> None:
        """Nobody took it: the next message of this kind is not held back as a repetition, and the counts stand."""
        with contextlib.suppress(OSError), self._held() as memory:
            memory.last.pop(digest, None)
            memory.repeats[digest] = memory.repeats.get(digest, 0) + leave.repeats
            memory.lost += leave.lost

    def _decide(self, memory: _Memory, digest: str) -> Leave:
        now = self._clock.wall_ns() / 1e9
        memory.sent = [moment for moment in memory.sent if 0 <= now - moment < _MINUTE_S]
        last = memory.last.get(digest)
        if last is not None and 0 <= now - last < self._dedupe_s:
            memory.repeats[digest] = memory.repeats.get(digest, 0) + 1
            return Leave(granted=False, why=f"the same message was sent less than {self._dedupe_s:g} s ago")
        if len(memory.sent) >= self._per_minute:
            memory.lost += 1
            return Leave(
                granted=False, why=f"{self._per_minute} messages were sent within the last minute", limited=True
            )
        leave = Leave(granted=True, repeats=memory.repeats.pop(digest, 0), lost=memory.lost)
        memory.lost = 0
        memory.sent.append(now)
        memory.last[digest] = now
        self._forget(memory, now)
        return leave

    def _forget(self, memory: _Memory, now: float) -> None:
        young = {digest: at for digest, at in memory.last.items() if 0 <= now - at < self._dedupe_s}
        memory.last = dict(sorted(young.items(), key=lambda item: item[1])[-_MOST:])
        memory.repeats = dict(list(memory.repeats.items())[-_MOST:])

    @contextlib.contextmanager
    def _held(self) -> Iterator[_Memory]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._directory / ".notify.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for a read and a rename, never while sending
            memory = _read(self._directory / FILE)
            yield memory
            _write(self._directory / FILE, memory)
        finally:
            os.close(descriptor)


def _read(path: Path) -> _Memory:
    try:
        found: Any = json.loads(path.read_bytes())
        return _Memory(
            sent=[float(moment) for moment in found["sent"]],
            last={str(digest): float(at) for digest, at in found["last"].items()},
            repeats={str(digest): int(count) for digest, count in found["repeats"].items()},
            lost=int(found["lost"]),
        )
    except FileNotFoundError:
        return _Memory()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        log.warning("%s cannot be read and is begun anew; a message may be sent twice", path)
        return _Memory()


def _write(path: Path, memory: _Memory) -> None:
    told = {"sent": memory.sent, "last": memory.last, "repeats": memory.repeats, "lost": memory.lost}
    descriptor, name = tempfile.mkstemp(prefix=".notify", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(told, file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
