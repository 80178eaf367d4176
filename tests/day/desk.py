"""The operators' desk: a directory, an ``.env.live``, and their commands, typed as the contract writes them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.day.wall import Wall

ROOT: Final = Path(__file__).parents[2]
OPERATIONS: Final = ROOT / "runbook" / "operations"
TIMEOUT_S: Final = 180.0
_OURS: Final = (
    *("RUNBOOK_", "FEEDGATE_", "CTP_", "SOPT_", "NATS_", "OPS_", "VAULT_", "PUSHGATEWAY", "DRILL_", "ACTIVE_FEED"),
    *("RATE_LIMIT_", "SUBSCRIBE_", "MD_", "SESSION_CONFIG", "LD_PRELOAD", "FAKETIME"),
)
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    words: tuple[str, ...]
    code: int
    out: str
    began: datetime
    """When it was typed, by the day's clock."""
    seconds: float

    @property
    def at(self) -> str:
        """For tables."""
        return f"{self.began:%m-%d %H:%M}"

    @property
    def line(self) -> str:
        """As it was typed."""
        return " ".join(f'"{word}"' if " " in word else word for word in self.words)

    def json(self) -> Any:
        """What ``--json`` printed."""
        return json.loads(self.out)


@dataclass(slots=True)
class ArgumentWatch:
    """Looks at the arguments of all processes of this user's tree while the day goes on."""

    secrets: tuple[str, ...]
    found: set[str] = field(default_factory=set)
    looks: int = 0
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="arguments")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        assert self._thread is not None
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_LOOK_S):
            self.looks += 1
            for _, line in command_lines():
                self.found |= {f"{secret} in {line}" for secret in self.secrets if secret in line}


def command_lines() -> Iterator[tuple[int, str]]:
    """The id and the arguments of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                yield int(entry.name), line


class Desk:
    """Somebody in a directory of their own who types commands; ``done`` has them all."""

    def __init__(self, root: Path, wall: Wall, *, variables: Mapping[str, str], environment: Mapping[str, str]) -> None:
        """``variables`` go into ``.env.live``, ``environment`` into the process's environment."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        self.root, self.wall = root, wall
        self.logs, self.state = root / "logs" / "runbooks", root / "state" / "runbook"
        self.done: list[Done] = []
        self.write(variables)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        paths = [str(Path(sys.executable).parent), kept.get("PATH", "")]
        self.environment = kept | dict(environment) | wall.environment | {
            "PATH": os.pathsep.join(paths),
            "PYTHONPATH": os.pathsep.join(path for path in (str(ROOT), *sys.path) if path),
            "TZ": "UTC",  # the runbook shows Shanghai times whatever the machine's zone is
        }  # fmt: skip

    def write(self, variables: Mapping[str, str]) -> None:
        """``.env.live``, for its owner only."""
        file = self.root / ".env.live"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Type a command and do not wait."""
        return subprocess.Popen(
            self._program(words),
            cwd=self.root,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, *words: str, **environment: str) -> Done:
        """Type a command and wait for its end."""
        at, began = self.wall.now(), self.wall.ns()
        with self.start(*words, **environment) as process:
            try:
                out, _ = process.communicate(timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        seconds = (self.wall.ns() - began) / 1e9
        self.done.append(Done(words, process.returncode, out, at, seconds))
        return self.done[-1]

    @staticmethod
    def _program(words: Iterable[str]) -> list[str]:
        name, *rest = words
        if name in ("runbook", "gateway"):
            return [sys.executable, "-m", name, *rest]
        return [str(OPERATIONS / name), *rest]

    # -- what there is to see ------------------------------------------------------------------------------------

    def log(self, name: str) -> str:
        """A file of the log directory, with what was turned over before it; empty when it is not there."""
        path = self.logs / name
        pieces = [(piece, piece.name.split(".")[-2:]) for piece in self.logs.glob(f"{name}.20*.*")]
        older = [piece for piece, (day, number) in sorted(pieces, key=lambda one: (one[1][0], int(one[1][1])))]
        return "".join(file.read_text() for file in (*older, path) if file.is_file())

    def json_lines(self, name: str) -> list[dict[str, Any]]:
        """A log of JSON lines."""
        return [json.loads(line) for line in self.log(name).splitlines()]

    def audit(self) -> list[dict[str, Any]]:
        """All records, in their order."""
        return [
            json.loads(line)
            for path in sorted((self.state / "audit").glob("audit-*.jsonl"))
            for line in path.read_text().splitlines()
        ]

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Everything in the directory but the two files that are meant to hold variables."""
        for path in self.root.rglob("*"):
            if path.is_file() and path.name not in (".env.live", ".env.runtime"):
                yield path, path.read_bytes()

    def processes(self) -> list[tuple[int, str]]:
        """Processes that belong to this directory, by their arguments."""
        return [(pid, line) for pid, line in command_lines() if str(self.root) in line]
