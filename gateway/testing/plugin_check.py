"""All the cards that a plugin can be asked, without a test framework: what ``gateway check`` runs."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from gateway.errors import FeedgateError
from gateway.hookspecs import CatalogueKind, FeedKind, RouterKind, SecretStoreKind
from gateway.loader.candidates import Candidate, PluginRecord, candidates
from gateway.testing.builtin import BUILT_IN
from gateway.testing.cards import Card, Outcome, run_card
from gateway.testing.catalogue_cards import CATALOGUE_CARDS, CataloguePlace
from gateway.testing.counter import Counter
from gateway.testing.feed_cards import FEED_CARDS
from gateway.testing.load_cards import LOAD_CARDS
from gateway.testing.loaded_plugin import LoadedPlugin
from gateway.testing.router_cards import ROUTER_CARDS, RouterPlace
from gateway.testing.secret_cards import SECRET_CARDS, SecretPlace

NAME: Final = "CONFORMANCE"
"""The sequence of classes that a plugin offers, in its own module or in a module ``conformance`` beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One card, and what it was asked about."""

    about: str
    """``plugin acme``, ``feed acme``, ``secret store vault`` …"""
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Sort:
    """Which cards belong to a sort of kind."""

    word: str
    kind: type
    subject: type
    cards: Sequence[Card]


_SORTS: Final = (
    _Sort("feed", FeedKind, Counter, FEED_CARDS),
    _Sort("router", RouterKind, RouterPlace, ROUTER_CARDS),
    _Sort("secret store", SecretStoreKind, SecretPlace, SECRET_CARDS),
    _Sort("catalogue", CatalogueKind, CataloguePlace, CATALOGUE_CARDS),
)


class UnknownPluginError(FeedgateError):
    """Nothing of this name is installed, and no module of it can be imported."""

    code = "unknown_plugin"
    exit_code = 64


def find_plugins(name: str) -> Sequence[Candidate]:
    """By entry point, distribution or module; a module need not be installed as a plugin. Raises UnknownPluginError."""
    known = candidates((), entry_points=True)
    found = [one for one in known if name in (one.record.name, one.module.partition(":")[0])]
    found = found or [one for one in known if _plain(one.record.distribution) == _plain(name)]
    if found:
        return found
    if re.fullmatch(r"[A-Za-z_][\w.]*", name) and _is_module(name):
        record = PluginRecord(name=name, version="?", distribution="", status="loaded")
        return [Candidate(record, name, partial(importlib.import_module, name))]
    there = ", ".join(sorted(one.record.name for one in known))
    raise UnknownPluginError(
        f"there is no plugin {name!r}; installed are: {there}; or name a module that can be imported", name=name
    )


def check_plugin(candidate: Candidate, *, told: Callable[[Asked], None] = lambda _: None) -> list[Asked]:
    """Ask it every card, in order; ``told`` hears of each as it ends. Blocking, seconds; raises for no plugin."""
    asked: list[Asked] = []

    def note(about: str, outcome: Outcome) -> None:
        asked.append(Asked(about=about, outcome=outcome))
        told(asked[-1])

    plugin = LoadedPlugin(candidate)
    about = f"plugin {candidate.record.name}"
    for card in LOAD_CARDS:
        note(about, run_card(card, lambda: plugin))
    if "loads" not in plugin.capabilities():
        return asked
    try:
        subjects = _subjects(candidate)
    except Exception as error:  # noqa: BLE001 - an author's module may raise anything
        note(about, Outcome(card=OFFER, result="fail", reason=f"{type(error).__name__}: {error}", error=error))
        subjects = ()
    for words, card, make, wanted in _rows(plugin, subjects):
        if make is None:
            note(
                words,
                Outcome(card=card, result="n/a", reason=f"the plugin offers no {wanted} in {NAME}"),
            )
        else:
            note(words, run_card(card, make))
    return asked


async def _nothing(_make: object) -> None:
    """Its outcome is made by hand."""


OFFER: Final = Card(
    number="LOAD-10",
    title=f"Its module conformance can be imported, and {NAME} in it names classes",
    fix=f"write {NAME} = (AcmeCounter,) with classes that are made without arguments",
    run=_nothing,
)


def _rows(
    plugin: LoadedPlugin, subjects: Sequence[Callable[[], Any]]
) -> Iterator[tuple[str, Card, Callable[[], Any] | None, str]]:
    """What it is about, the card, what makes its subject, and the class that would."""
    made = [(make, make()) for make in subjects]
    for sort in _SORTS:
        kinds: list[Any] = [thing for _, thing in plugin.brought() if isinstance(thing, sort.kind)]
        for kind in kinds:
            mine = [make for make, one in made if isinstance(one, sort.subject) and _names(one, kind)]
            if not mine and isinstance(kind, RouterKind):
                mine = [partial(_router, kind)]
            for make in mine or (None,):
                for card in sort.cards:
                    yield f"{sort.word} {kind.name}", card, make, sort.subject.__name__
    for make, one in made:
        for card in getattr(one, "cards", ()):
            yield getattr(one, "about", type(one).__name__), card, make, ""


def _names(subject: Any, kind: Any) -> bool:
    return bool(getattr(subject.kind, "name", None) == kind.name)


def _router(kind: RouterKind) -> RouterPlace:
    place = RouterPlace()
    place.kind = kind
    return place


def _subjects(candidate: Candidate) -> Sequence[Callable[[], Any]]:
    """What the plugin offers to be asked."""
    own = BUILT_IN.get(candidate.module)
    if own is not None:
        return own
    offered = getattr(candidate.get(), NAME, None)
    beside = f"{candidate.module.partition(':')[0]}.conformance"
    if offered is None and candidate.module and _is_module(beside):
        offered = getattr(importlib.import_module(beside), NAME)
    return tuple(offered or ())


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
