"""Actions come from modules and plugins; a bad plugin harms nobody else."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import pluggy
import pytest

from gateway.hookspecs import PROJECT, FeedKind, hookimpl
from gateway.loader import Plugins
from runbook.hookspecs import ActionKind
from runbook.runner import UnknownActionError, collect_kinds


def build() -> Any:
    raise NotImplementedError


def kind(name: str, **options: Any) -> ActionKind:
    return ActionKind(**{"name": name, "title": name, "build": build} | options)


def module_with(answer: Callable[[], Any], name: str = "some") -> types.ModuleType:
    @hookimpl(optionalhook=True)
    def runbook_actions() -> Sequence[ActionKind]:
        return answer()

    module = types.ModuleType(name)
    module.runbook_actions = runbook_actions
    return module


def manager_with(*plugins: tuple[str, object]) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    for name, plugin in plugins:
        manager.register(plugin, name=name)
    return manager


def test_builtin_modules_and_plugins_bring_actions() -> None:
    manager = manager_with(("feedgate-ctp:ctp#3", module_with(lambda: [kind("rotate")])))
    kinds = collect_kinds(manager, [module_with(lambda: (kind("start"), kind("stop")))])
    assert sorted(kinds.by_name) == ["rotate", "start", "stop"]
    assert kinds.findings == ()
    assert kinds.get("stop").name == "stop"


def test_without_a_manager_only_the_builtin_ones_are_there() -> None:
    assert list(collect_kinds(None, [module_with(lambda: [kind("start")])]).by_name) == ["start"]


def test_they_can_be_collected_twice_from_one_manager() -> None:
    manager = manager_with(("a", module_with(lambda: [kind("start")])))
    assert list(collect_kinds(manager).by_name) == list(collect_kinds(manager).by_name) == ["start"]


def test_the_gateways_own_loader_carries_plugins_with_actions() -> None:
    class Both:
        @hookimpl
        def gateway_feeds(self) -> Sequence[FeedKind]:
            return ()

        @hookimpl(optionalhook=True)
        def runbook_actions(self) -> Sequence[ActionKind]:
            return [kind("both")]

    class Alone:
        @hookimpl(optionalhook=True)
        def runbook_actions(self) -> Sequence[ActionKind]:
            return [kind("alone")]

    plugins = Plugins.load([Both(), Alone()], entry_points=False)
    assert all(record.status == "loaded" for record in plugins.records())
    assert sorted(collect_kinds(plugins.manager).by_name) == ["alone", "both"]


def test_a_raising_plugin_is_named_and_the_others_keep_their_actions(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Any:
        raise ZeroDivisionError("oh")

    manager = manager_with(
        ("good:one#1", module_with(lambda: [kind("one")])),
        ("bad:bad#2", module_with(fail)),
        ("good:two#3", module_with(lambda: [kind("two")])),
    )
    kinds = collect_kinds(manager)
    assert sorted(kinds.by_name) == ["one", "two"]
    (finding,) = kinds.findings
    assert "plugin bad (bad)" in finding
    assert "ZeroDivisionError: oh" in finding
    assert finding in caplog.text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (7, "not a sequence"),
        ("start", "not a sequence"),
        ([7], "in place of ActionKind"),
        ([kind("Start")], "is not a name"),
        ([kind("a/b")], "is not a name"),
        ([kind("ok"), kind("start", build=None)], "not callable"),
        ([kind("start", parameters=dict)], "not a pydantic model"),
        ([kind("start", role="boss")], "not a Role"),
        ([kind("start", timeout_s=0)], "above 0"),
        ([kind("start", timeout_s=float("nan"))], "above 0"),
    ],
)
def test_a_plugin_that_answers_nonsense_is_left_out_whole(answer: Any, said: str) -> None:
    kinds = collect_kinds(manager_with(("bad", module_with(lambda: answer))))
    assert kinds.by_name == {}
    assert said in kinds.findings[0]
    assert "plugin bad" in kinds.findings[0]


def test_a_name_that_two_plugins_bring_belongs_to_neither() -> None:
    manager = manager_with(
        ("a:x#1", module_with(lambda: [kind("same"), kind("left")])),
        ("b:y#2", module_with(lambda: [kind("same")])),
    )
    kinds = collect_kinds(manager)
    assert list(kinds.by_name) == ["left"]
    (finding,) = kinds.findings
    assert "plugin a (x)" in finding
    assert "plugin b (y)" in finding
    with pytest.raises(UnknownActionError, match="both plugin a") as caught:
        kinds.get("same")
    assert caught.value.exit_code == 64


def test_a_builtin_action_keeps_its_name() -> None:
    own = kind("start")
    kinds = collect_kinds(
        manager_with(("b:y#2", module_with(lambda: [kind("start")]))), [module_with(lambda: [own], "builtin")]
    )
    assert kinds.get("start") is own
    assert "brings the built-in action 'start'" in kinds.findings[0]


def test_a_plugin_that_brings_a_name_twice_loses_it() -> None:
    kinds = collect_kinds(manager_with(("a", module_with(lambda: [kind("same"), kind("same")]))))
    assert kinds.by_name == {}
    assert "twice" in kinds.findings[0]
