"""The plugin author's kit: contracts to subclass, a scripted feed, a harness, a manual clock, a real nats-server.

Opt-in: nothing else of the gateway imports it, and the names below are imported on first use. The contracts need pytest
(RouterContract hypothesis, too); nothing else here does. What each contract asks is in ``docs/conformance.md``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.testing.cards import Card, CardFailed
    from gateway.testing.catalogue_cards import CataloguePlace
    from gateway.testing.catalogue_contract import CatalogueContract
    from gateway.testing.clock import ManualClock
    from gateway.testing.counter import Counter
    from gateway.testing.feed_contract import FeedContract
    from gateway.testing.nats import NatsServer
    from gateway.testing.router_cards import RouterPlace
    from gateway.testing.router_contract import RouterContract
    from gateway.testing.running import Harness, harness
    from gateway.testing.scripted import ScriptedFeed
    from gateway.testing.secret_cards import SecretPlace
    from gateway.testing.secret_contract import SecretStoreContract
    from gateway.testing.sink import RecordingSink
    from gateway.testing.ticks import make_tick

_HOMES = {
    "Card": "gateway.testing.cards",
    "CardFailed": "gateway.testing.cards",
    "CatalogueContract": "gateway.testing.catalogue_contract",
    "CataloguePlace": "gateway.testing.catalogue_cards",
    "Counter": "gateway.testing.counter",
    "FeedContract": "gateway.testing.feed_contract",
    "Harness": "gateway.testing.running",
    "ManualClock": "gateway.testing.clock",
    "NatsServer": "gateway.testing.nats",
    "RecordingSink": "gateway.testing.sink",
    "RouterContract": "gateway.testing.router_contract",
    "RouterPlace": "gateway.testing.router_cards",
    "ScriptedFeed": "gateway.testing.scripted",
    "SecretPlace": "gateway.testing.secret_cards",
    "SecretStoreContract": "gateway.testing.secret_contract",
    "harness": "gateway.testing.running",
    "make_tick": "gateway.testing.ticks",
}

__all__ = [
    "Card",
    "CardFailed",
    "CatalogueContract",
    "CataloguePlace",
    "Counter",
    "FeedContract",
    "Harness",
    "ManualClock",
    "NatsServer",
    "RecordingSink",
    "RouterContract",
    "RouterPlace",
    "ScriptedFeed",
    "SecretPlace",
    "SecretStoreContract",
    "harness",
    "make_tick",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gateway.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
