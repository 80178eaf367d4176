"""Head hashes for those who keep them where an intruder on this machine cannot reach: logs, Prometheus, the bus."""

from __future__ import annotations

import json
import logging
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from gateway.subjects import EVENTS
from runbook.audit.chain import Position

logger = logging.getLogger(__name__)

SUBJECT: Final = f"{EVENTS}.audit"
METRIC: Final = "md_runbook_audit_head"


def log_head(position: Position) -> None:
    """One line in the log of the process. Fits ``AuditLog(after=…)``."""
    logger.info("audit head %s", position, extra={"audit_seq": position.seq, "audit_hash": position.hash})


def head_message(position: Position) -> bytes:
    """What is published on ``md.event.audit``: a JSON object with ``v``, ``kind``, ``seq``, ``hash``, ``at``."""
    body = {"v": 1, "kind": "audit_head", "seq": position.seq, "hash": position.hash, "at": position.written}
    return json.dumps(body, separators=(",", ":")).encode()


def head_gauge(position: Position, registry: CollectorRegistry) -> None:
    """``md_runbook_audit_head{hash="…"} <seq>`` in a registry that is made for one push.

    One series at a time on a Pushgateway, because a push replaces its group; Prometheus keeps them all, which is the
    point. ``NUMBER:HASH`` for ``runbook audit verify --expect`` is value and label.
    """
    gauge = Gauge(METRIC, "Number of the last audit record; its hash is the label", ["hash"], registry=registry)
    gauge.labels(hash=position.hash).set(position.seq)
