"""Asks the plugins once what they bring, and keeps a bad one from harming the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pluggy

from gateway.errors import PluginError
from gateway.hookspecs import PROJECT, CatalogueKind, FeedKind, Hooks, Observer, RouterKind, SecretStoreKind
from gateway.lines.factory import BROKEN
from gateway.loader.candidates import Candidate, PluginRecord, candidates
from gateway.loader.kinds import HOOKS, Kind, KindT, check_kind, shown

log = logging.getLogger(__name__)


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
        for candidate in candidates(extra, entry_points=entry_points):
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

    def _add(self, candidate: Candidate) -> None:
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
        for hook, sort, wanted in HOOKS:
            for answer in self.manager.subset_hook_caller(hook, others)():
                if isinstance(answer, str) or not isinstance(answer, Iterable):
                    raise PluginError(f"{hook} returned {shown(answer)}, not a sequence of {wanted.__name__}")
                for thing in answer:
                    if not isinstance(thing, wanted):
                        raise PluginError(f"{hook} returned {shown(thing)} in place of {wanted.__name__}")
                    check_kind(hook, thing)
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


def _who(record: PluginRecord) -> str:
    who = f"{record.distribution} " if record.distribution else ""
    return f"plugin {who}{record.version} ({record.name})"
