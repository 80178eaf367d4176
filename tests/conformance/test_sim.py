"""The synthetic market passes the suite."""

from __future__ import annotations

from gateway.testing.builtin import SimCatalogue, SimCounter
from gateway.testing.catalogue_contract import CatalogueContract
from gateway.testing.feed_contract import FeedContract


class TestSim(FeedContract):
    counter = SimCounter


class TestSimCatalogue(CatalogueContract):
    place = SimCatalogue
