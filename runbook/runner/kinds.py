"""Finds the actions: the built-in ones, then those that plugins bring."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import pluggy
from pydantic import BaseModel

from gateway.errors import FeedgateError
from runbook.hookspecs import ActionKind, RunbookHooks
from runbook.model import Role

log = logging.getLogger(__name__)

HOOK: Final = "runbook_actions"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Kinds:
    """The usable actions by name, and a finding for everything that is not usable."""

    by_name: Mapping[str, ActionKind]
    findings: Sequence[str] = ()
    """Each names the plugin, what is wrong with it and the fix."""
    clashes: Mapping[str, str] = field(default_factory=dict)
    """Names that two bring, with the finding; none of the two is used."""

    def get(self, name: str) -> ActionKind:
        """Raises UnknownActionError, which lists what there is."""
        if kind := self.by_name.get(name):
            return kind
        if clash := self.clashes.get(name):
            raise UnknownActionError(f"action {name!r} cannot be used: {clash}", action=name)
        there = ", ".join(sorted(self.by_name)) or "none"
        raise UnknownActionError(f"there is no action {name!r}; there are: {there}", action=name)


class UnknownActionError(FeedgateError):
    """Nobody brings an action of this name."""

    code = "unknown_action"
    exit_code = 64


def collect_kinds(manager: pluggy.PluginManager | None = None, builtin: Iterable[object] = ()) -> Kinds:
    """Ask the built-in modules and the manager's plugins (``gateway.loader.Plugins.manager``) for their actions.

    The runbook's hooks are added to the manager. A plugin that raises or answers nonsense is left out whole, logged
    and named in the findings; the others keep working. A name that two bring belongs to nobody, but a built-in
    action keeps its name. Blocks for as long as the hooks take; never raises because of a plugin.
    """
    found: dict[str, tuple[ActionKind, str]] = {}
    clashes: dict[str, str] = {}
    findings: list[str] = []
    own = pluggy.PluginManager(manager.project_name if manager else "feedgate")
    for module in builtin:
        own.register(module)
    builtin_names: set[str] = set()
    for source, is_builtin in ((own, True), (manager, False)):
        if source is None:
            continue
        _specify(source)
        for who, plugin in _plugins(source):
            try:
                brought = list(_ask(source, plugin))
            except Exception as error:
                said = str(error) if isinstance(error, FeedgateError) else f"{type(error).__name__}: {error}"
                findings.append(f"{who}: its actions cannot be used: {said}; correct or block the plugin")
                log.warning("%s", findings[-1])
                log.debug("where %s failed", who, exc_info=error)
                continue
            for kind in brought:
                _place(kind, who, found, clashes, builtin_names if not is_builtin else set())
            if is_builtin:
                builtin_names.update(kind.name for kind in brought)
    for clash in clashes.values():
        log.warning("%s", clash)
    usable = {name: kind for name, (kind, _) in found.items() if name not in clashes}
    refused = {name: text for name, text in clashes.items() if name not in usable}
    return Kinds(MappingProxyType(usable), (*findings, *clashes.values()), MappingProxyType(refused))


def _specify(manager: pluggy.PluginManager) -> None:
    """Add our hooks, once. A plugin registered before makes the hook known without a specification."""
    caller = getattr(manager.hook, HOOK, None)
    if caller is None or not caller.has_spec():
        manager.add_hookspecs(RunbookHooks)


def _place(
    kind: ActionKind,
    who: str,
    found: dict[str, tuple[ActionKind, str]],
    clashes: dict[str, str],
    builtin_names: set[str],
) -> None:
    other = found.get(kind.name)
    if other is None:
        found[kind.name] = (kind, who)
    elif other[1] == who:
        clashes[kind.name] = f"{who} brings the action {kind.name!r} twice; remove one"
    elif kind.name in builtin_names:
        clashes[f"{kind.name} of {who}"] = (
            f"{who} brings the built-in action {kind.name!r}; block it, or rename its own"
        )
    else:
        clashes[kind.name] = f"both {other[1]} and {who} bring the action {kind.name!r}; block one of them"


def _plugins(manager: pluggy.PluginManager) -> Iterator[tuple[str, object]]:
    """Those that offer actions, in the order of registration, with a name for people."""
    caller = getattr(manager.hook, HOOK)
    for implementation in caller.get_hookimpls():
        yield f"plugin {_name(implementation.plugin_name)}", implementation.plugin


def _name(registered: str) -> str:
    """The gateway's loader registers ``DISTRIBUTION:NAME#NUMBER``."""
    name, _, _ = registered.rpartition("#")
    distribution, _, own = (name or registered).partition(":")
    return f"{distribution} ({own})" if distribution and own else own or distribution


def _ask(manager: pluggy.PluginManager, plugin: object) -> Iterator[ActionKind]:
    others = [other for other in manager.get_plugins() if other is not plugin]
    for answer in manager.subset_hook_caller(HOOK, others)():
        if isinstance(answer, str) or not isinstance(answer, Iterable):
            raise BadKindError(f"{HOOK} returned {_shown(answer)}, not a sequence of ActionKind")
        for kind in answer:
            _check(kind)
            yield kind


def _check(kind: object) -> None:
    if not isinstance(kind, ActionKind):
        raise BadKindError(f"{HOOK} returned {_shown(kind)} in place of ActionKind")
    if not isinstance(kind.name, str) or not _NAME.fullmatch(kind.name):
        raise BadKindError(f"{kind.name!r} is not a name; use lower-case letters, digits and '-'")
    if not callable(kind.build):
        raise BadKindError(f"build of {kind.name!r} is {_shown(kind.build)}, not callable")
    if not (isinstance(kind.parameters, type) and issubclass(kind.parameters, BaseModel)):
        raise BadKindError(f"parameters of {kind.name!r} are {_shown(kind.parameters)}, not a pydantic model")
    if not isinstance(kind.role, Role):
        raise BadKindError(f"role of {kind.name!r} is {_shown(kind.role)}, not a Role")
    if not kind.timeout_s > 0:
        raise BadKindError(f"timeout_s of {kind.name!r} is {kind.timeout_s!r}; give seconds above 0")


class BadKindError(FeedgateError):
    """A plugin's answer is no action."""

    code = "plugin"
    exit_code = 11


def _shown(thing: object) -> str:
    return f"{type(thing).__name__} {thing!r}"[:120]
