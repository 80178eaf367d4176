"""Inspections of settings as operators write them, and small servers to check against."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

from gateway.clock import Clock, SystemClock
from runbook.checks import Finding, Inspection, Severity, read_inspection

PRIMARY = {
    "CTP_PRIMARY_BROKER_ID": "9999",
    "CTP_PRIMARY_USER_ID": "160219",
    "CTP_PRIMARY_PASSWORD": "pl4nted-primary",
    "CTP_PRIMARY_MD_ADDRESS": "tcp://127.0.0.1:1",
}
BACKUP = {
    "CTP_BACKUP_BROKER_ID": "9999",
    "CTP_BACKUP_USER_ID": "160220",
    "CTP_BACKUP_PASSWORD": "pl4nted-backup",
    "CTP_BACKUP_MD_ADDRESS": "tcp://127.0.0.1:2",
}


def inspection(
    environ: Mapping[str, str] | None = None, *, profile: Any = "live", clock: Clock | None = None, **options: Any
) -> Inspection:
    """Of these variables alone."""
    return read_inspection(clock or SystemClock(), profile=profile, environ=environ or {}, **options)


def of(findings: Any, severity: Severity) -> list[Finding]:
    return [finding for finding in findings if finding.severity is severity]


def the_only(findings: Any, severity: Severity) -> Finding:
    """The one that is not fine; it must name a fix when it is bad."""
    (found,) = [finding for finding in findings if finding.severity is severity]
    assert found.what
    assert found.fix or severity in (Severity.OK, Severity.INFO)
    return found


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def web(pages: Mapping[str, tuple[int, bytes]], *, date_s: float | None = None) -> Iterator[str]:
    """A real HTTP server; what is not a page is 404. ``date_s``: the time that it says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages.get(self.path, (404, b"no such page"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(date_s if date_s is not None else timestamp, usegmt=True)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path
