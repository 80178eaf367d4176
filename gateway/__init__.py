"""Feedgate: many market-data sources in, one trustworthy stream out.

The public names that most programs need; the other public modules are listed in docs/public-api.md. They are imported
on first use, so that a line's process, which needs a few of the modules below, does not load all of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.client import Client, connect
    from gateway.control.events import Switch
    from gateway.errors import FeedgateError
    from gateway.flow.balance import Balance
    from gateway.flow.coverage import Coverage
    from gateway.flow.tap import Tap
    from gateway.gaps import GapDay
    from gateway.hookspecs import hookimpl
    from gateway.loader import PluginRecord
    from gateway.model import Account, Contract, Instrument, LineId, LineState, LineStatus, Tick
    from gateway.settings import (
        AccountSettings,
        BusSettings,
        FeedSettings,
        LedgerSettings,
        MetricsSettings,
        PublishSettings,
        Settings,
        load_settings,
    )

__version__ = "0.1.0"

_HOMES = {
    "Account": "gateway.model",
    "AccountSettings": "gateway.settings",
    "Balance": "gateway.flow.balance",
    "BusSettings": "gateway.settings",
    "Client": "gateway.client",
    "Contract": "gateway.model",
    "Coverage": "gateway.flow.coverage",
    "FeedSettings": "gateway.settings",
    "FeedgateError": "gateway.errors",
    "GapDay": "gateway.gaps",
    "Gateway": "gateway.app",
    "Instrument": "gateway.model",
    "LedgerSettings": "gateway.settings",
    "LineId": "gateway.model",
    "LineState": "gateway.model",
    "LineStatus": "gateway.model",
    "MetricsSettings": "gateway.settings",
    "PluginRecord": "gateway.loader",
    "PublishSettings": "gateway.settings",
    "Settings": "gateway.settings",
    "Switch": "gateway.control.events",
    "Tap": "gateway.flow.tap",
    "Tick": "gateway.model",
    "connect": "gateway.client",
    "hookimpl": "gateway.hookspecs",
    "load_settings": "gateway.settings",
}

__all__ = [
    "Account",
    "AccountSettings",
    "Balance",
    "BusSettings",
    "Client",
    "Contract",
    "Coverage",
    "FeedSettings",
    "FeedgateError",
    "GapDay",
    "Gateway",
    "Instrument",
    "LedgerSettings",
    "LineId",
    "LineState",
    "LineStatus",
    "MetricsSettings",
    "PluginRecord",
    "PublishSettings",
    "Settings",
    "Switch",
    "Tap",
    "Tick",
    "connect",
    "hookimpl",
    "load_settings",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gateway' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
