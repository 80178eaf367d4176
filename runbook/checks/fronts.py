"""Whether each account's fronts accept a connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity
from runbook.checks.reach import connect_error
from runbook.checks.standins import is_standin

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class _Front:
    address: str
    who: tuple[str, ...]
    """Lines that use it, with the variable."""
    severity: Severity
    """Of not reaching it."""


def check(inspection: Inspection) -> Sequence[Finding]:
    """A TCP connection to each address, all at once, closed again without a word. No login is tried."""
    fronts = list(_fronts(inspection))
    if not fronts:
        return (Finding.info("no account has a front"),)
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="front") as pool:
        return list(pool.map(lambda front: _try(front, inspection.timeout_s), fronts))


def _fronts(inspection: Inspection) -> Iterator[_Front]:
    found: dict[str, list[str]] = {}
    severities: dict[str, Severity] = {}
    for feed, rules, account, settings in inspection.lines():
        if is_standin(rules, account):
            continue  # it has no network
        for kind, address in (("market-data", settings.md_address), ("trader", settings.td_address)):
            if not address:
                continue
            found.setdefault(address, []).append(f"{kind} front of {feed}:{account}")
            needed = kind == "market-data" and (account == inspection.settings.active or inspection.require_backup)
            severity = inspection.serious if needed else Severity.WARNING
            ranks = list(Severity)
            severities[address] = max(severity, severities.get(address, severity), key=ranks.index)
    for address, who in found.items():
        yield _Front(address, tuple(who), severities[address])


def _try(front: _Front, timeout_s: float) -> Finding:
    parts = urlsplit(front.address)
    host, port = parts.hostname or "", parts.port or 0
    what = f"{front.address} ({', '.join(front.who)})"
    error = connect_error(host, port, timeout_s)
    if not error:
        return Finding.ok(f"{what} accepts connections")
    return Finding(
        front.severity,
        f"{what} cannot be reached: {error}",
        f"nc -vz {host} {port}; fronts are off outside of their service hours, otherwise ask the broker for another "
        "address, or open the firewall",
    )


CHECK = Check(name="fronts", title="Front reachability", run=check, needs_accounts=True)
