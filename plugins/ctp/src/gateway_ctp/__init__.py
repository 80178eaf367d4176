"""Feedgate plugin: CTP market data, and the contract list from the CTP trader API."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.hookspecs import CatalogueKind, FeedKind, hookimpl
from gateway.thost import catalogue, checks
from gateway_ctp.family import CTP
from gateway_ctp.source import CtpSource

__all__ = ["gateway_catalogues", "gateway_feeds"]


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    """The kind ``ctp``."""
    return (
        FeedKind(
            name=CTP.name,
            factory=CtpSource,
            native=True,
            options=checks.OPTIONS,
            environment=CTP.environment,
            check=partial(checks.check, CTP),
        ),
    )


@hookimpl
def gateway_catalogues() -> Sequence[CatalogueKind]:
    """The trader API's instrument query."""
    build = partial(catalogue.build_catalogue, CTP)
    return (CatalogueKind(name=CTP.name, build=build, options=catalogue.OPTIONS),)
