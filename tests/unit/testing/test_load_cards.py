"""Each card of a plugin as a whole fails for the plugin that breaks it, and for no other."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from gateway.hookspecs import CatalogueKind, FeedKind, hookimpl
from gateway.loader.candidates import Candidate, PluginRecord
from gateway.model import Account, LineId
from gateway.ports import FeedSource
from gateway.testing import ScriptedFeed, loaded_plugin
from gateway.testing.cards import Outcome, run_card
from gateway.testing.load_cards import LOAD_CARDS
from gateway.testing.loaded_plugin import LoadedPlugin


def build_source(account: Account, line: LineId, options: Mapping[str, Any]) -> FeedSource:
    return ScriptedFeed("acme").build(account, line, options)


def kind(**more: Any) -> FeedKind:
    return FeedKind(**{"name": "acme", "factory": build_source, "options": frozenset({"url"})} | more)


class Plugin:
    def __init__(self, feeds: Callable[[], Any]) -> None:
        self._feeds = feeds

    @hookimpl
    def gateway_feeds(self) -> Any:
        return self._feeds()


class NoHook:
    """Has none."""


class StrangeHook:
    @hookimpl
    def gateway_feedz(self) -> Sequence[FeedKind]:
        return ()


def cannot_be_imported() -> object:
    raise ImportError("No module named 'acme_vendor'")


def waits() -> Sequence[FeedKind]:
    threading.Event().wait(3.0)
    return ()


def starts_a_thread() -> Sequence[FeedKind]:
    threading.Thread(target=threading.Event().wait, args=(3.0,), daemon=True).start()
    return (kind(),)


def raises(*_: object) -> Any:
    raise KeyError("password")


NUMBERS = itertools.count()

BROKEN: Sequence[tuple[str, Callable[[], object]]] = (
    ("LOAD-01", cannot_be_imported),
    ("LOAD-02", NoHook),
    ("LOAD-02", StrangeHook),
    ("LOAD-03", lambda: Plugin(waits)),
    ("LOAD-03", lambda: Plugin(raises)),
    ("LOAD-03", lambda: Plugin(lambda: [kind(name=f"acme{next(NUMBERS)}")])),
    ("LOAD-04", lambda: Plugin(kind)),
    ("LOAD-04", lambda: Plugin(lambda: "acme")),
    ("LOAD-04", lambda: Plugin(lambda: [CatalogueKind(name="acme", build=raises)])),
    ("LOAD-04", lambda: Plugin(lambda: [kind(name="Acme Feed")])),
    ("LOAD-05", lambda: Plugin(lambda: [kind(), kind()])),
    ("LOAD-05", lambda: Plugin(lambda: [kind(name="replay")])),
    ("LOAD-06", lambda: Plugin(lambda: [kind(factory=lambda *_: None)])),
    ("LOAD-07", lambda: Plugin(lambda: [kind(options=frozenset({"url", "no_such_option"}))])),
    ("LOAD-08", lambda: Plugin(lambda: [kind(check=raises)])),
    ("LOAD-08", lambda: Plugin(lambda: [kind(check=lambda account, _: [str(account.secrets)])])),
    ("LOAD-08", lambda: Plugin(lambda: [kind(environment=lambda _: {"DEPTH": 5})])),
    ("LOAD-09", lambda: Plugin(starts_a_thread)),
)


def asked(get: Callable[[], object]) -> list[Outcome]:
    record = PluginRecord(name="acme", version="1", distribution="", status="loaded")
    plugin = LoadedPlugin(Candidate(record, "", get))
    return [run_card(card, lambda: plugin) for card in LOAD_CARDS]


@pytest.mark.parametrize(("number", "get"), BROKEN, ids=[f"{number}-{at}" for at, (number, _) in enumerate(BROKEN)])
def test_a_plugin_that_breaks_one_promise_fails_that_card_alone(
    number: str, get: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded_plugin, "AT_ONCE_S", 0.3)
    plugin: list[object] = []

    def once() -> object:  # as an import: the same module again
        if not plugin:
            plugin.append(get())
        return plugin[0]

    failed = {outcome.card.number: outcome.reason for outcome in asked(once) if outcome.result == "fail"}
    assert list(failed) == [number], failed


def test_every_card_is_broken_by_some_plugin() -> None:
    assert {number for number, _ in BROKEN} == {card.number for card in LOAD_CARDS}


def test_a_sound_plugin_passes_every_card() -> None:
    plugin = Plugin(lambda: [kind()])
    assert [outcome.reason for outcome in asked(lambda: plugin) if outcome.result != "pass"] == []
