"""A terminal that blocks of a page are typed into, one after the other, as a reader does."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

DEADLINE_S = 120
_MARK = "--- the block has ended ---"


class Terminal:
    """One bash; directory and variables stay from block to block. A command that fails ends it."""

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        self.seen = ""
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._type("set -euo pipefail")

    def run(self, block: str) -> str:
        """Type it and wait for its end. Returns what it printed; AssertionError when a command failed."""
        before = len(self.seen)
        self.begin(block)
        self._type(f"echo '{_MARK}'")
        self.until(f"{_MARK}\n")
        printed = self.seen[before:].replace(f"{_MARK}\n", "")
        self.seen = self.seen[:before] + printed
        return printed

    def begin(self, block: str) -> None:
        """Type it and do not wait. Its commands read nothing of what is typed later."""
        self._type(f"{{\n{block}\n}} </dev/null")

    def until(self, text: str) -> None:
        """Wait for it to be printed."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.seen:
            assert self._read(end - time.monotonic()), f"no {text!r}; this was printed:\n{self.seen}"

    def interrupt(self) -> int:
        """Ctrl-C, and the end: what the command that ran exited with."""
        os.killpg(self._process.pid, signal.SIGINT)
        assert self._process.stdin is not None
        self._process.stdin.close()
        end = time.monotonic() + DEADLINE_S
        while self._read(end - time.monotonic()):
            pass
        return self._process.wait(DEADLINE_S)

    def _type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())
        self._process.stdin.flush()

    def _read(self, seconds: float) -> bool:
        """What came, if something came within the time."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            if seconds <= 0 or not waiting.select(seconds):
                return False
        came = os.read(self._process.stdout.fileno(), 65536).decode("utf-8", "replace")
        self.seen += came
        return bool(came)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
