"""What profile live demands of the settings, whether or not anything runs: ``start`` refuses what is an error here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.settings import BusSettings, Settings
from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity
from runbook.checks.standins import is_standin
from runbook.model import ActionRequest

SYNTHETIC: Final = ("sim", "replay")
"""Kinds of feeds that are no market."""


def check(inspection: Inspection) -> Sequence[Finding]:
    """Looks at settings only. Other profiles are let off: a login for NATS is then a piece of advice."""
    settings = inspection.settings
    found = [*_bus(settings.bus), *_profile(inspection, settings)]
    if not inspection.live:
        return [Finding.info(f"{one.what}; profile live refuses that", one.fix) for one in found]
    return found or (Finding.ok("bus and profile are as live demands"),)


def demands(settings: Settings) -> list[str]:
    """What keeps these settings from being started in profile live, each with its fix. Reads nothing."""
    found = [*_bus(settings.bus), *synthetic(settings)]
    return [f"{one.what}; {one.fix}" for one in found if one.severity is Severity.ERROR]


def unfit(request: ActionRequest, settings: Settings) -> list[str]:
    """:func:`demands`, for a request that is about the live environment; nothing for any other."""
    live = request.mode == "live" and "live" in (request.profile, settings.profile)
    return demands(settings) if live else []


def synthetic(settings: Settings) -> Iterator[Finding]:
    """Feeds that are no market."""
    for name in settings.feeds:
        if (kind := settings.kind_of(name)) in SYNTHETIC:
            yield Finding.error(
                f"feed {name} is of kind {kind}, which is no market", "configure a real feed, or use --profile test"
            )
    for name, feed in settings.feeds.items():
        if accounts := [account for account in feed.accounts if is_standin(feed, account)]:
            yield Finding.error(
                f"the counter of {', '.join(f'{name}:{account}' for account in accounts)} is a stand-in, no market",
                f"take native_module out of the options of feed {name}, or use --profile test",
            )


def _bus(bus: BusSettings) -> Iterator[Finding]:
    if bus.kind == "memory":
        yield Finding.error("the bus is in memory, so no consumer can connect", "set FEEDGATE_BUS__KIND=nats")
        return
    if not bus.urls:
        if not _is_loopback(bus.bundled_host):
            yield Finding.error(
                f"the bundled NATS server would listen on {bus.bundled_host} without a login: whoever reaches it can "
                "publish ticks and give orders",
                "leave FEEDGATE_BUS__BUNDLED_HOST at 127.0.0.1, or run a NATS server with a login and set NATS_URL",
            )
        return
    if bus.password is not None or bus.token is not None or bus.creds_file is not None or bus.tls_cert is not None:
        return
    for url in bus.urls:
        host = urlsplit(url).hostname or ""
        if not _is_loopback(host):
            yield Finding.error(
                f"NATS at {host} is used without a login: whoever reaches it can publish ticks and give orders",
                "give the server users, then set NATS_USER and NATS_PASSWORD",
            )


def _profile(inspection: Inspection, settings: Settings) -> Iterator[Finding]:
    if inspection.live and settings.profile != "live":
        yield Finding.warning(
            f"FEEDGATE_PROFILE is {settings.profile}: the jobs of the calendar and the supervisor record that profile",
            "set FEEDGATE_PROFILE=live in the file with the accounts",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CHECK = Check(name="live", title="What profile live demands", run=check, needs_accounts=True)
