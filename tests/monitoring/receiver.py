"""Where Alertmanager's notifications arrive."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert of one notification."""

    receiver: str
    name: str
    status: str
    """``firing`` or ``resolved``"""
    labels: dict[str, str]
    annotations: dict[str, str]

    def fits(self, name: str, status: str, labels: Mapping[str, str]) -> bool:
        return (self.name, self.status) == (name, status) and labels.items() <= self.labels.items()


class Receiver(ThreadingHTTPServer):
    """Takes what is posted to ``/NAME``; ``notices`` has all of it, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.notices: list[Notice] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, name="receiver")

    def take(self, receiver: str, body: dict[str, Any]) -> None:
        for alert in body["alerts"]:
            labels = alert["labels"]
            notice = Notice(receiver, labels["alertname"], alert["status"], labels, alert["annotations"])
            self.notices.append(notice)

    def heard(self, name: str, status: str, labels: Mapping[str, str], *, since: int = 0) -> Notice | None:
        """The first such notice, from that place in the list on."""
        return next((one for one in self.notices[since:] if one.fits(name, status, labels)), None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Taking(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.take(self.path.strip("/"), body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass
