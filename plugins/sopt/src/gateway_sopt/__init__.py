"""Feedgate plugin: SOPT (stock options) market data, and the contract list from the SOPT trader API."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.hookspecs import CatalogueKind, FeedKind, hookimpl
from gateway.thost import catalogue, checks
from gateway_sopt.family import SOPT
from gateway_sopt.source import SoptSource

__all__ = ["gateway_catalogues", "gateway_feeds"]


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    """The kind ``sopt``."""
    return (
        FeedKind(
            name=SOPT.name,
            factory=SoptSource,
            native=True,
            options=checks.OPTIONS,
            environment=SOPT.environment,
            check=partial(checks.check, SOPT),
        ),
    )


@hookimpl
def gateway_catalogues() -> Sequence[CatalogueKind]:
    """The trader API's instrument query."""
    build = partial(catalogue.build_catalogue, SOPT)
    return (CatalogueKind(name=SOPT.name, build=build, options=catalogue.OPTIONS),)
