"""Finds the plugins, asks them once what they bring, and keeps a bad one from harming the others."""

from __future__ import annotations

import functools
import importlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Final, Literal, TypeVar

import pluggy

from gateway.errors import LineError, PluginError
from gateway.hookspecs import (
    PROJECT,
    CatalogueKind,
    FeedKind,
    Hooks,
    Observer,
    RouterKind,
    SecretStoreKind,
)
from gateway.lines.factory import BROKEN, import_factory

log = logging.getLogger(__name__)

DISTRIBUTION: Final = "feedgate"
_BUILT_IN: Final = {
    "sim": "gateway.sources.sim",
    "replay": "gateway.sources.replay",
    "catalogue_file": "gateway.sources.catalogue_file",
    "env_secrets": "gateway.secrets.env",
    "file_secrets": "gateway.secrets.file",
    "routing": "gateway.control.routing.builtin",
}
"""Our own plugins; imported by name when no entry point brings them (a plain checkout)."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")

Kind = FeedKind | RouterKind | CatalogueKind | SecretStoreKind
KindT = TypeVar("KindT", FeedKind, RouterKind, CatalogueKind, SecretStoreKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """What became of one plugin."""

    name: str
    """Of the entry point, or of the module or class."""
    version: str
    """Of its distribution; ``?`` when it has none."""
    distribution: str
    """Empty for an object handed to ``load``."""
    status: Literal["loaded", "failed", "blocked"]
    reason: str = ""
    """Why it is not loaded."""
    provides: tuple[str, ...] = ()
    """``feed sim``, ``router priority``, ``observer log`` …"""

    def __str__(self) -> str:
        """For people: ``plugin feedgate-ctp 0.1.0 (ctp) failed: No module named 'x'``."""
        who = f"{self.distribution} {self.version} ({self.name})" if self.distribution else self.name
        return f"plugin {who} {self.status}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class _Candidate:
    record: PluginRecord
    module: str
    get: Callable[[], object]


@dataclass(slots=True)
class _Shelf:
    """Everything that plugins brought, by sort and name."""

    kinds: dict[tuple[str, str], Kind] = field(default_factory=dict)
    owners: dict[tuple[str, str], PluginRecord] = field(default_factory=dict)
    clashes: dict[tuple[str, str], str] = field(default_factory=dict)
    observers: list[Observer] = field(default_factory=list)


class Plugins:
    """The plugins of one Gateway, in one pluggy manager of its own.

    Made by :meth:`load`. Loading imports the plugins' modules and calls their hooks once; it blocks for as long as
    that takes and never raises because of a plugin: see :meth:`records`.
    """

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        """For layers above that add hook specifications of their own."""
        self.manager.add_hookspecs(Hooks)
        self._records: list[PluginRecord] = []
        self._shelf = _Shelf()

    @classmethod
    def load(cls, extra: Iterable[object] = (), blocked: Iterable[str] = (), *, entry_points: bool = True) -> Plugins:
        """Load the built-in plugins, those of the entry-point group ``feedgate``, then the objects in ``extra``.

        ``blocked`` names plugins or distributions that must not even be imported. Without ``entry_points`` only
        the built-in ones and ``extra`` are loaded. The order is fixed, so that of two plugins with the same
        name always the same one counts as the later.
        """
        plugins = cls()
        unwanted = frozenset(blocked)
        found = sorted(_entry_points(), key=_order) if entry_points else []
        for candidate in (*_built_in(found), *found, *map(_given, extra)):
            if {candidate.record.name, candidate.record.distribution} & unwanted:
                plugins._records.append(replace(candidate.record, status="blocked", reason="blocked by the settings"))
                continue
            plugins._add(candidate)
        return plugins

    # -- what there is -----------------------------------------------------------------------------------------

    def records(self) -> Sequence[PluginRecord]:
        """Every plugin that was found, in the order of loading, with its fate."""
        return tuple(self._records)

    def feed_kind(self, name: str) -> FeedKind:
        """Raises PluginError that lists what there is, and why something is not."""
        return self._get("feed", name, FeedKind)

    def router(self, name: str) -> RouterKind:
        """Raises PluginError, as ``feed_kind``."""
        return self._get("router", name, RouterKind)

    def catalogue(self, name: str) -> CatalogueKind:
        """Raises PluginError, as ``feed_kind``."""
        return self._get("catalogue", name, CatalogueKind)

    def secret_store(self, name: str) -> SecretStoreKind:
        """Raises PluginError, as ``feed_kind``."""
        return self._get("secret store", name, SecretStoreKind)

    def observers(self) -> Sequence[Observer]:
        """All observers, in the order of loading."""
        return tuple(self._shelf.observers)

    def names(self, sort: Literal["feed", "router", "catalogue", "secret store"]) -> Sequence[str]:
        """Usable names of a sort, in alphabetical order."""
        shelf = self._shelf
        return sorted(name for key, name in shelf.kinds if key == sort and (key, name) not in shelf.clashes)

    def _get(self, sort: str, name: str, wanted: type[KindT]) -> KindT:
        clash = self._shelf.clashes.get((sort, name))
        if clash is not None:
            raise PluginError(f"{sort} {name!r} cannot be used: {clash}", sort=sort, name=name)
        kind = self._shelf.kinds.get((sort, name))
        if isinstance(kind, wanted):
            return kind
        there = ", ".join(self.names(sort)) or "none"  # type: ignore[arg-type]  # sort is one of the four
        lines = [f"there is no {sort} {name!r}; there are: {there}"]
        bad = [record for record in self._records if record.status != "loaded"]
        lines += [f"  {record.name}: {record}" for record in bad]
        if not bad:
            lines.append(f"  install the plugin that brings it, or correct the name {name!r} in the settings")
        raise PluginError("\n".join(lines), sort=sort, name=name)

    # -- loading -----------------------------------------------------------------------------------------------

    def _add(self, candidate: _Candidate) -> None:
        record = candidate.record
        key = f"{record.distribution}:{record.name}#{len(self._records)}"
        try:
            plugin = candidate.get()
            if self.manager.is_registered(plugin):
                return  # handed over by the caller, although it is installed
            self.manager.register(plugin, name=key)
            self.manager.check_pending()
            if not self.manager.get_hookcallers(plugin):
                raise PluginError("it implements no hook; decorate its hooks with @gateway.hookspecs.hookimpl")
            brought = list(self._ask(plugin))
            self._check_names(record, brought)
        except BROKEN as error:
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            failed = replace(record, status="failed", reason=reason)
            log.warning("%s", failed)
            log.debug("where plugin %s failed", record.name, exc_info=error)
            self._forget(key)
            self._records.append(failed)
            return
        record = replace(record, provides=tuple(f"{sort} {thing.name}" for sort, thing in brought))
        self._records.append(record)
        for sort, thing in brought:
            if isinstance(thing, Observer):
                self._shelf.observers.append(thing)
            else:
                self._shelf.kinds[sort, thing.name] = thing
                self._shelf.owners[sort, thing.name] = record

    def _ask(self, plugin: object) -> Iterator[tuple[str, Kind | Observer]]:
        """Everything one plugin brings; hooks of others are not called, so that a failure has one owner."""
        others = [other for other in self.manager.get_plugins() if other is not plugin]
        for hook, sort, wanted in _HOOKS:
            for answer in self.manager.subset_hook_caller(hook, others)():
                if isinstance(answer, str) or not isinstance(answer, Iterable):
                    raise PluginError(f"{hook} returned {_kind_of(answer)}, not a sequence of {wanted.__name__}")
                for thing in answer:
                    if not isinstance(thing, wanted):
                        raise PluginError(f"{hook} returned {_kind_of(thing)} in place of {wanted.__name__}")
                    _check_kind(hook, thing)
                    yield sort, thing

    def _check_names(self, record: PluginRecord, brought: Sequence[tuple[str, Kind | Observer]]) -> None:
        seen: set[tuple[str, str]] = set()
        problems = []
        for sort, thing in brought:
            key = (sort, thing.name)
            if isinstance(thing, Observer):
                continue
            owner = self._shelf.owners.get(key)
            if owner is not None:
                problem = f"both {_who(owner)} and {_who(record)} bring a {sort} {thing.name!r}; block one of them"
                self._shelf.clashes[key] = problem
                problems.append(problem)
            elif key in seen:
                problems.append(f"it brings the {sort} {thing.name!r} twice")
            seen.add(key)
        if problems:
            raise PluginError("; ".join(problems))

    def _forget(self, key: str) -> None:
        """Take a failed plugin back out, however far it got."""
        if self.manager.has_plugin(key):
            self.manager.unregister(name=key)


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


_HOOKS: Final[Sequence[tuple[str, str, type[Kind | Observer]]]] = (
    ("gateway_feeds", "feed", FeedKind),
    ("gateway_routers", "router", RouterKind),
    ("gateway_secret_stores", "secret store", SecretStoreKind),
    ("gateway_catalogues", "catalogue", CatalogueKind),
    ("gateway_observe", "observer", Observer),
)


def _check_kind(hook: str, thing: Kind | Observer) -> None:
    if not isinstance(thing.name, str) or not _NAME.fullmatch(thing.name):
        raise PluginError(f"{hook}: {thing.name!r} is not a name; use lower-case letters, digits, '-' and '_'")
    if isinstance(thing, FeedKind):
        if not callable(thing.factory):
            raise PluginError(f"{hook}: the factory of {thing.name!r} is {_kind_of(thing.factory)}, not callable")
        if thing.native:
            factory_path(thing)


def _entry_points() -> Iterator[_Candidate]:
    for point in metadata.entry_points(group=PROJECT):
        name, version = (point.dist.name, point.dist.version) if point.dist else ("", "?")
        record = PluginRecord(name=point.name, version=version, distribution=name, status="loaded")
        yield _Candidate(record, point.value, point.load)


def _order(candidate: _Candidate) -> tuple[bool, str, str]:
    record = candidate.record
    return (record.distribution != DISTRIBUTION, record.distribution, record.name)


def _built_in(found: Sequence[_Candidate]) -> Iterator[_Candidate]:
    """Those of our own plugins that no entry point brings."""
    there = {one.module for one in found if one.record.distribution == DISTRIBUTION}
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        version = "(source)"
    for name, module in _BUILT_IN.items():
        if module not in there:
            record = PluginRecord(name=name, version=version, distribution=DISTRIBUTION, status="loaded")
            yield _Candidate(record, module, functools.partial(importlib.import_module, module))


def _given(plugin: object) -> _Candidate:
    name = getattr(plugin, "__name__", None) or type(plugin).__qualname__
    version = str(getattr(plugin, "__version__", "?"))
    record = PluginRecord(name=str(name), version=version, distribution="", status="loaded")
    return _Candidate(record, "", lambda: plugin)


def _who(record: PluginRecord) -> str:
    who = f"{record.distribution} " if record.distribution else ""
    return f"plugin {who}{record.version} ({record.name})"


def _kind_of(thing: object) -> str:
    return f"{type(thing).__name__} {thing!r}"[:120]
