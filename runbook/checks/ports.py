"""Ports that we are going to listen on are free, or ours already."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity
from runbook.checks.reach import get

_OURS: Final = (b"# TYPE md_", b"# TYPE runbook_")
_EVERYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class _Port:
    host: str
    port: int
    what: str
    setting: str


def check(inspection: Inspection) -> Sequence[Finding]:
    """Binds each port for a moment. One that is taken is asked whether it is one of ours."""
    return [_try(inspection, port) for port in _ports(inspection)]


def _ports(inspection: Inspection) -> Iterator[_Port]:
    gateway, runbook = inspection.gateway_settings, inspection.runbook_settings
    if gateway is not None:
        if gateway.metrics.enabled and gateway.metrics.port:
            metrics = gateway.metrics
            yield _Port(metrics.host, metrics.port, "metrics of the gateway", "FEEDGATE_METRICS__PORT")
        bus = gateway.bus
        if bus.kind == "nats" and not bus.urls and bus.bundled_port:
            yield _Port(bus.bundled_host, bus.bundled_port, "bundled nats-server", "FEEDGATE_BUS__BUNDLED_PORT")
    if runbook is not None and runbook.api.port:
        yield _Port(runbook.api.host, runbook.api.port, "API and console", "OPS_API_PORT")


def _try(inspection: Inspection, port: _Port) -> Finding:
    what = f"port {port.port} on {port.host} ({port.what})"
    try:
        found = socket.getaddrinfo(port.host, port.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do; a live listener still refuses
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _taken(inspection, port, what)
        said = error.strerror or str(error)
        return Finding(
            inspection.serious, f"{what} cannot be used: {said}", f"correct {port.setting} or the host beside it"
        )
    return Finding.ok(f"{what} is free")


def _taken(inspection: Inspection, port: _Port, what: str) -> Finding:
    host = "127.0.0.1" if port.host in _EVERYWHERE else port.host
    shown = f"[{host}]" if ":" in host else host
    answer = get(f"http://{shown}:{port.port}", "/metrics", inspection.timeout_s)
    if answer.ok and any(family in answer.body for family in _OURS):
        return Finding(
            Severity.INFO, f"{what} is in use by a gateway or runbook that runs", "runbook stop, if it should not"
        )
    return Finding(
        inspection.serious,
        f"{what} is in use by another program",
        f"see which: ss -ltnp 'sport = :{port.port}'; stop it, or set {port.setting} to another port",
    )


CHECK = Check(name="ports", title="Free ports", run=check)
