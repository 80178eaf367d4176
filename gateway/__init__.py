"""Feedgate: many market-data sources in, one trustworthy stream out.

The public names, and nothing else. They are imported on first use, so that a line's process, which needs a
few of the modules below, does not load all of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.client import Client, connect
    from gateway.errors import FeedgateError
    from gateway.hookspecs import hookimpl
    from gateway.model import Account, Contract, Instrument, LineId, LineState, LineStatus, Tick
    from gateway.settings import (
        AccountSettings,
        BusSettings,
        FeedSettings,
        MetricsSettings,
        PublishSettings,
        Settings,
        load_settings,
    )

__version__ = "0.1.0"

_HOMES = {
    "PublishSettings": "gateway.settings",
    "MetricsSettings": "gateway.settings",
    "BusSettings": "gateway.settings",
    "AccountSettings": "gateway.settings",
    "Account": "gateway.model",
    "Client": "gateway.client",
    "Contract": "gateway.model",
    "FeedSettings": "gateway.settings",
    "FeedgateError": "gateway.errors",
    "Gateway": "gateway.app",
    "Instrument": "gateway.model",
    "LineId": "gateway.model",
    "LineState": "gateway.model",
    "LineStatus": "gateway.model",
    "Settings": "gateway.settings",
    "Tick": "gateway.model",
    "connect": "gateway.client",
    "hookimpl": "gateway.hookspecs",
    "load_settings": "gateway.settings",
}

__all__ = [
    "Account",
    "AccountSettings",
    "BusSettings",
    "Client",
    "Contract",
    "FeedSettings",
    "FeedgateError",
    "Gateway",
    "Instrument",
    "LineId",
    "LineState",
    "LineStatus",
    "MetricsSettings",
    "PublishSettings",
    "Settings",
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
