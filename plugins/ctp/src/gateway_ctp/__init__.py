"""Feedgate plugin: CTP market data, and the contract list from the CTP trader API."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.hookspecs import CatalogueKind, FeedKind, hookimpl
from gateway_ctp import locales
from gateway_ctp.catalogue import CATALOGUE_OPTIONS, build_catalogue
from gateway_ctp.checks import FEED_OPTIONS, check
from gateway_ctp.source import CtpSource

__all__ = ["gateway_catalogues", "gateway_feeds"]


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    """The kind ``ctp``."""
    return (
        FeedKind(
            name="ctp",
            factory=CtpSource,
            native=True,
            options=FEED_OPTIONS,
            environment=locales.environment,
            check=check,
        ),
    )


@hookimpl
def gateway_catalogues() -> Sequence[CatalogueKind]:
    """The trader API's instrument query."""
    return (CatalogueKind(name="ctp", build=build_catalogue, options=CATALOGUE_OPTIONS),)
