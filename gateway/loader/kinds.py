"""What a plugin may bring, and whether it can be used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeVar

from gateway.errors import LineError, PluginError
from gateway.hookspecs import CatalogueKind, FeedKind, Observer, RouterKind, SecretStoreKind
from gateway.lines.factory import import_factory

Kind = FeedKind | RouterKind | CatalogueKind | SecretStoreKind
KindT = TypeVar("KindT", FeedKind, RouterKind, CatalogueKind, SecretStoreKind)

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")
HOOKS: Final[Sequence[tuple[str, str, type[Kind | Observer]]]] = (
    ("gateway_feeds", "feed", FeedKind),
    ("gateway_routers", "router", RouterKind),
    ("gateway_secret_stores", "secret store", SecretStoreKind),
    ("gateway_catalogues", "catalogue", CatalogueKind),
    ("gateway_observe", "observer", Observer),
)
"""Each hook with the sort of thing that it brings."""


def factory_path(kind: FeedKind) -> str:
    """``module:qualname`` of a feed's factory, for the process that imports it. PluginError if that is no way in."""
    factory = kind.factory
    module, qualname = getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
    path = f"{module}:{qualname}"
    try:
        found = import_factory(path) if module and qualname and module != "__main__" else None
    except LineError:
        found = None
    if found != factory:
        raise PluginError(
            f"feed {kind.name!r}: a child process cannot import its factory {factory!r} as {path!r}; "
            "use a function or class at the top of an importable module",
            name=kind.name,
        )
    return path


def check_kind(hook: str, thing: Kind | Observer) -> None:
    """Raises PluginError for a thing that nobody could use; ``hook`` brought it."""
    if not isinstance(thing.name, str) or not _NAME.fullmatch(thing.name):
        raise PluginError(f"{hook}: {thing.name!r} is not a name; use lower-case letters, digits, '-' and '_'")
    if isinstance(thing, FeedKind):
        if not callable(thing.factory):
            raise PluginError(f"{hook}: the factory of {thing.name!r} is {shown(thing.factory)}, not callable")
        if thing.native:
            factory_path(thing)


def shown(thing: object) -> str:
    """A wrong thing, for messages."""
    return f"{type(thing).__name__} {thing!r}"[:120]
