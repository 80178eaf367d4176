"""The servers around the gateway, all real (the Pushgateway, Prometheus), and a place for notifications."""

from __future__ import annotations

import json
import os
import re
import shutil
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

from tests.ports import free_port

DEADLINE_S: Final = 60.0
DEPLOYED: Final = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"


def get(url: str) -> str:
    """The text at an address. Raises OSError."""
    with urllib.request.urlopen(url, timeout=60) as answer:
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
def serving(name: str, directory: Path, *arguments: str, port: int | None = None) -> Iterator[str]:
    """Debian's ``prometheus``, ``-pushgateway`` or ``-alertmanager``, on a free port; its address, once it answers."""
    url = f"http://127.0.0.1:{port or free_port()}"
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
    """One with the configuration and the rules of ``deploy/``, that scrapes these jobs (name → host:port) often."""
    copy = directory / "prometheus"
    shutil.copytree(DEPLOYED, copy, ignore=shutil.ignore_patterns("targets", "tests"))
    (copy / "targets").mkdir()
    (copy / "console_token").write_text("none\n")
    for job, host in targets.items():
        labels = {} if job == "alertmanager" else {"gateway": "day"}
        (copy / "targets" / f"{job}.json").write_text(json.dumps([{"targets": [host], "labels": labels}]))
    config = copy / "prometheus.yml"
    paces = r"\b(scrape_interval|scrape_timeout|evaluation_interval): \d+s"
    config.write_text(re.sub(paces, r"\1: 500ms", config.read_text(encoding="utf-8")))
    data = directory / "recorded"
    with serving("prometheus", directory, f"--config.file={config}", f"--storage.tsdb.path={data}") as url:
        deadline = time.monotonic() + DEADLINE_S
        while not all(f'"job":"{job}"' in get(f"{url}/api/v1/query?query=up") for job in targets):
            assert time.monotonic() < deadline, "Prometheus does not find its targets"
            time.sleep(0.05)
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
