"""A probe value on its way from here through the Pushgateway to Prometheus."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import pushadd_to_gateway

from gateway.errors import FeedgateError
from runbook.runner.pushing import JOB

METRIC: Final = "md_runbook_exit_code"
_LARGEST: Final = 4 << 20


class ProbeError(FeedgateError):
    """The Pushgateway or Prometheus cannot be asked."""

    code = "probe"


def push_value(url: str, labels: dict[str, str], value: float, timeout_s: float) -> None:
    """Set the value of the group. Blocks. Raises ProbeError."""
    registry = CollectorRegistry()
    Gauge(METRIC, "Exit code of the last run", registry=registry).set(value)
    try:
        pushadd_to_gateway(url, JOB, registry, grouping_key=labels, timeout=timeout_s)
    except (OSError, HTTPException, ValueError) as error:
        raise ProbeError(f"the Pushgateway at {url} did not take it: {_why(error)}") from None


def read_values(url: str, labels: dict[str, str], timeout_s: float) -> list[float]:
    """What Prometheus has for these labels now, through its query API. Blocks. Raises ProbeError."""
    wanted = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    asked = urlencode({"query": f"{METRIC}{{{wanted}}}"})
    request = Request(f"{url}/api/v1/query?{asked}", headers={"Accept": "application/json"})  # noqa: S310 - http(s) by the settings' type
    try:
        with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - as above
            found: Any = json.loads(answer.read(_LARGEST))
        if found["status"] != "success":
            raise ProbeError(f"Prometheus at {url} refused the question: {found.get('error', found['status'])}")
        return [float(series["value"][1]) for series in found["data"]["result"]]
    except (OSError, HTTPException) as error:
        raise ProbeError(f"Prometheus at {url} cannot be asked: {_why(error)}") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise ProbeError(f"{url} does not answer as Prometheus does; check OPS_PROMETHEUS_URL") from None


def _why(error: Exception) -> str:
    if isinstance(error, HTTPError):
        with error:
            return f"HTTP {error.code}"
    reason = error.reason if isinstance(error, URLError) else error
    return (isinstance(reason, OSError) and reason.strerror) or str(reason) or type(reason).__name__
