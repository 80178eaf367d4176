"""The servers around the gateway, all real (the Pushgateway, Prometheus), and a place for notifications."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Self

import pytest

DEADLINE_S: Final = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def get(url: str) -> str:
    """The text at an address. Raises OSError."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def program(name: str) -> str:
    """Its path; skips, or fails where all tools are required."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed; apt-get install {name}"
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextmanager
def serving(name: str, directory: Path, *arguments: str) -> Iterator[str]:
    """Debian's ``prometheus`` or ``prometheus-pushgateway`` on a free port; its address, once it answers."""
    url = f"http://127.0.0.1:{free_port()}"
    log = directory / f"{name}.log"
    words = [program(name), f"--web.listen-address={url.removeprefix('http://')}", *arguments]
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, cwd=directory)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                get(f"{url}/-/ready")
            except OSError:
                time.sleep(0.05)
            else:
                break
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def prometheus(directory: Path, targets: dict[str, str]) -> Iterator[str]:
    """One that scrapes these jobs (name → host:port) often."""
    jobs = ", ".join(
        f"{{job_name: {job}, honor_labels: true, static_configs: [{{targets: ['{host}']}}]}}"
        for job, host in targets.items()
    )
    config = directory / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\nscrape_configs: [{jobs}]\n")
    data = directory / "prometheus"
    with serving("prometheus", directory, f"--config.file={config}", f"--storage.tsdb.path={data}") as url:
        yield url


class Mailbox(ThreadingHTTPServer):
    """Where notifications arrive; ``taken`` has their texts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[str] = []
        self.address = f"json://127.0.0.1:{self.server_port}/desk"
        self._thread = threading.Thread(target=self.serve_forever, name="mailbox")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Taking(BaseHTTPRequestHandler):
    server: Mailbox

    def do_POST(self) -> None:
        self.server.taken.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass
