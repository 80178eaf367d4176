"""Services of docker-compose.yml without containers: their commands, with their files and variables, on this machine.

What a container has at an absolute path lies below a directory of the test; service names and ports become free ports
of 127.0.0.1. The rest is as the file says: words of the command, environment, mounts, health checks.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.docs.documents import ROOT
from tests.ports import free_port
from tests.unit.deploy.compose import aliases, mounts, services

DEADLINE_S: Final = 60.0
_PATH: Final = re.compile(
    r"(?<![\w./])/(?=(?:etc|var|run|opt|tmp|vault|prometheus|alertmanager|pushgateway)(?:/|$|\W))"
)


class Host:
    """Where the services of one profile run."""

    def __init__(self, root: Path, profile: str) -> None:
        self.root = root
        self.services = services(profile)
        self.names = {alias: name for name, one in self.services.items() for alias in aliases(name, one)}
        self.ports: dict[tuple[str, str], int] = {}
        self.running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        for one in reversed(self.running):
            one.kill()

    def port(self, name: str, port: str | int) -> int:
        """The free port that stands for a service's port."""
        key = (self.names.get(name, name), str(port))
        if key not in self.ports:
            self.ports[key] = free_port()
        return self.ports[key]

    def place(self, name: str) -> Path:
        """The file system of a service's container; volumes and secrets are links into those of all."""
        return self.root / "containers" / name

    def local(self, text: str, name: str) -> str:
        """What a file or a word of a container says, for this machine."""
        text = _PATH.sub(f"{self.place(name)}/", text)
        for alias in sorted(self.names, key=len, reverse=True):
            # four digits and no more: a token may begin with a figure too
            pattern = rf"(?<![\w.-]){re.escape(alias)}:(\d{{4}})(?!\w)"
            text = re.sub(pattern, lambda found, to=alias: self._address(to, found[1]), text)
        return re.sub(r"(?:127\.0\.0\.1|0\.0\.0\.0):(\d{4})(?!\w)", lambda found: self._address(name, found[1]), text)

    def _address(self, name: str, port: str) -> str:
        return f"127.0.0.1:{self.port(name, port)}"

    def start(self, name: str, *, program: str = "", extra: tuple[str, ...] = (), **more: str) -> Running:
        """Make its file system and run its command. ``program`` stands for an image's own, ``extra`` are more words."""
        service = self.services[name]
        place = self.place(name)
        for target, source in mounts(service).items():
            self._mount(name, place / target.lstrip("/"), source)
        for entry in service.get("tmpfs", []):
            (place / entry.partition(":")[0].lstrip("/")).mkdir(parents=True, exist_ok=True)
        home = place / "var" / "lib" / "feedgate"
        home.mkdir(parents=True, exist_ok=True)
        words = [self.local(word, name) for word in service["command"]]
        command = [*([program] if program else []), *words, *extra]
        given = {key: self.local(str(value), name) for key, value in service.get("environment", {}).items()}
        environment = _bare() | {"HOME": str(home), "TMPDIR": str(place / "tmp")} | given | more
        log = self.root / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(_found(command), cwd=home, env=environment, stdout=file, stderr=file)
        made = Running(self, name, process, environment, log)
        self.running.append(made)
        return made

    def _mount(self, name: str, target: Path, source: str) -> None:
        if target.exists() or target.is_symlink():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.startswith("secret:"):
            key = source.removeprefix("secret:")
            shutil.copy(self.root / "secrets" / {"nats_auth": "nats_auth.conf"}.get(key, key), target)
        elif source.startswith("./config/"):
            self._copy(name, self.root / source, target)
        elif source.startswith("./"):
            self._copy(name, ROOT / source, target)
        else:
            volume = self.root / "volumes" / source
            volume.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.symlink_to(volume)

    def _copy(self, name: str, source: Path, target: Path) -> None:
        if source.is_dir():
            target.mkdir()
            for one in source.iterdir():
                self._copy(name, one, target / one.name)
        else:
            target.write_text(self.local(source.read_text(encoding="utf-8"), name), encoding="utf-8")


class Running:
    """One service."""

    def __init__(
        self, host: Host, name: str, process: subprocess.Popen[bytes], environment: Mapping[str, str], log: Path
    ) -> None:
        self.host, self.name, self.process, self.log = host, name, process, log
        self._environment = dict(environment)

    def health(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Its health check, once. ``more`` are words for what has another port here."""
        test: list[str] = self.host.services[self.name]["healthcheck"]["test"][1:]
        script = "/opt/feedgate/libexec/health.py"
        words = [
            str(ROOT / "deploy" / "docker" / "health.py") if word == script else self.host.local(word, self.name)
            for word in test
        ]
        return subprocess.run(
            _found([*words, *more]), env=self._environment, check=False, capture_output=True, text=True
        )

    def healthy(self, *more: str) -> None:
        """Wait until the health check passes."""

        def passes() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.health(*more).returncode == 0

        until(passes, lambda: f"{self.name} is not healthy: {self.health(*more)}\n{self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """As ``docker compose stop``; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        """Whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def until(true: Callable[[], Any], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.3)


def _bare() -> dict[str, str]:
    """What an image's own environment has; nothing of the test run's settings."""
    beside = str(Path(sys.executable).parent)
    # vendor libraries and locales of the machine are none of a container's
    return {
        "PATH": f"{beside}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
    }


def _found(command: list[str]) -> list[str]:
    """With our commands as modules where they are not installed as scripts."""
    first, *rest = command
    if first == "python":
        return [sys.executable, *rest]
    if first in ("runbook", "gateway"):
        return [sys.executable, "-m", first, *rest]
    return command


def prepare(root: Path) -> None:
    """``prepare.sh``, for a directory of the test in place of the checkout."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(ROOT / "deploy" / "compose" / "prepare.sh"), str(root)], check=True, capture_output=True)
