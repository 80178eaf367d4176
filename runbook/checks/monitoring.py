"""Monitoring: figures are served, exit codes have somewhere to go, Prometheus can be asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.checks.reach import get

_READY: Final = "/-/ready"
_QUERY: Final = "/api/v1/query?query=up"


def check(inspection: Inspection) -> Sequence[Finding]:
    """Asks Pushgateway and Prometheus whether they are ready, where an address is set."""
    return tuple(_findings(inspection))


def _findings(inspection: Inspection) -> Iterator[Finding]:
    if inspection.gateway_settings is not None:
        metrics = inspection.settings.metrics
        if metrics.enabled:
            yield Finding.ok(f"the gateway serves metrics at {metrics.host}:{metrics.port}")
        else:
            yield inspection.lacking(
                "FEEDGATE_METRICS__ENABLED is false: no dashboard and no alert has figures",
                "set FEEDGATE_METRICS__ENABLED=true",
            )
    metrics_of_runbook = inspection.runbook.metrics
    pushgateway, prometheus = metrics_of_runbook.pushgateway_url, metrics_of_runbook.prometheus_url
    if pushgateway is None:
        yield inspection.lacking(
            "PUSHGATEWAY_URL is not set: exit codes are pushed nowhere", "set PUSHGATEWAY_URL=http://HOST:9091"
        )
    else:
        answer = get(pushgateway, _READY, inspection.timeout_s)
        if answer.ok:
            yield Finding.ok(f"the Pushgateway at {pushgateway} is ready")
        else:
            yield inspection.lacking(
                f"the Pushgateway at {pushgateway} is not ready: {answer.said}",
                f"start it, or correct PUSHGATEWAY_URL; curl {pushgateway}{_READY}",
            )
    if prometheus is None:
        yield inspection.lacking(
            "OPS_PROMETHEUS_URL is not set: summaries and `runbook alert-smoke` have nothing to ask",
            "set OPS_PROMETHEUS_URL=http://HOST:9090",
        )
    else:
        yield _prometheus(inspection, prometheus)


def _prometheus(inspection: Inspection, url: str) -> Finding:
    answer = get(url, _READY, inspection.timeout_s)
    if answer.ok:
        answer = get(url, _QUERY, inspection.timeout_s)
        if answer.ok and not _is_query_answer(answer.body):
            return inspection.lacking(
                f"what answers at {url} is not Prometheus", "correct OPS_PROMETHEUS_URL (http://HOST:9090)"
            )
    if answer.ok:
        return Finding.ok(f"Prometheus at {url} is ready and answers queries")
    return inspection.lacking(
        f"Prometheus at {url} is not ready: {answer.said}",
        f"start it, or correct OPS_PROMETHEUS_URL; curl {url}{_READY}",
    )


def _is_query_answer(body: bytes) -> bool:
    """The status comes first, so that an answer cut off after 64 KiB is known as well."""
    if body.startswith(b'{"status":"success"'):
        return True
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("status") == "success"


CHECK = Check(name="monitoring", title="Monitoring switches", run=check)
