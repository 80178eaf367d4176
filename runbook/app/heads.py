"""The audit's head to the Pushgateway, without ever keeping a record waiting for it."""

from __future__ import annotations

import logging
import threading
from http.client import HTTPException
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import push_to_gateway

from runbook.audit import Position
from runbook.audit.witness import head_gauge

log = logging.getLogger(__name__)

JOB: Final = "runbook_audit"


class HeadPusher:
    """A witness for ``open_audit``: pushes the latest head from a thread of its own; older ones may be passed over.

    May be called from any thread, and returns at once. ``close`` sends what is waiting, within the time limit.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._news = threading.Condition()
        self._waiting: Position | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def __call__(self, position: Position) -> None:
        with self._news:
            if self._closed:
                return
            self._waiting = position
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="audit-head", daemon=True)
                self._thread.start()
            self._news.notify()

    def close(self) -> None:
        """Blocks for at most two pushes. Idempotent."""
        with self._news:
            self._closed = True
            self._news.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(2 * self._timeout_s + 1)

    def _work(self) -> None:
        while True:
            with self._news:
                while self._waiting is None and not self._closed:
                    self._news.wait()
                position, self._waiting = self._waiting, None
            if position is None:
                return
            self._push(position)

    def _push(self, position: Position) -> None:
        registry = CollectorRegistry()
        head_gauge(position, registry)
        try:
            push_to_gateway(self._url, JOB, registry, timeout=self._timeout_s)
        except (OSError, HTTPException, ValueError) as error:
            log.warning("the audit's head %s could not be pushed: %s", position, error)
