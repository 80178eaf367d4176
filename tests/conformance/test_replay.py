"""Recorded ticks pass the suite."""

from __future__ import annotations

from gateway.testing.builtin import ReplayCatalogue, ReplayCounter
from gateway.testing.catalogue_contract import CatalogueContract
from gateway.testing.feed_contract import FeedContract


class TestReplay(FeedContract):
    counter = ReplayCounter


class TestReplayCatalogue(CatalogueContract):
    place = ReplayCatalogue
