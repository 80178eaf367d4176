"""What follows when a stage fails: at once, and after it failed too often. Source: the operators' contract, §9."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from gateway.clock import Clock
from gateway.errors import FeedgateError
from gateway.settings import Settings
from runbook.secrets import pull
from runbook.settings import RunbookSettings, VaultSettings
from runbook.supervisor.stages import Remedy

_CONNECT_S: Final = 3.0
_NAMED: Final = 20
_SCHEME_PORTS: Final = {"http": 80, "https": 443}


async def refreshed_secrets(vault: VaultSettings, clock: Clock, *, read: bool, profile: str) -> Remedy:
    """Environment: ``runbook secrets pull``. ``read``: whether the file that it writes is among those read here."""
    command = f"`runbook secrets pull --profile {profile}`"
    if vault.addr is None:
        text = f"secrets cannot be refreshed: VAULT_ADDR is not set; correct the files, or set it and run {command}"
        return Remedy(text)
    if not read:
        return Remedy(f"secrets can be refreshed: run {command}, then start again")
    try:
        result = await asyncio.to_thread(pull, vault, clock)
    except FeedgateError as error:
        return Remedy(f"secrets could not be refreshed: {error}; then run {command}")
    return Remedy(f"secrets refreshed: {result.message}", again=True)


async def checked_fronts(settings: Settings) -> Remedy:
    """Gateway: whether the fronts of the accounts take a connection. No login is tried."""
    fronts: dict[str, list[str]] = {}
    for name, feed in settings.feeds.items():
        for account, rules in feed.accounts.items():
            for address in filter(None, (rules.md_address, rules.td_address)):
                fronts.setdefault(address, []).append(f"{name}:{account}")
    if not fronts:
        return Remedy("fronts checked: no account has one; see gateway.log")
    found = await _reached([(address, f"{address} ({', '.join(who)})") for address, who in fronts.items()])
    advice = "fronts are off outside of their service hours, otherwise ask the broker or open the firewall"
    return Remedy(f"fronts checked: {found}; {advice}")


async def checked_network(settings: Settings, runbook: RunbookSettings) -> Remedy:
    """Metrics: whether the monitoring can be reached at all."""
    metrics, rules = runbook.metrics, settings.metrics
    places = [(url, what) for url, what in _monitoring(runbook) if url]
    if rules.enabled and rules.port:
        places.append((f"http://{rules.host}:{rules.port}", "the gateway's exporter"))
    if not places:
        return Remedy("network checked: no address of the monitoring is set; see gateway.log")
    found = await _reached([(url, f"{what} at {url}") for url, what in places])
    unset = "" if metrics.prometheus_url else "; OPS_PROMETHEUS_URL is not set"
    return Remedy(f"network checked: {found}{unset}")


def manual_subscription(missing: Iterable[str], profile: str) -> Remedy:
    """Subscriptions: what somebody types."""
    names = list(missing)
    if not names:
        return Remedy(f"subscribe by hand: `runbook subscribe --profile {profile}`")
    shown = ",".join(names[:_NAMED])
    rest = f" ({len(names) - _NAMED} more are missing: leave --include out)" if len(names) > _NAMED else ""
    return Remedy(f"subscribe by hand: `runbook subscribe --profile {profile} --include {shown}`{rest}")


def _monitoring(runbook: RunbookSettings) -> Iterable[tuple[str | None, str]]:
    yield runbook.metrics.prometheus_url, "Prometheus"
    yield runbook.metrics.pushgateway_url, "the Pushgateway"


async def _reached(places: Iterable[tuple[str, str]]) -> str:
    """One look at each, all at the same time."""

    async def look(address: str, what: str) -> str:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _SCHEME_PORTS.get(parts.scheme, 0)
        error = await _refused(host, port)
        return f"{what} cannot be reached: {error} (nc -vz {host} {port})" if error else f"{what} takes connections"

    return "; ".join(await asyncio.gather(*(look(address, what) for address, what in places)))


async def _refused(host: str, port: int) -> str:
    """Why no connection can be made; empty when one can."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer within {_CONNECT_S:g} s"
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""
