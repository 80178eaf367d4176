"""A gateway and its console, started with the operators' commands, and everything that watches over them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from tests.day.services import get, serving
from tests.docs.documents import ROOT
from tests.integration.runbook.coming_days import coming_days
from tests.monitoring import faster
from tests.monitoring.receiver import Receiver
from tests.ports import free_port

WAIT_S: Final = 150.0
TOKEN: Final = "planted-viewer-4c1d"
RATE: Final = 400
THRESHOLDS: Final = {
    "threshold:md_throughput_mps:min": RATE // 2,
    "threshold:md_rate_limit_waits:max": 3,
    "threshold:consumer_backlog_messages:max": 100,
}
FEED: Final = """
[feeds.sim]
kind = "told"
instruments = ["*"]
exclude = ["SHFE.zz*"]
[feeds.sim.options]
away = "{away}"
exchanges = ["SHFE"]
contracts = 50
quiet = 0.0
rate = {rate}
[feeds.sim.accounts.primary]
[feeds.sim.accounts.backup]
[feeds.cold]
kind = "told"
instruments = ["*"]
router = "primary_backup_cold"
[feeds.cold.options]
away = "{away}"
exchanges = ["CFFEX"]
contracts = 5
quiet = 0.0
rate = {rate}
connect_ms = 6000
[feeds.cold.accounts.primary]
[feeds.cold.accounts.backup]
[lines]
connect_timeout_s = 30.0
restart_max_s = 0.5
[failover]
up_s = 20.0
cooldown_s = 0.1
[subscriptions]
batch_size = 5
burst = 10
per_second = 20
login_per_minute = 60
[metrics]
port = {metrics}
[bus]
bundled_port = {nats}
"""
_OURS: Final = (
    "FEEDGATE_",
    "RUNBOOK_",
    "OPS_",
    "CTP_",
    "SOPT_",
    "NATS_",
    "PUSHGATEWAY",
    "VAULT_",
    "RATE_",
    "SUBSCRIBE_",
)


def until(condition: Callable[[], Any], what: Callable[[], str] | str, seconds: float = WAIT_S) -> Any:
    """Its first true value."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(0.05)
    return found


class Watched:
    """One gateway. ``prometheus``, ``pushgateway``, ``alertmanager``: their addresses."""

    def __init__(self, root: Path) -> None:
        self.root, self.away = root, root / "away"
        self.away.mkdir(parents=True)
        self.metrics, self.nats, self.console = free_port(), free_port(), free_port()
        self.nats_url = f"nats://127.0.0.1:{self.nats}"
        self.prometheus = self.pushgateway = self.alertmanager = ""
        feed = FEED.format(away=self.away, rate=RATE, metrics=self.metrics, nats=self.nats)
        (root / "feed.toml").write_text(feed)
        info = root / "site" / "told-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: told\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[feedgate]\ntold = tests.monitoring.told_feed\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.environment = kept | coming_days(root / "days") | {
            "PYTHONPATH": os.pathsep.join((str(root / "site"), str(ROOT))),
            "OPS_API_TOKENS": f"viewer:prometheus:{TOKEN}",
            "RUNBOOK_START__FROZEN_S": "600",
        }  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Type a runbook command."""
        return subprocess.Popen(
            [sys.executable, "-m", "runbook", *words, "--settings", "feed.toml"],
            cwd=self.root,
            env=self.environment | {"PUSHGATEWAY_URL": self.pushgateway},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Its exit code and what it says."""
        with self.start(*words, "--reason", "a test") as process:
            out, _ = process.communicate(timeout=120)
        return process.returncode, out

    @contextmanager
    def serve(self) -> Iterator[subprocess.Popen[str]]:
        """The console."""
        with self.start("serve", "--no-jobs", "--port", str(self.console)) as process:
            try:
                until(lambda: _answers(f"http://127.0.0.1:{self.console}/healthz"), "the console does not come up")
                yield process
            finally:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.communicate(timeout=60)

    def pid(self, words: str) -> int:
        """The process of this gateway with these words in its command line."""
        found = [pid for pid, line, cwd in _processes() if words in line and cwd.startswith(str(self.root))]
        assert len(found) == 1, (words, found)
        return found[0]

    @contextmanager
    def frozen(self, *pids: int) -> Iterator[None]:
        """Stopped meanwhile, all at once."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def gone(self, line: str) -> Iterator[None]:
        """Its process is killed, and so is every one that takes its place."""
        order = self.away / line.replace(":", "-")
        order.touch()
        try:
            yield
        finally:
            order.unlink()

    @contextmanager
    def slow_consumer(self) -> Iterator[None]:
        """Wants all ticks and reads none; comes back when NATS has cut it off."""
        over = threading.Event()

        def consume() -> None:
            while not over.is_set():
                with socket.socket() as consumer:
                    consumer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    consumer.connect(("127.0.0.1", self.nats))
                    consumer.sendall(b'CONNECT {"verbose":false,"name":"slow"}\r\nSUB md.tick.> 1\r\nPING\r\n')
                    cut = select.poll()
                    cut.register(consumer, select.POLLRDHUP)
                    while not over.is_set() and not cut.poll(100):
                        pass

        consuming = threading.Thread(target=consume)
        consuming.start()
        try:
            yield
        finally:
            over.set()
            consuming.join()


def _answers(url: str) -> bool:
    try:
        get(url)
    except OSError:
        return False
    return True


def _processes() -> Iterator[tuple[int, str, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                yield int(entry.name), line, str((entry / "cwd").readlink())


@contextmanager
def watched(root: Path) -> Iterator[tuple[Watched, Receiver]]:
    """The servers run; the gateway does not yet."""
    world = Watched(root / "desk")
    with ExitStack() as stack:
        enter = stack.enter_context
        receiver = enter(Receiver())
        world.pushgateway = enter(serving("prometheus-pushgateway", root, "--persistence.file="))
        config = faster.alertmanager(root, receiver.url)
        storage = root / "alertmanager"
        world.alertmanager = enter(
            serving("prometheus-alertmanager", root, f"--config.file={config}", f"--storage.path={storage}",
                    "--cluster.listen-address=")
        )  # fmt: skip
        own = free_port()
        addresses = {
            "gateway": f"127.0.0.1:{world.metrics}",
            "console": f"127.0.0.1:{world.console}",
            "pushgateway": world.pushgateway.removeprefix("http://"),
            "alertmanager": world.alertmanager.removeprefix("http://"),
        }
        config = faster.prometheus(
            root / "prometheus", targets=addresses, own=f"127.0.0.1:{own}", token=TOKEN, thresholds=THRESHOLDS
        )
        data = root / "data"
        world.prometheus = enter(
            serving("prometheus", root, f"--config.file={config}", f"--storage.tsdb.path={data}", port=own)
        )
        yield world, receiver
