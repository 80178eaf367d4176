"""The audit: append-only, hash-chained, fsynced JSON lines; an index for questions; views for operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.clock import Clock
from runbook.audit.chain import Entry, Position
from runbook.audit.errors import AuditError
from runbook.audit.index import AuditIndex
from runbook.audit.log import AuditLog
from runbook.audit.query import Page, Query
from runbook.audit.report import Finding, Report, Severity
from runbook.audit.verify import verify
from runbook.audit.views import ViewWriter
from runbook.audit.witness import log_head

__all__ = [
    "AuditError",
    "AuditIndex",
    "AuditLog",
    "Entry",
    "Finding",
    "Page",
    "Position",
    "Query",
    "Report",
    "Severity",
    "ViewWriter",
    "open_audit",
    "verify",
]


def open_audit(
    directory: Path,
    clock: Clock,
    *,
    key: bytes | None = None,
    log_dir: Path | None = None,
    witnesses: Sequence[Callable[[Position], object]] = (),
) -> AuditLog:
    """The log as it is meant to be used. Nothing is opened or made before the first append.

    Each record also goes into the index and, with ``log_dir``, the views; its hash to the log and ``witnesses``.
    """
    after: list[Callable[[Position], object]] = [AuditIndex(directory).refresh]
    if log_dir is not None:
        after.append(ViewWriter(directory, log_dir).update)
    return AuditLog(directory, clock, key=key, after=(*after, log_head, *witnesses))
