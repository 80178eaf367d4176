"""A plugin as the cards see it: what its hooks bring, asked without harm to the caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import pluggy

from gateway.hookspecs import PROJECT, FeedKind, Hooks, Observer
from gateway.loader.candidates import Candidate
from gateway.loader.kinds import HOOKS, Kind, shown
from gateway.testing.cards import CardFailed

T = TypeVar("T")

AT_ONCE_S: Final = 5.0
"""Hooks register things; whoever waits for a network in one stops every gateway from starting."""
WANTED: Final[Mapping[str, type[Kind | Observer]]] = {hook: wanted for hook, _, wanted in HOOKS}


@dataclass(slots=True)
class LoadedPlugin:
    """A plugin, and what it turned out to be able to."""

    candidate: Candidate
    _found: frozenset[str] | None = field(default=None)
    _answers: Sequence[tuple[str, object]] = field(default=())

    def capabilities(self) -> frozenset[str]:
        """``imports``, ``hooks`` (that exist), ``answers`` (of them), ``loads`` (they are right), ``feeds``.

        Each of the first four takes those before it for granted.
        """
        if self._found is None:
            self._found = frozenset(self._capabilities())
        return self._found

    def _capabilities(self) -> Iterable[str]:
        found = []
        try:
            plugin = self.candidate.get()
            found.append("imports")
            registered(plugin)
            found.append("hooks")
            self._answers = at_once(lambda: ask_hooks(plugin), "a hook")
            found.append("answers")
            if all(isinstance(thing, WANTED[hook]) for hook, thing in each(self._answers)):
                found.append("loads")
                if self.feeds:
                    found.append("feeds")
        except (Exception, SystemExit):  # noqa: BLE001, S110 - the cards say what is wrong
            pass
        return found

    def brought(self) -> Sequence[tuple[str, Any]]:
        """``(hook, thing)`` for everything. Raises CardFailed for an answer that is no sequence."""
        self.capabilities()
        return each(self._answers)

    @property
    def feeds(self) -> Sequence[FeedKind]:
        """Its feed kinds."""
        return [thing for _, thing in each(self._answers) if isinstance(thing, FeedKind)]


def registered(plugin: object) -> pluggy.PluginManager:
    """A manager with this plugin alone. Raises CardFailed for hooks that do not exist, and when there are none."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise CardFailed(" ".join(str(error).split())) from error
    if not manager.get_hookcallers(plugin):
        raise CardFailed("it implements no hook")
    return manager


def ask_hooks(plugin: object) -> list[tuple[str, object]]:
    """``(hook, answer)`` of a plugin's own gateway hooks, unjudged."""
    manager = registered(plugin)
    return [(hook, answer) for hook in WANTED for answer in getattr(manager.hook, hook)()]


def each(answers: Sequence[tuple[str, object]]) -> list[tuple[str, Any]]:
    """``(hook, thing)``. Raises CardFailed for an answer that is no sequence."""
    things: list[tuple[str, Any]] = []
    for hook, answer in answers:
        if isinstance(answer, str) or not isinstance(answer, Iterable):
            raise CardFailed(f"{hook} returned {shown(answer)}, not a sequence of {WANTED[hook].__name__}")
        things += [(hook, thing) for thing in answer]
    return things


def at_once(work: Callable[[], T], what: str) -> T:
    """Its result; CardFailed when it takes longer than :data:`AT_ONCE_S`. The thread of one that hangs is left."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="card asks a hook", daemon=True)
    thread.start()
    thread.join(AT_ONCE_S)
    if failed:
        raise failed[0]
    if not done:
        raise CardFailed(f"{what} did not return within {AT_ONCE_S:g} s")
    return done[0]
