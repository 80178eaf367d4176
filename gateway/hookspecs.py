"""The hooks. A plugin is a module or object that implements some of them with ``@feedgate.hookimpl``.

All hooks are synchronous and only *register*: they return frozen ``…Kind`` values; the work lives on the
objects that the kinds build. They run once, when a Gateway is made, never per tick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from gateway.model import Account, LineId

if TYPE_CHECKING:
    from gateway.plan import AccountRouter
    from gateway.ports import Catalogue, FeedFactory, SecretStore

PROJECT = "feedgate"
"""The pluggy project and the entry-point group."""

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
"""Marks a specification; for layers above that add hooks of their own."""
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)
"""Marks a function or method of a plugin as its implementation of the hook of that name."""


def _no_environment(_options: Mapping[str, Any]) -> Mapping[str, str]:
    return {}


def _no_findings(_account: Account, _options: Mapping[str, Any]) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedKind:
    """A kind of feed source, ``ctp`` or ``sim``."""

    name: str
    """Lower-case word; the ``kind`` of a feed in the settings."""
    factory: FeedFactory
    """An importable module-level callable, because a child process imports it by ``module:name``."""
    native: bool = False
    """Whether vendor code runs inside: such lines run in a child process unless settings say otherwise."""
    options: frozenset[str] = frozenset()
    """Names that ``[feeds.NAME.options]`` may use. Others are refused with this list."""
    needs_account: bool = True
    """Whether the line cannot run without user, password and front address."""
    environment: Callable[[Mapping[str, Any]], Mapping[str, str]] = _no_environment
    """Called in a worker thread of the core before a child starts; extra environment for it (a locale path)."""
    sessions: Literal["calendar", "always"] = "calendar"
    """Trading hours of its market: by the trading calendar, or always open (synthetic and replayed markets)."""
    check: Callable[[Account, Mapping[str, Any]], Sequence[str]] = _no_findings
    """Findings about one account and the options, each with its fix, before anything is started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterKind:
    """A policy that decides which line publishes."""

    name: str
    build: Callable[[], AccountRouter]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretStoreKind:
    """A place where secrets live."""

    name: str
    build: Callable[[Mapping[str, Any]], SecretStore]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueKind:
    """A source of the contract list. ``build(account, options)`` runs in the core; native work belongs in a child."""

    name: str
    build: Callable[[Account | None, Mapping[str, Any]], Catalogue]
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Told about rare things, on the gateway's loop: it must return at once. A raising observer is counted."""

    name: str
    line_changed: Callable[[LineId, str, str], None] | None = None
    """(line, new state, reason)"""
    warned: Callable[[str, Mapping[str, object]], None] | None = None
    """(event name, fields)"""


class Hooks:
    """The specifications."""

    @hookspec
    def gateway_feeds(self) -> Sequence[FeedKind]:  # type: ignore[empty-body]  # a spec
        """Kinds of feed sources that this plugin brings."""

    @hookspec
    def gateway_routers(self) -> Sequence[RouterKind]:  # type: ignore[empty-body]  # a spec
        """Routing policies."""

    @hookspec
    def gateway_secret_stores(self) -> Sequence[SecretStoreKind]:  # type: ignore[empty-body]  # a spec
        """Secret stores."""

    @hookspec
    def gateway_catalogues(self) -> Sequence[CatalogueKind]:  # type: ignore[empty-body]  # a spec
        """Sources of contract lists."""

    @hookspec
    def gateway_observe(self) -> Sequence[Observer]:  # type: ignore[empty-body]  # a spec
        """Observers of line changes and warnings."""
